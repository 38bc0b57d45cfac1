from modules import shared


def gradio(*keys):
    return [shared.gradio[key] for key in keys]

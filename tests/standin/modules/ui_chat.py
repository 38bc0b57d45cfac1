"""The Chat tab, as far as components are added to it."""

import gradio as gr
from modules import shared


def create_ui():
    with gr.Tab('Chat'), gr.Row(), gr.Column():
        shared.gradio['display'] = gr.JSON(visible=False)
        shared.gradio['textbox'] = gr.Textbox(label='Message')
        with gr.Row(), gr.Column(), gr.Row():
            shared.gradio['mode'] = gr.Radio(['instruct', 'chat'], label='Mode')


def create_event_handlers():
    shared.gradio['display'].change(None, shared.gradio['display'], None, js='(data) => data')

"""The Model tab, as far as components are added to it."""

import gradio as gr
from modules import loaders, shared, ui
from modules.models import load_model, unload_model
from modules.models_settings import (
    apply_model_settings_to_state,
    get_model_metadata,
    save_model_settings,
    update_model_parameters,
)


def create_ui():
    with gr.Tab('Model'), gr.Column():
        shared.gradio['model_menu'] = gr.Dropdown(choices=['None'], label='Model')
        shared.gradio['loader'] = gr.Dropdown(choices=list(loaders.loaders_and_params), label='Model loader')
        with gr.Column():
            shared.gradio['load_in_8bit'] = gr.Checkbox(label='load-in-8bit')
        shared.gradio['save_model_settings'] = gr.Button('Save settings')
        shared.gradio['model_status'] = gr.Markdown('No model is loaded')


def create_event_handlers():
    shared.gradio['save_model_settings'].click(save_model_settings, None, shared.gradio['model_status'])


def handle_load_model_event_initial(model, state):
    state = apply_model_settings_to_state(model, state)
    output = ui.apply_interface_values(state)
    update_model_parameters(state)
    return [*output, state]


def load_model_wrapper(selected_model, loader, autoload=False):
    settings = get_model_metadata(selected_model)
    if not autoload:
        yield f'Settings updated: {settings["truncation_length_info"]}'
        return
    yield f'Loading `{selected_model}`...'
    unload_model()
    shared.model, shared.tokenizer = load_model(selected_model, loader)
    yield f'{"Successfully loaded" if shared.model is not None else "Failed to load"} `{selected_model}`.'

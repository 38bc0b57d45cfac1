"""The Default tab, as far as components are added to it."""

import gradio as gr
from modules import shared


def create_ui():
    with gr.Tab('Default'), gr.Row():
        shared.gradio['textbox-default'] = gr.Textbox(label='Text')

"""The Notebook tab, as far as components are added to it."""

import gradio as gr
from modules import shared


def create_ui():
    with gr.Tab('Notebook'), gr.Row():
        shared.gradio['textbox-notebook'] = gr.Textbox(label='Text')

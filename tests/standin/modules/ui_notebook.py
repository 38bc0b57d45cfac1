"""The Notebook tab, with what stands around our box."""

import gradio as gr
from modules import shared


def create_ui():
    with gr.Tab('Notebook'), gr.Row():
        shared.gradio['textbox-notebook'] = gr.Textbox(label='Text')

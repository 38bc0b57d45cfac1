"""The Default tab, with what stands around our box."""

import gradio as gr
from modules import shared


def create_ui():
    with gr.Tab('Default'), gr.Row():
        shared.gradio['textbox-default'] = gr.Textbox(label='Text')

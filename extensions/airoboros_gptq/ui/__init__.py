"""Gradio components and HTML that the webui and the demo page share. Imports nothing of the webui."""

"""Gradio components that the webui and our own page share. Knows gradio and the core, not the webui."""

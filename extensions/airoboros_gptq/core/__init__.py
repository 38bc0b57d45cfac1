"""Checkpoint, quantisation, model, kernels, generation, prompts. Knows neither the webui nor gradio."""

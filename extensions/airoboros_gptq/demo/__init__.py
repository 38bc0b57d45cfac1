"""A chat page without a webui: pick a model, load it, chat."""

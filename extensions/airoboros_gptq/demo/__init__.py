"""A chat page of our own, for people who have no webui. Knows gradio, the panel and the core; not the webui."""

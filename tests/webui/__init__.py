"""The extension inside a real webui, driven in a browser. `python install.py test --webui PATH` runs these."""

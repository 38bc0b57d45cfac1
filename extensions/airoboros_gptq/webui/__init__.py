"""Everything that touches the webui's `modules.*`. Imported by script.py inside a running webui, and nowhere else."""

"""What install.py does, one concern a module. Needs the standard library alone, and stays out of the webui."""

from pathlib import Path

NAME = 'airoboros_gptq'
LOADER = 'airoboros-GPTQ'  # as the extension's names.py; a test holds the two equal
ROOT = Path(__file__).resolve().parents[1]


class Stop(Exception):
    """One sentence for the user: what is wrong with which file, and the remedy."""

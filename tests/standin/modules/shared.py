"""State that the webui's modules share."""

import copy
from pathlib import Path
from threading import Lock
from types import SimpleNamespace

import yaml

_FLAGS = {'loader': None, 'cpu': True, 'bf16': False, 'no_use_fast': False, 'trust_remote_code': False}

user_data_dir = Path('user_data')
args = SimpleNamespace(model_dir='user_data/models', multi_user=False, attn_implementation='sdpa', **_FLAGS)
original_args = copy.deepcopy(args)
args_defaults = copy.deepcopy(args)

model = tokenizer = None
model_name = 'None'
gradio = {}
persistent_interface_state = {}
need_restart = False
generation_lock = Lock()
settings = {'truncation_length': 8192}
processing_message = '*Is typing...*'


def load_user_config():
    path = Path(args.model_dir) / 'config-user.yaml'
    return yaml.safe_load(path.read_text()) if path.exists() else {}


user_config = load_user_config()

"""The settings of a model before it is loaded, and the saved ones."""

import json
import re
from pathlib import Path

import yaml
from modules import loaders, shared


def infer_loader(model_name, model_settings, hf_quant_method=None):
    return 'llama.cpp' if model_name.endswith('.gguf') else 'Transformers'


def get_fallback_settings():
    return {'truncation_length': 2048, 'truncation_length_info': 2048}


def get_model_metadata(model):
    found = {'instruction_template': 'Alpaca', **get_fallback_settings()}
    found['loader'] = infer_loader(model, found, hf_quant_method=None)
    tokenizer = Path(shared.args.model_dir, model, 'tokenizer_config.json')
    carried = json.loads(tokenizer.read_text()).get('chat_template') if tokenizer.is_file() else None
    if carried:
        found['instruction_template'] = 'Custom (obtained from model metadata)'
        found['instruction_template_str'] = carried
    for pattern, saved in shared.user_config.items():
        if re.match(pattern.lower(), Path(model).name.lower()):
            found.update(saved)
    if found['instruction_template'] != 'Custom (obtained from model metadata)':
        found['instruction_template_str'] = load_instruction_template(found['instruction_template'])
    return found


def load_instruction_template(template):
    return f'the template {template}'


def update_model_parameters(state, initial=False):
    for key in loaders.list_model_elements():
        if key in state:
            setattr(shared.args, key, state[key])


def apply_model_settings_to_state(model, state):
    return {**state, **get_model_metadata(model)}


def save_model_settings(model, state):
    config = shared.load_user_config()
    wanted = {'loader', *loaders.loaders_and_params[state['loader']]}
    config[model + '$'] = {key: state[key] for key in loaders.list_model_elements() if key in wanted}
    shared.user_config = config
    Path(shared.args.model_dir, 'config-user.yaml').write_text(yaml.dump(config))
    yield 'saved'

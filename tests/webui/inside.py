"""Run by a webui's Python in its folder: sets the extension up as the webui does, loads a model with it, and answers a
prompt once for each state in a JSON file.

    python inside.py MODEL PROMPT STATES.json ANSWERS.json

STATES: name -> settings that differ from the webui's defaults. ANSWERS: the answers by name, the loader, and the names of
the samplers for Transformers and for the loader.
"""

import json
import sys
from pathlib import Path
from threading import Lock

# Settings that only the page sets, in v1.
PAGE = {'grammar_string': '', 'custom_token_bans': '', 'negative_prompt': '', 'custom_stopping_strings': ''}
PAGE |= {'ban_eos_token': False, 'auto_max_new_tokens': False, 'skip_special_tokens': True, 'static_cache': False}
PAGE |= {'max_tokens_second': 0, 'max_updates_second': 0, 'prompt_lookup_num_tokens': 0}


def main(model_name: str, prompt: str, states: str, answers: str) -> None:
    sys.argv = ['server.py', '--cpu', '--extensions', 'airoboros_gptq']
    sys.path.insert(0, str(Path.cwd()))
    if 'def huggingface_loader' in Path('modules/models.py').read_text('utf-8'):
        from modules import chat  # noqa: F401 (first, up to v2: circular imports)
    from modules import extensions, loaders, models, shared, utils
    from modules.presets import default_preset
    from modules.text_generation import generate_reply

    extensions.available_extensions = utils.get_available_extensions()
    extensions.load_extensions()
    shared.generation_lock = Lock()
    shared.model_name = model_name
    shared.model, shared.tokenizer = models.load_model(model_name)
    said = {'samplers': sorted(loaders.loaders_samplers['Transformers'])}
    said['own_samplers'] = sorted(loaders.loaders_samplers[shared.args.loader])
    said['loader'] = shared.args.loader
    said['answers'] = {}
    for name, changes in json.loads(Path(states).read_text()).items():
        state = {
            **PAGE,
            **shared.settings,
            **default_preset(),
            'truncation_length': 2048,
            'max_new_tokens': 24,
            'seed': 1,
        }
        replies = generate_reply(prompt, state | {'stream': True, 'add_bos_token': True} | changes, is_chat=True)
        said['answers'][name] = ['', *replies][-1]
    Path(answers).write_text(json.dumps(said))


if __name__ == '__main__':
    main(*sys.argv[1:])

"""No number in generation_config.json makes an answer hang or eat memory: each is made huge in turn, and a token generated."""

import json
import os

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.model.special_tokens import set_special_ids
from limits import limited, peak
from support import PLAIN, copy_tiny, edit_json
from transformers import GenerationConfig

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='memory and time are limited as POSIX does it')
SECONDS, MEMORY = 20, 3 << 30


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    folder = copy_tiny(tmp_path_factory.mktemp('models') / 'airoboros-tiny', PLAIN)
    return folder, *load(folder, device='cpu', kernel='reference', progress=lambda done, total: None)


def settings():
    """Every setting of GenerationConfig that may be a number."""
    known = json.loads(GenerationConfig().to_json_string(use_diff=False))
    return sorted(k for k, v in known.items() if (v is None or type(v) in (int, float)) and not k.startswith('_'))


@pytest.mark.parametrize('sampled', [False, True])
def test_every_setting_as_a_huge_number(tiny, sampled):
    folder, model, tokenizer = tiny
    faults, original = [], (folder / 'generation_config.json').read_text()

    ids = torch.tensor([[1, 20, 300]])
    with limited(SECONDS, MEMORY) as start:
        for name in settings():
            (folder / 'generation_config.json').write_text(original)
            static = {'cache_implementation': 'static'} if name.startswith('max_') else {}
            edit_json(folder / 'generation_config.json', **{'do_sample': sampled, name: 10**9, **static})
            before = peak()
            start()
            try:
                set_special_ids(model, tokenizer, folder)
                model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=2)
            except (GPTQError, ValueError, TypeError, AttributeError, IndexError):
                pass  # ours, or what transformers says of a setting that makes no sense
            except BaseException as e:
                faults.append(f'{name}: {type(e).__name__}: {str(e)[:200]}')
            if peak() - before > 1 << 29:
                faults.append(f'{name}: {(peak() - before) >> 20} MB')
    (folder / 'generation_config.json').write_text(original)
    assert not faults, '\n'.join(faults)


@pytest.mark.parametrize('name', ['num_beams', 'num_return_sequences'])
def test_it_is_named(tiny, name):
    folder, model, tokenizer = tiny
    (folder / 'generation_config.json').write_text(json.dumps({name: 101}))
    with pytest.raises(GPTQError, match=rf'generation_config\.json says {name} is 101, more than 100; correct it'):
        set_special_ids(model, tokenizer, folder)

"""What does not fit together is told before weights are read, and by `inspect`, which exits 1 for all that will not load."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from airoboros_gptq import GPTQError, cli, load
from made_models import make
from small_configs import build, has
from verdicts import disagreement


def lose(name):
    return lambda made: made.edit_tensors(lambda t: [t.pop(n) for n in list(t) if n.startswith(name)])


def resize(made):
    made.edit_tensors(lambda t: t.update({'model.norm.weight': torch.ones(32)}))


DAMAGE = {
    'a layer more than there is': lambda made: made.edit_config(num_hidden_layers=3),
    'another width': lambda made: made.edit_config(intermediate_size=96),
    'a norm of another size': resize,
    'a linear is missing': lose('model.layers.1.mlp.up_proj'),
    'a norm is missing': lose('model.norm'),
    'neither embeddings nor head': lose(('model.embed_tokens', 'lm_head')),
    'a class that cannot be built': lambda made: made.edit_config(hidden_act='nonsense'),
    'code of its own': lambda made: made.edit_config(model_type='foo', auto_map={'AutoModelForCausalLM': 'x.Y'}),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_inspect_exits_1_with_the_sentence_of_load(damage, tmp_path, capsys):
    made = make(tmp_path, build('llama'))
    assert cli.main(['inspect', str(made.folder)]) == 0
    DAMAGE[damage](made)
    with pytest.raises(GPTQError) as e:
        load(made.folder, device='cpu')
    capsys.readouterr()
    assert cli.main(['inspect', str(made.folder)]) == 1
    assert str(e.value) in capsys.readouterr().err
    assert cli.main(['inspect', '--json', str(made.folder)]) == 1
    assert json.loads(capsys.readouterr().out)['error'] == str(e.value)


# fmt: off
EDITS = {
    'nothing': lambda t: None,
    'a bias of each linear': lambda t: t.update(
        {n.replace('qweight', 'bias'): torch.ones(v.shape[1]) for n, v in t.items() if n.endswith('qweight')}
    ),
    'no biases': lambda t: [t.pop(n) for n in list(t) if n.endswith('bias')],
    'biases of another size': lambda t: t.update({n: v[:-1] for n, v in t.items() if n.endswith('bias')}),
    'no norms': lambda t: [t.pop(n) for n in list(t) if 'norm' in n],
    'norms of whole numbers': lambda t: t.update({n: v.int() for n, v in t.items() if 'norm' in n}),
    'no second layer': lambda t: [t.pop(n) for n in list(t) if '.1.' in n],
    'a third layer': lambda t: t.update({n.replace('.1.', '.2.', 1): v.clone() for n, v in t.items()}),
    'no routers': lambda t: [t.pop(n) for n in list(t) if '.gate.' in n or 'router' in n],
    'no second experts': lambda t: [t.pop(n) for n in list(t) if 'experts.1.' in n],
    'no embeddings': lambda t: [t.pop(n) for n in list(t) if 'embed' in n or 'wte' in n],
    'no head': lambda t: [t.pop(n) for n in list(t) if 'head' in n],
    'scales are missing': lambda t: t.pop(next(n for n in t if n.endswith('scales'))),
}
# fmt: on


@pytest.mark.parametrize('model_type', ['llama', 'gpt2', 'bloom', 'qwen3_moe', 'granitemoe', 'gpt_oss'])
def test_inspect_and_load_agree(model_type, tmp_path):
    if not has(model_type):
        pytest.skip(f'this transformers has no {model_type}')
    original = make(tmp_path / 'whole', build(model_type))
    found = {}
    for edit in EDITS:
        folder = tmp_path / edit
        shutil.copytree(original.folder, folder)
        replace(original, folder=folder).edit_tensors(EDITS[edit])
        found[edit] = disagreement(folder)
    assert not {edit: what for edit, what in found.items() if what}


def test_no_weight_is_read_for_it(tmp_path, monkeypatch):
    made = make(tmp_path, build('llama'))
    resize(made)
    monkeypatch.setattr('airoboros_gptq.model.load_weights.open_tensors', lambda checkpoint: pytest.fail('read'))
    with pytest.raises(GPTQError, match=r'holds model\.norm\.weight of shape \(32,\), config\.json asks for \(64,\)'):
        load(made.folder, device='cpu')

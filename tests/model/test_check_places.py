"""What does not fit together is told before weights are read, and by `inspect`, which exits 1 for all that will not load."""

import json

import pytest
import torch
from airoboros_gptq import GPTQError, cli, load
from made_models import make
from small_configs import build


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


def test_no_weight_is_read_for_it(tmp_path, monkeypatch):
    made = make(tmp_path, build('llama'))
    resize(made)
    monkeypatch.setattr('airoboros_gptq.model.load_weights.open_tensors', lambda checkpoint: pytest.fail('read'))
    with pytest.raises(GPTQError, match=r'holds model\.norm\.weight of shape \(32,\), config\.json asks for \(64,\)'):
        load(made.folder, device='cpu')

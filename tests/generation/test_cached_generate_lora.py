"""LoRA adapters and the prompt cache: what was computed under one adapter is never used under another."""

from unittest.mock import patch

import pytest
import torch
from airoboros_gptq import load
from support import PLAIN, TINY
from transformers import GenerationMixin
from turn_support import Rows, tokens

peft = pytest.importorskip('peft')


@pytest.fixture
def rows():
    model, _ = load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu', progress=lambda done, total: None)
    return Rows(model)


def adapted(model, name='default', seed=0):
    """The model with a LoRA on its embeddings, which all keys and values depend on; its B is not zero."""
    config = peft.LoraConfig(target_modules=['embed_tokens'], r=4, init_lora_weights=False)
    torch.manual_seed(seed)
    if isinstance(model, peft.PeftModel):
        model.add_adapter(name, config)
        return model
    return peft.get_peft_model(model, config, adapter_name=name).eval()


def check(rows, outer, prompt):
    """Generates through peft with the prompt cache and without it, and returns how many rows of the prompt were computed."""
    settings = {'max_new_tokens': 5, 'do_sample': False, 'eos_token_id': None, 'pad_token_id': 0}
    rows.seen.clear()
    out = outer.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), **settings)
    computed = rows.seen[0]
    with patch.object(rows.model, 'generate', lambda **kwargs: GenerationMixin.generate(rows.model, **kwargs)):
        expected = outer.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), **settings)
    assert out.equal(expected)
    return computed


def test_turns_continue_under_an_adapter(rows):
    outer = adapted(rows.model)
    prompt = tokens(30)
    assert check(rows, outer, prompt) == 30
    assert check(rows, outer, torch.cat((prompt, tokens(4)), dim=1)) == 4


def test_loading_switching_and_scaling_empty_the_cache(rows):
    prompt = tokens(30)
    rows.check(prompt)
    outer = adapted(rows.model)
    assert check(rows, outer, prompt) == 30
    adapted(outer, 'second', seed=1).set_adapter('second')
    assert check(rows, outer, prompt) == 30
    outer.set_adapter('default')
    check(rows, outer, prompt)
    with outer.disable_adapter():
        assert check(rows, outer, prompt) == 30
    layer = rows.model.get_input_embeddings()
    layer.scaling['default'] *= 2
    assert check(rows, outer, prompt) == 30
    with torch.no_grad():
        layer.lora_embedding_B['default'].mul_(2)  # as a step of training does
    assert check(rows, outer, prompt) == 30
    assert check(rows, outer, prompt) == 1
    with pytest.raises(ValueError, match='Cannot merge LORA layers when the model is gptq quantized'):
        outer.merge_adapter()
    bare = outer.unload()
    assert bare is rows.model
    assert rows.check(prompt)[1] == 30

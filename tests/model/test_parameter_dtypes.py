"""Each parameter is loaded in the dtype that from_pretrained() gives it: plain transformers on the
dequantised twin is the oracle.
"""

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.model.parameter_dtypes import set_parameter_dtypes
from made_models import ROUTERS, make
from small_configs import auto_class, build, has
from torch import nn

# Models whose code keeps a part in float32: by a list, by a strict list, and by a declaration; and two that keep none.
TYPES = ('deepseek_v3', 'ernie4_5_moe', 'gpt_oss', 'hunyuan_v1_moe', 'mixtral', 'qwen2_vl')


def dtypes(model):
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: t.dtype for name, t in named.items() if t.is_floating_point()}


@pytest.fixture(scope='module', params=[name for name in TYPES if has(name)])
def made(request, tmp_path_factory):
    """(a made model with quantised routers, the Auto class of its twin)"""
    out = tmp_path_factory.mktemp(request.param)
    return make(out, build(request.param), pattern=ROUTERS), auto_class(request.param)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_parameter_has_the_dtype_that_from_pretrained_gives_it(made, dtype):
    folder, auto = made
    model, _ = load(folder.folder, device='cpu', kernel='reference', dtype=dtype, progress=lambda done, total: None)
    found, right = dtypes(model), dtypes(auto.from_pretrained(folder.twin, dtype=dtype))
    shared = found.keys() & right.keys()
    assert len(shared) > 5
    assert {name: found[name] for name in shared} == {name: right[name] for name in shared}


class Nested(nn.Module):
    """A model whose code builds all of it in float32, whatever it was asked for."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(4, 4, device='meta')

    def get_input_embeddings(self):
        return self.embed


def test_float32_that_is_no_choice_of_the_code_is_not_kept():
    model = Nested()
    set_parameter_dtypes(model, torch.bfloat16)
    assert model.embed.weight.dtype is torch.bfloat16

"""No number in config.json makes a load hang or eat memory: each whole number of each small config is made huge in turn."""

import itertools
import json
import os
import threading

import pytest
import torch
from airoboros_gptq import GPTQError
from airoboros_gptq.checkpoint.validation import check_hf_config
from airoboros_gptq.model.bounded_build import TooLargeError, bounded_build
from airoboros_gptq.model.build import lay_out
from airoboros_gptq.model.load_plan import make_plan
from airoboros_gptq.preflight.folder_summary import as_json, as_text, read_summary
from limits import limited, peak
from small_configs import CAUSAL, SEEING, has
from support import PLAIN, copy_tiny
from torch import nn

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='memory and time are limited as POSIX does it')

SLICE = ('llama', 'gpt_neo', 'gptj', 'deepseek_v3', 'qwen3_next', 'granitemoehybrid', 'mpt', 'gemma3', 'xglm')
EVERY = os.environ.get('AIROBOROS_EVERY_NUMBER')  # all small configs: minutes
SECONDS, MEMORY = 20, 3 << 30


def numbers(value, path=()):
    """The paths of all whole numbers in a config."""
    if type(value) is int:
        yield path
    elif isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, (*path, key))


def with_number(config, path, number):
    config = json.loads(json.dumps(config))
    holder = config
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = number
    return config


def inspect_and_lay_out(folder):
    """What inspect and load do before they read weights. Passes or raises GPTQError."""
    summary = read_summary(folder)
    as_text(summary), json.dumps(as_json(summary))
    check_hf_config(folder, summary.hf_config, len(summary.checkpoint.tensors))
    lay_out(make_plan(summary, 'cpu', torch.float32, 'reference'))


@pytest.mark.parametrize('model_type', sorted({**CAUSAL, **SEEING}) if EVERY else SLICE)
def test_a_huge_number(tmp_path, model_type):
    if not has(model_type):
        pytest.skip('this transformers does not have it')
    import transformers

    kind, settings = (CAUSAL | SEEING)[model_type]
    config = getattr(transformers, kind)(**settings).to_dict()
    config.setdefault('num_labels', 2)
    folder, faults = copy_tiny(tmp_path / 'airoboros-tiny', PLAIN), []
    with limited(SECONDS, MEMORY) as start:
        for path, number in itertools.product(numbers(config), (10**9, 2**40)):
            (folder / 'config.json').write_text(json.dumps(with_number(config, path, number)))
            before = peak()
            start()
            try:
                inspect_and_lay_out(folder)
            except GPTQError as e:
                assert 'config.json' in str(e) or PLAIN in str(e)
            except BaseException as e:
                faults.append(f'{path} = {number}: {type(e).__name__}: {str(e)[:200]}')
            if peak() - before > 1 << 30:
                faults.append(f'{path} = {number}: {(peak() - before) >> 20} MB')
    assert not faults, '\n'.join(faults)


def test_parts_are_counted_in_this_thread_alone(monkeypatch):
    def build(count):
        return nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(count))

    monkeypatch.setattr('airoboros_gptq.model.bounded_build.MIN_PARTS', 200)
    with bounded_build(0, 0):
        build(100)
    with pytest.raises(TooLargeError, match='more than 200 parts, and there are 0 tensors'), bounded_build(0, 0):
        build(200)
    with bounded_build(100, 0):
        build(600)
    build(200)  # and nowhere else
    with bounded_build(0, 0):
        thread = threading.Thread(target=build, args=(200,))
        thread.start()
        thread.join()


@pytest.mark.parametrize(
    'compute',
    [
        lambda n: torch.arange(n),
        lambda n: torch.zeros(n),
        lambda n: torch.full((n,), 1.0),
        lambda n: torch.ones(1, 1).expand(n, 1).contiguous(),
        lambda n: torch.outer(torch.ones(n // 10**5), torch.ones(10**5)),
        lambda n: [torch.ones(n // 100) for _ in range(100)],
    ],
)
def test_memory_is_refused_before_it_is_taken(compute):
    before = peak()
    with pytest.raises(TooLargeError, match=r'more than 1\.07 GB before any weight'), bounded_build(0, 0):
        compute(10**9)
    assert peak() - before < 1_200_000_000
    with bounded_build(0, 0):
        compute(10**6)
        torch.empty(10**9)  # a parameter, which is never written to

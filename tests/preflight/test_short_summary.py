"""The line of the panel, and what stands below it whatever is folded."""

import pytest
from airoboros_gptq.kernels.rules import KERNEL_NAMES
from airoboros_gptq.preflight import memory_estimate
from airoboros_gptq.preflight.folder_summary import read_summary
from airoboros_gptq.preflight.short_summary import short_summary, warnings
from support import ACT_ORDER, PLAIN, TINY, copy_tiny, edit_json, edit_tensors

from .test_folder_summary import to_one_group


@pytest.fixture(autouse=True)
def steady_free_memory(monkeypatch):
    """Free memory changes between two readings while other programs run."""
    free_memory(monkeypatch, 8_000_000_000)


def free_memory(monkeypatch, free):
    monkeypatch.setattr(memory_estimate, 'free_memory', lambda device: free)


def test_the_tiny_model(no_native):
    parts = ['4-bit', '128g', 'no act-order', '3.62 MB', 'needs 14.1 MB of 8.00 GB free', 'Airoboros 1.2']
    summary = read_summary(TINY, device='cpu')
    assert short_summary(summary) == parts and warnings(summary) == []
    parts[4] = 'running: reference on cpu'
    assert short_summary(summary, 'reference on cpu') == parts


def test_what_differs_is_in_the_line(tmp_path, monkeypatch):
    free_memory(monkeypatch, None)
    folder = copy_tiny(tmp_path / 'some-llama', ACT_ORDER)
    line = short_summary(read_summary(folder, checkpoint_format='gptq_v2', device='cpu', kernel='reference'))
    assert line[2:4] == ['act-order', 'gptq_v2'] and line[-1].startswith('needs ') and 'free' not in line[-1]
    folder = copy_tiny(tmp_path / 'other-llama', PLAIN)
    edit_tensors(folder / PLAIN, to_one_group)
    assert 'no groups' in short_summary(read_summary(folder, device='cpu'))


@pytest.mark.parametrize(
    ('name', 'title'),
    [
        ('airoboros-l2-70b-2.2.1-GPTQ', 'Airoboros 2.2.1'),
        ('airoboros-13B-GPTQ', 'Airoboros, taken for 1.2'),
        ('airoboros-70b-9.9-GPTQ', 'Airoboros 9.9, taken for 3.0'),
    ],
)
def test_an_airoboros_of_unknown_version_says_what_it_is_taken_for(tmp_path, name, title):
    assert short_summary(read_summary(copy_tiny(tmp_path / name, PLAIN)))[-1] == title


def test_what_does_not_fit_is_a_warning(monkeypatch, no_native):
    free_memory(monkeypatch, 5_000_000)
    [warning] = warnings(read_summary(TINY, device='cpu'))
    assert warning == 'It does not fit: it needs 14.1 MB, and 5.00 MB of RAM is free.'


def test_memory_follows_the_kernel_and_a_kernel_that_cannot_run_is_a_warning(no_native):
    """The sentence is the one with which loading refuses the kernel; see tests/kernels/test_registry.py."""
    said = {kernel: read_summary(TINY, device='cpu', kernel=kernel) for kernel in KERNEL_NAMES}
    assert said['reference'].memory.weights != said['auto'].memory.weights
    assert {kernel: bool(warnings(summary)) for kernel, summary in said.items()} == {
        **dict.fromkeys(KERNEL_NAMES, False),
        'native-cpu': True,
        'triton': True,
    }
    assert warnings(said['triton']) == [
        'The kernel triton cannot run this model here: it does not run on cpu; choose auto.'
    ]


def test_a_lie_of_a_config_is_a_warning(tiny_copy):
    edit_json(tiny_copy / 'quantize_config.json', group_size=64)
    assert warnings(read_summary(tiny_copy)) == [
        'quantize_config.json says group_size is 64; the tensors have 128, and that is used.'
    ]

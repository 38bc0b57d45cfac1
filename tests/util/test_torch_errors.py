"""Which errors mean that memory ran out, told without importing torch."""

import pytest
import torch
from airoboros_gptq.util.torch_errors import is_out_of_memory
from support import run_python


@pytest.mark.parametrize(
    ('error', 'expected'),
    [
        (torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.'), True),
        (torch.cuda.OutOfMemoryError(), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: can't allocate memory"), True),
        (RuntimeError('expected scalar type Half but found Float'), False),
        (OSError('No space left on device'), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_is_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_torch_says_so_when_it_cannot_allocate():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_torch_is_not_imported():
    program = 'import sys; from airoboros_gptq.util.torch_errors import is_out_of_memory as o; o(ValueError()); '
    assert run_python('-c', program + 'print("torch" in sys.modules)')[:2] == (0, 'False\n')

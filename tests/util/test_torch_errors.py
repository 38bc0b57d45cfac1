"""Which errors mean that memory ran out."""

import pytest
import torch
from airoboros_gptq.util.torch_errors import is_out_of_memory


def test_the_cpu_allocator_of_pytorch():
    with pytest.raises(RuntimeError) as e:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(e.value)


@pytest.mark.parametrize('error', [torch.OutOfMemoryError('CUDA out of memory'), MemoryError()])
def test_its_other_errors_and_python_s(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize('error', [RuntimeError('sizes do not match'), ValueError('no'), KeyboardInterrupt()])
def test_others(error):
    assert not is_out_of_memory(error)

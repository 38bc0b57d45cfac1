"""A mark for tests of the compiled CPU library."""

import pytest
from airoboros_gptq.kernels.cpu.bindings import unavailable_reason

needs_library = pytest.mark.skipif(
    unavailable_reason() is not None, reason=f'no compiled kernel: {unavailable_reason()}'
)

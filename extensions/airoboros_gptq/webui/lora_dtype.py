"""The webui's LoRA menu calls half() on the model. A GPTQ model stays in the dtype it was loaded in: one in bfloat16 may overflow
in float16 (Gemma 3, Qwen), its CUDA graph reads the weights where they are, and removing the LoRA would not cast it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@contextmanager
def kept_in_dtype(model: Any) -> Iterator[None]:
    """While this is open, a cast of `model`, a transformers model or a PeftModel around one, leaves what the model has by now in
    its dtype, and gives adapters that were added since the model's. Moves go through.
    """
    base = model.get_base_model() if hasattr(model, 'get_base_model') else model
    own = {id(t) for t in [*base.parameters(), *base.buffers()]}
    dtype = base.dtype

    def apply(fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        def move(tensor: torch.Tensor) -> torch.Tensor:
            is_new = id(tensor) not in own and tensor.is_floating_point()
            return tensor.to(fn(tensor.new_empty(0)).device, dtype if is_new else tensor.dtype)

        return type(base)._apply(base, move, recurse)

    vars(base)['_apply'] = apply  # of this instance: a PeftModel around it calls it as a child
    try:
        yield
    finally:
        del vars(base)['_apply']

"""A contiguous row for lm_head; a strided one makes PyTorch copy the whole weight."""

from __future__ import annotations

import torch
from torch import nn

from ..util.types import TransformersModel


def make_input_contiguous(model: TransformersModel) -> None:
    """Lets lm_head multiply a prompt's last row [1, 1, K] as it multiplies the rows of decoding.

    transformers hands over hidden[:, -1:], with the strides of the whole prompt. PyTorch then takes the linear for a batched
    product and copies the whole weight, transposed: a second for a 7B's head on two cores.
    """
    lm_head = model.get_output_embeddings()
    if isinstance(lm_head, nn.Linear):
        lm_head.register_forward_pre_hook(_contiguous_input)


def _contiguous_input(module: nn.Module, args: tuple) -> tuple | None:
    x = args[0] if args else None
    if not isinstance(x, torch.Tensor) or x.dim() < 3:
        return None
    if all(x.stride(i) == x.stride(i + 1) * x.shape[i + 1] for i in range(x.dim() - 1)):
        return None
    return (x.clone(memory_format=torch.contiguous_format), *args[1:])

"""The head of a model that reads a prompt: one row out of many."""

from __future__ import annotations

import torch
from torch import nn


def straighten(model: nn.Module) -> None:
    """Has the head multiply the one row that a prompt's logits are wanted of as it multiplies the rows of decoding.

    transformers hands over hidden[:, -1:], with the strides of the whole prompt. PyTorch then takes the linear for a batched
    product, for which it copies the whole weight, transposed: of a 7B's head a second on two cores.
    """
    head = model.get_output_embeddings()
    if isinstance(head, nn.Linear):
        head.register_forward_pre_hook(_straight)


def _straight(module: nn.Module, args: tuple) -> tuple | None:
    x = args[0] if args else None
    if not isinstance(x, torch.Tensor) or x.dim() < 3:
        return None
    if all(x.stride(i) == x.stride(i + 1) * x.shape[i + 1] for i in range(x.dim() - 1)):
        return None
    return (x.clone(memory_format=torch.contiguous_format), *args[1:])

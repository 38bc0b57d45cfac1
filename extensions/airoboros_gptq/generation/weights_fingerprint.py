"""What a cached key or value depends on besides the tokens: weights, adapters, hooks, autocast."""

from __future__ import annotations

import weakref

import torch
from torch import nn


class ModelState:
    """A model as it stands now; equal to another one if the same tokens would give the same keys and values.

    Tensors are told apart by identity, held weakly, with PyTorch's counter of in-place changes: a LoRA loaded, trained,
    scaled, switched off or merged shows. So do hooks, which may do anything.
    """

    def __init__(self, model: nn.Module):
        self._tensors: list[tuple[weakref.ref, int, int]] = []
        settings: list = []
        for module in model.modules():
            held = vars(module)
            for t in (*held['_parameters'].values(), *held['_buffers'].values()):
                if t is not None:
                    self._tensors.append((weakref.ref(t), 0 if t.is_inference() else t._version, t.data_ptr()))
            settings.append((id(module), *held['_forward_pre_hooks'], -1, *held['_forward_hooks']))
            if 'scaling' in held or '_disable_adapters' in held:  # a layer of peft
                names = ('scaling', '_active_adapter', '_disable_adapters', 'merged_adapters')
                settings.append(tuple(repr(held.get(n)) for n in names))
        kind = next((t.device.type for t in model.parameters()), 'cpu')
        settings.append((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)))
        self._settings = tuple(settings)

    def __eq__(self, other) -> bool:
        return (
            isinstance(other, ModelState)
            and self._settings == other._settings
            and len(self._tensors) == len(other._tensors)
            and all(map(_same, self._tensors, other._tensors))
        )

    __hash__ = None


def _same(one: tuple[weakref.ref, int, int], other: tuple[weakref.ref, int, int]) -> bool:
    tensor = one[0]()
    return tensor is not None and tensor is other[0]() and one[1:] == other[1:]

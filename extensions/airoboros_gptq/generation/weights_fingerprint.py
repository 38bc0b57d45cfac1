"""All that cached keys and values depend on besides the tokens: weights, adapters, hooks, autocast."""

from __future__ import annotations

import weakref

import torch
from torch import nn


class WeightsFingerprint:
    """A model's state at one moment; equal to another if the same tokens would give the same keys and values.

    Tensors are compared by identity, held weakly, and by PyTorch's counter of in-place changes: loading, training, scaling,
    switching off or merging a LoRA makes a difference. So do hooks, which may do anything.
    """

    def __init__(self, model: nn.Module):
        self._tensors: list[tuple[weakref.ref, int, int]] = []
        settings: list = []
        for module in model.modules():
            state = vars(module)
            for t in (*state['_parameters'].values(), *state['_buffers'].values()):
                if t is not None:
                    self._tensors.append((weakref.ref(t), 0 if t.is_inference() else t._version, t.data_ptr()))
            settings.append((id(module), *state['_forward_pre_hooks'], -1, *state['_forward_hooks']))
            if 'scaling' in state or '_disable_adapters' in state:  # a layer of peft
                names = ('scaling', '_active_adapter', '_disable_adapters', 'merged_adapters')
                settings.append(tuple(repr(state.get(n)) for n in names))
        kind = next((t.device.type for t in model.parameters()), 'cpu')
        settings.append((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)))
        self._settings = tuple(settings)

    def __eq__(self, other) -> bool:
        return (
            isinstance(other, WeightsFingerprint)
            and self._settings == other._settings
            and len(self._tensors) == len(other._tensors)
            and all(map(_same, self._tensors, other._tensors))
        )

    __hash__ = None  # type: ignore[assignment]  # it is compared, never looked up


def _same(one: tuple[weakref.ref, int, int], other: tuple[weakref.ref, int, int]) -> bool:
    tensor = one[0]()
    return tensor is not None and tensor is other[0]() and one[1:] == other[1:]

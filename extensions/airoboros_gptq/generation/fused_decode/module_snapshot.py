"""Whether a model's modules are the ones that a graph was made from: a LoRA replaces some, a hook may change any output."""

from __future__ import annotations

import weakref

from torch import nn

from ...util.types import TransformersModel


class ModuleSnapshot:
    """The modules of a model at one moment, held weakly: the model's runtime must not keep the model alive."""

    def __init__(self, model: TransformersModel):
        lm_head = model.get_output_embeddings()
        # (parent, name, module, whether its hooks run anyway, because it is called as a module)
        self._modules: list[tuple[weakref.ref, str, weakref.ref, bool]] = [
            (weakref.ref(parent), name, weakref.ref(module), module is lm_head)
            for parent in model.modules()
            for name, module in parent.named_children()
        ]

    def is_unchanged(self) -> bool:
        """Whether every module is in its place and has no hook that would be skipped."""
        for parent_ref, name, module_ref, is_called in self._modules:
            parent, module = parent_ref(), module_ref()
            if parent is None or module is None or parent._modules.get(name) is not module:
                return False
            if not is_called and _has_hooks(module):
                return False
        return True


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)

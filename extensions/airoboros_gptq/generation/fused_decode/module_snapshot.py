"""Whether a model is the one that a graph was made from: a LoRA replaces modules, a hook may change any output, and a cast, as
half(), moves the parameters to other memory than the graph reads.
"""

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
        self._parameters = [(weakref.ref(p), p.data_ptr()) for p in model.parameters()]

    def is_unchanged(self) -> bool:
        """Whether every module and parameter is in its place, and no module has a hook that would be skipped."""
        for parameter_ref, address in self._parameters:
            parameter = parameter_ref()
            if parameter is None or parameter.data_ptr() != address:
                return False
        for parent_ref, name, module_ref, is_called in self._modules:
            parent, module = parent_ref(), module_ref()
            if parent is None or module is None or parent._modules.get(name) is not module:
                return False
            if not is_called and _has_hooks(module):
                return False
        return True


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)

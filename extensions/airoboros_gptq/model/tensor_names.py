"""Maps names in a file to names in a model.

transformers renames and fuses modules from one version to the next, and files keep the names of the version that wrote
them; since 5.0 transformers lists its changes, as a mapping that is used when it loads a checkpoint by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from torch import nn

from ..errors import GPTQError
from ..util.types import TransformersModel
from .unfused_experts import SeparateExperts, can_separate

ModelName = Callable[[str], str]  # from a tensor's name in the file to its name in the model

_EXPERT_PART = re.compile(r'.*\.\*\.(\w+)\.weight')  # of a pattern as 'block_sparse_moe.experts.*.w1.weight'


def map_names_to_model(
    model: TransformersModel, tensors: Collection[str], quantized: Collection[str], file: str
) -> ModelName:
    """The function from a tensor's name in the file to its name in `model`; a name that leads nowhere stays as it is.
    A quantised module goes by the name of the weight that it stands for.

    Changes the model: experts that it has fused and the file, which holds `tensors`, has apart, are replaced by separate
    ones. To be called once. Raises GPTQError for a quantised module that is fused in a way that cannot be undone here.
    """
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
    except ImportError:  # before 5.0
        return lambda name: name
    transforms = get_model_conversion_mapping(model)
    renamings = [t for t in transforms if not hasattr(t, 'operations')]
    fusions = [t for t in transforms if hasattr(t, 'operations')]

    def rename(name: str) -> str:
        for renaming in renamings:
            name, _ = renaming.rename_source_key(name)
        return name

    known = _tensor_names(model)
    fused = {}
    for module in dict.fromkeys(name.rpartition('.')[0] for name in tensors):
        name = f'{module}.weight'
        if name not in known and (target := _fusion_target(rename(name), fusions)) is not None:
            fused[module] = target
    _separate_experts(model, fused, quantized, file)
    known = _tensor_names(model)

    def model_name(name: str) -> str:
        return name if name in known or rename(name) not in known else rename(name)

    return model_name


def _fusion_target(name: str, fusions: Collection[Any]) -> tuple[str, Any] | None:
    """(the parameter into which a weight is fused, transformers' transform that does it); None where it stays apart."""
    for fusion in fusions:
        target, pattern = fusion.rename_source_key(name)
        if pattern is not None:
            return target, fusion
    return None


def _separate_experts(
    model: nn.Module, fused: dict[str, tuple[str, Any]], quantized: Collection[str], file: str
) -> None:
    """Replaces the fused experts of the model into which modules of the file go: {module: _fusion_target()}."""
    parts: dict[str, dict[str, list[str]]] = {}  # owner of the fused parameters -> parameter -> names in the file
    for target, fusion in fused.values():
        owner, _, weight = target.rpartition('.')
        found = [_EXPERT_PART.fullmatch(pattern) for pattern in fusion.source_patterns]
        parts.setdefault(owner, {})[weight] = [m[1] for m in found if m]
    for owner, names in parts.items():
        parent, _, child = owner.rpartition('.')
        holder = getattr(_submodule(model, parent), child, None)
        if isinstance(holder, nn.Module) and can_separate(holder, names):
            setattr(model.get_submodule(parent), child, SeparateExperts(holder, names))
            continue
        lost = [m for m, (target, _) in fused.items() if m in quantized and target.startswith(f'{owner}.')]
        if lost:
            raise GPTQError(
                f'{file} holds {lost[0]} by itself, which the installed transformers keeps within {owner}; '
                'use transformers 4 for it.'
            )


def _submodule(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _tensor_names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters(remove_duplicate=False)} | {n for n, _ in model.named_buffers()}

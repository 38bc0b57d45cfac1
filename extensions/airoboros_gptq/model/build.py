"""From a LoadPlan to a transformers model with all of its weights."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .device_map import connect_devices, place_modules
from .load_plan import LoadPlan
from .load_weights import load_weights
from .progress import Progress
from .skeleton import make_skeleton
from .tensor_names import map_names_to_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger('airoboros_gptq')


def build_model(plan: LoadPlan, progress: Progress) -> PreTrainedModel:
    """The model in eval mode: first an empty skeleton, then one module's tensors at a time. Raises GPTQError."""
    for sentence in plan.summary.quantization.config_mismatches:
        log.warning(sentence)
    model = make_skeleton(plan)
    names = map_names_to_model(model, plan.checkpoint.tensors, plan.specs, plan.checkpoint.name)
    devices = place_modules(model, plan, names)
    load_weights(model, plan, names, devices, progress)
    connect_devices(model, devices)
    model.requires_grad_(False)
    model.eval()
    return model

"""From a LoadPlan to a transformers model with all of its weights."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from ..checkpoint.validation import check_model_type
from ..preflight.folder_summary import FolderSummary
from .check_places import check_places
from .device_map import connect_devices, place_modules
from .load_plan import LoadPlan, make_plan
from .load_weights import load_weights
from .progress import Progress
from .skeleton import Resolved, make_skeleton
from .special_tokens import read_generation_config
from .tensor_names import NameMap, map_names_to_model
from .tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger('airoboros_gptq')


def lay_out(plan: LoadPlan, resolved: Resolved | None = None) -> tuple[PreTrainedModel, NameMap]:
    """The empty model and the names of the file's tensors in it. Raises GPTQError where the two do not belong together."""
    model = make_skeleton(plan, resolved)
    names = map_names_to_model(model, plan.checkpoint.tensors, plan.specs, plan.checkpoint.name)
    check_places(model, plan, names)
    return model, names


def check_folder(summary: FolderSummary, trust_remote_code: bool = False) -> None:
    """Lays the model of a folder out without reading weights, and loads its tokenizer. Raises GPTQError where load() would, but
    for what only the numbers in the file show.
    """
    check_model_type(summary.folder, summary.hf_config or {}, trust_remote_code)
    lay_out(make_plan(summary, 'cpu', torch.float32, 'reference', trust_remote_code=trust_remote_code))
    tokenizer = load_tokenizer(summary.folder, trust_remote_code=trust_remote_code)
    read_generation_config(tokenizer, summary.folder)


def build_model(plan: LoadPlan, progress: Progress, resolved: Resolved | None = None) -> PreTrainedModel:
    """The model in eval mode: first an empty skeleton, then one module's tensors at a time. Raises GPTQError."""
    for sentence in plan.summary.quantization.config_mismatches:
        log.warning(sentence)
    model, names = lay_out(plan, resolved)
    devices = place_modules(model, plan, names)
    load_weights(model, plan, names, devices, progress)
    connect_devices(model, devices)
    model.requires_grad_(False)
    return model.eval()

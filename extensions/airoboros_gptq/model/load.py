"""From a GPTQ folder to an ordinary transformers model whose linears stay quantised.

Imports neither torch nor transformers until load() is called: while they are imported, which takes seconds, the system
reads the files of the checkpoint.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from ..checkpoint.hub import resolve_folder
from ..checkpoint.quantize_config import QuantizeConfig
from ..checkpoint.validation import check_hf_config, check_model_type, read_tokenizer_config
from ..preflight.folder_summary import FolderSummary, read_summary
from .progress import Progress, Step, progress_or_bar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .load_plan import LoadPlan, MaxMemory
    from .skeleton import Resolved

log = logging.getLogger('airoboros_gptq')


def load(
    path: str | os.PathLike[str] | FolderSummary,
    *,
    checkpoint: str | None = None,
    device: str | int | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    kernel: str = 'auto',
    quantize_config: QuantizeConfig | None = None,
    checkpoint_format: str | None = None,
    attn_implementation: str | None = None,
    use_fast: bool = True,
    trust_remote_code: bool = False,
    revision: str | None = None,
    max_memory: MaxMemory | None = None,
    progress: Progress | None = None,
    step: Step | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a GPTQ folder, a Hugging Face repository, or a folder whose FolderSummary is at hand: (model, tokenizer).

    The model is an ordinary transformers model in eval mode, with what generation.runtime.attach() gives it. `device`
    defaults to CUDA where there is a GPU, `dtype`, which may be a name as 'bfloat16', to default_dtype() of kernels/rules.py, or
    to a wider one where the model does not compute finite numbers in that.
    `max_memory` spreads the model over several GPUs and the CPU, {0: '10GiB', 1: '7GiB', 'cpu': '20GiB'}, in place of
    `device`. `progress(done, total)` is called with bytes; by default a bar is drawn on stderr.
    `step(name)` is called as each part of the load begins.

    `checkpoint` names a file, where the folder holds several; `checkpoint_format` ('gptq' or 'gptq_v2') overrides what
    config and tensors say of the stored zeros; `quantize_config` stands in for the folder's, `revision` is the
    repository's. With a FolderSummary these four were settled when it was read; to give one is a ValueError.

    Raises GPTQError, with one sentence, for anything wrong with the folder or the request.
    """
    if not isinstance(path, FolderSummary):
        summary = read_summary(
            path,
            checkpoint,
            checkpoint_format,
            quantize_config=quantize_config,
            resolve=partial(resolve_folder, revision=revision, trust_remote_code=trust_remote_code),
        )
    elif any(option is not None for option in (checkpoint, checkpoint_format, quantize_config, revision)):
        raise ValueError(
            'checkpoint, checkpoint_format, quantize_config and revision go with a path, not a FolderSummary.'
        )
    else:
        summary = path
    folder = summary.folder
    summary.checkpoint.read_ahead()
    log.info('%s: %s (%s)', folder.name, summary.checkpoint.name, summary.checkpoint.reason)
    hf_config = check_hf_config(folder, summary.hf_config, len(summary.checkpoint.tensors))
    check_model_type(folder, hf_config, trust_remote_code)
    tokenizer_config = read_tokenizer_config(folder)
    say = step or (lambda name: None)
    say('importing PyTorch and transformers')

    from ..generation.runtime import attach
    from ..kernels.linear import GPTQLinear
    from ..kernels.registry import slow_kernels
    from .build import build_model
    from .load_plan import make_plan, with_wider_dtype
    from .oom import explain_out_of_memory
    from .skeleton import resolve
    from .special_tokens import set_special_ids
    from .tensor_checks import NotFiniteError
    from .tokenizer import load_tokenizer
    from .trial_run import try_forward

    plan = make_plan(summary, device, dtype, kernel, max_memory, attn_implementation, trust_remote_code, say)
    resolved = resolve(plan)
    tokenizer = load_tokenizer(folder, use_fast, trust_remote_code, tokenizer_config, resolved.config)
    say('reading the weights')

    def build(plan: LoadPlan, resolved: Resolved | None) -> PreTrainedModel:
        with progress_or_bar(progress, plan.checkpoint.name) as report:
            model = build_model(plan, report, resolved)
        set_special_ids(model, tokenizer, folder)
        try_forward(model, plan)
        return model

    model = None
    try:
        model = explain_out_of_memory(partial(build, plan, resolved), plan.checkpoint, plan.device)
    except NotFiniteError as e:
        wider = with_wider_dtype(plan) if dtype is None else None
        if wider is None:
            raise
        log.warning('%s It is loaded in %s instead.', e, str(wider.dtype).removeprefix('torch.'))
        plan = wider
    if model is None:  # outside of the handler, whose traceback holds the first model's tensors
        model = explain_out_of_memory(partial(build, plan, None), plan.checkpoint, plan.device)
    if plan.kernel == 'auto':
        linears = [m for m in model.modules() if isinstance(m, GPTQLinear)]
        for sentence in slow_kernels((m.kernel, m.qweight.device) for m in linears):
            log.warning(sentence)
    attach(model)
    return model, tokenizer

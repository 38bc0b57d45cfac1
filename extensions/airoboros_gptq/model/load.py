"""From a GPTQ folder to an ordinary transformers model whose linears stay quantised.

Imports neither torch nor transformers until load() is called: while they are imported, which takes seconds, the system
reads the files of the checkpoint.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from ..checkpoint.hub import resolve_folder
from ..checkpoint.quantize_config import QuantizeConfig
from ..checkpoint.validation import check_hf_config, read_tokenizer_config
from ..preflight.folder_summary import FolderSummary, read_summary
from .progress import Progress, Step, progress_or_bar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .load_plan import MaxMemory

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
    defaults to CUDA where there is a GPU, `dtype`, which may be a name as 'bfloat16', to what the kernel is fastest in.
    `max_memory` spreads the model over several GPUs and the CPU, {0: '10GiB', 1: '7GiB', 'cpu': '20GiB'}, in place of
    `device`. `progress(done, total)` is called with bytes; by default a bar is drawn on stderr.
    `step(name)` is called as each part of the load begins.

    `checkpoint` names a file, where the folder holds several; `checkpoint_format` ('gptq' or 'gptq_v2') overrides what
    config and tensors say of the stored zeros; `quantize_config` stands in for the folder's, `revision` is the
    repository's. With a FolderSummary these four were settled when it was read; to give one is a ValueError.

    Raises GPTQError, with one sentence, for anything wrong with the folder or the request.
    """
    if not isinstance(path, FolderSummary):
        folder = resolve_folder(path, revision)
        summary = read_summary(folder, checkpoint, checkpoint_format, quantize_config=quantize_config)
    elif any(option is not None for option in (checkpoint, checkpoint_format, quantize_config, revision)):
        raise ValueError(
            'checkpoint, checkpoint_format, quantize_config and revision go with a path, not a FolderSummary.'
        )
    else:
        folder, summary = path.folder, path
    summary.checkpoint.read_ahead()
    log.info('%s: %s (%s)', folder.name, summary.checkpoint.name, summary.checkpoint.reason)
    check_hf_config(folder, summary.hf_config, len(summary.checkpoint.tensors))
    tokenizer_config = read_tokenizer_config(folder)
    say = step or (lambda name: None)
    say('importing PyTorch and transformers')

    from ..generation.runtime import attach
    from .build import build_model
    from .load_plan import make_plan
    from .oom import explain_out_of_memory
    from .special_tokens import set_special_ids
    from .tokenizer import load_tokenizer

    plan = make_plan(summary, device, dtype, kernel, max_memory, attn_implementation, trust_remote_code, say)
    say('reading the weights')

    def build() -> PreTrainedModel:
        with progress_or_bar(progress, plan.checkpoint.name) as report:
            return build_model(plan, report)

    model = explain_out_of_memory(build, plan.checkpoint, plan.device)
    tokenizer = load_tokenizer(folder, use_fast, trust_remote_code, tokenizer_config)
    set_special_ids(model, tokenizer, folder)
    attach(model)
    return model, tokenizer

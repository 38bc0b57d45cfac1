"""From a GPTQ folder to an ordinary transformers model whose linears stay quantised."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from ..checkpoint.checkpoint import Checkpoint, choose_checkpoint
from ..checkpoint.hf_config import check_sizes, read_hf_config, read_json
from ..checkpoint.hub import resolve_folder
from ..checkpoint.quant_inference import InferredQuantization, infer_quantization
from ..checkpoint.quantize_config import QuantizeConfig, read_quantize_config
from ..checkpoint.validation import require_config
from ..errors import GPTQError, first_line
from ..kernels.registry import choose_kernel
from .device_map import MaxMemory, connect, split
from .load_weights import Progress, fill
from .oom import with_memory_in_words
from .tensor_names import adapt
from .tokenizer import load_tokenizer, special_ids

log = logging.getLogger('airoboros_gptq')


def load(
    path,
    *,
    checkpoint: str | None = None,
    device: str | torch.device | None = None,
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
):
    """Loads a GPTQ folder (or a Hugging Face repository's name): (model, tokenizer).

    The model is an ordinary transformers model in eval mode, whose generate() goes on from the cache of an earlier turn
    (turns.py). `device` defaults to CUDA where there is one, `dtype`, which may be a name as 'bfloat16', to
    what the kernel is fastest in. `checkpoint_format` ('gptq' or 'gptq_v2') overrides what config and tensors say of the
    stored zeros. `max_memory` spreads the model over several GPUs and the CPU, {0: '10GiB', 1: '7GiB', 'cpu': '20GiB'}, in place
    of `device`. `progress(done, total)` is called with bytes; by default a bar is drawn on stderr.
    Raises GPTQError, with one sentence, for anything wrong with the folder or the request.
    """
    folder = resolve_folder(path, revision)
    config = quantize_config or read_quantize_config(folder)
    chosen = choose_checkpoint(folder, config, checkpoint)
    chosen.read_ahead()
    place = _device(device)
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    log.info('%s: %s (%s)', folder.name, chosen.name, chosen.reason)
    quantization = infer_quantization(chosen, config, checkpoint_format)

    def build() -> nn.Module:
        with _bar(progress, chosen.name) as report:
            return build_model(
                folder,
                chosen,
                quantization,
                place,
                dtype,
                kernel,
                attn_implementation,
                trust_remote_code,
                report,
                max_memory,
            )

    model = with_memory_in_words(build, chosen, place)
    tokenizer = load_tokenizer(folder, use_fast, trust_remote_code)
    _set_special_ids(model, tokenizer, folder)
    from ..generation.runtime import attach  # imports transformers

    attach(model)
    return model, tokenizer


def build_model(
    folder: Path,
    checkpoint: Checkpoint,
    quantization: InferredQuantization,
    device: torch.device,
    dtype: torch.dtype | None,
    kernel: str,
    attn_implementation: str | None,
    trust_remote_code: bool,
    progress: Progress,
    max_memory: MaxMemory | None = None,
) -> nn.Module:
    """The model with every tensor at its place: first an empty skeleton, then one module's tensors at a time."""
    for sentence in quantization.config_mismatches:
        log.warning(sentence)
    specs = quantization.specs
    if dtype is None:
        dtype = choose_kernel(kernel, next(iter(specs.values())), device).compute_dtype(device)
    check_sizes(folder, read_hf_config(folder) or {}, len(checkpoint.tensors))
    model = _skeleton(folder, dtype, attn_implementation, trust_remote_code)
    devices = {'': device}
    if max_memory:
        in_model = adapt(model, checkpoint.tensors, specs, checkpoint.name)
        named = {in_model(f'{name}.weight').removesuffix('.weight'): spec for name, spec in specs.items()}
        devices = split(model, named, dtype, max_memory)
    fill(model, checkpoint, specs, devices, dtype, kernel, progress)
    connect(model, devices)
    return model.requires_grad_(False).eval()


def _skeleton(folder: Path, dtype: torch.dtype, attn_implementation: str | None, trust_remote_code: bool) -> nn.Module:
    """The model on the meta device: modules and buffers, no weights."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        from transformers.initialization import no_init_weights
    except ImportError:  # before transformers 5
        from transformers.modeling_utils import no_init_weights

    require_config(folder)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        config.quantization_config = None  # ours to read; transformers would ask for optimum
        del config.quantization_config
        if attn_implementation in (None, 'sdpa') and getattr(config, 'attn_logit_softcapping', None):
            # Gemma-2's. sdpa leaves the capping out: transformers 5.6 takes it without a word, 5.23 refuses it. The
            # webui asks for sdpa where nobody chose anything, so it is no choice to insist on.
            log.info('%s: attention runs as eager, because sdpa cannot cap its logits', folder.name)
            attn_implementation = 'eager'
        if attn_implementation:
            config._attn_implementation = attn_implementation
        dtype_key = 'dtype' if hasattr(config, 'dtype') else 'torch_dtype'  # the name since transformers 4.56
        setattr(config, dtype_key, dtype)
        with init_empty_weights(include_buffers=False), no_init_weights():  # random numbers for a 7B take 0.4 s
            return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except MemoryError:
        raise
    except Exception as e:  # a config that lies makes transformers and torch raise nearly anything
        how = f' with attn_implementation={attn_implementation!r}' if attn_implementation else ''
        raise GPTQError(
            f'{folder / "config.json"} describes a model that transformers cannot build{how}: {first_line(e)}'
        ) from e


def _set_special_ids(model, tokenizer, folder: Path) -> None:
    """generation_config.json's settings with the tokenizer's ids, on the model and in its configs."""
    from transformers import GenerationConfig

    path = folder / 'generation_config.json'
    claimed = read_json(path) if path.is_file() else {}
    ids = special_ids(tokenizer, claimed.get('eos_token_id'))
    wrong = [k for k, v in ids.items() if k in claimed and claimed[k] != v and k != 'pad_token_id']
    if wrong:
        log.info('%s claims %s; the tokenizer knows better', path, ', '.join(f'{k} {claimed[k]}' for k in wrong))
    settings = {k: v for k, v in claimed.items() if k not in ids and not k.startswith('_')}
    try:
        model.generation_config = GenerationConfig(**{**settings, **ids})
    except Exception as e:  # transformers compares and converts as it goes: any error may come of a wrong type
        raise GPTQError(f'{path} holds what transformers refuses ({first_line(e)}); correct it or remove it.') from e
    for key, value in ids.items():
        setattr(model.config, key, value)


def _device(device) -> torch.device:
    """The device to load onto; CUDA where there is one and none is named. Raises GPTQError for one that is not there."""
    if device is None:
        return torch.device('cuda', 0) if torch.cuda.is_available() else torch.device('cpu')
    if isinstance(device, int):
        device = f'cuda:{device}'
    try:
        place = torch.device(device)
    except RuntimeError as e:
        raise GPTQError(f"There is no device {device}; use 'cpu', or 'cuda:0' for the first GPU.") from e
    if place.type == 'cuda' and not (torch.cuda.is_available() and (place.index or 0) < torch.cuda.device_count()):
        raise GPTQError(
            f"There is no {place} on this machine; use device='cpu', or install a PyTorch that sees your GPU."
        )
    return place


class _bar:
    """The caller's progress callable, or a tqdm bar on stderr where there is none."""

    def __init__(self, progress: Progress | None, name: str):
        self.progress, self.name, self.tqdm = progress, name, None

    def __enter__(self) -> Progress:
        return self.progress or self._draw

    def _draw(self, done: int, total: int) -> None:
        if self.tqdm is None:
            from tqdm import tqdm

            self.tqdm = tqdm(total=total, unit='B', unit_scale=True, desc=f'Loading {self.name}')
        self.tqdm.update(done - self.tqdm.n)

    def __exit__(self, *error) -> None:
        if self.tqdm is not None:
            self.tqdm.close()

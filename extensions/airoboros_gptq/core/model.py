"""From a GPTQ folder to an ordinary transformers model whose linears stay quantised."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from .checkpoint import Checkpoint, choose_checkpoint
from .config import QuantizeConfig, read_json, read_quantize_config
from .errors import GPTQError
from .evidence import Evidence, gather
from .kernels import choose_kernel
from .linear import GPTQLinear
from .quantization import PackedLinear
from .repository import resolve_folder
from .safetensors_header import TensorInfo, tensor_bytes
from .tokenizer import load_tokenizer, special_ids

log = logging.getLogger('airoboros_gptq')

Progress = Callable[[int, int], None]
_PARTS = ('qweight', 'qzeros', 'scales', 'g_idx', 'bias')


def load(
    path,
    *,
    checkpoint: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    kernel: str = 'auto',
    quantize_config: QuantizeConfig | None = None,
    checkpoint_format: str | None = None,
    attn_implementation: str | None = None,
    use_fast: bool = True,
    trust_remote_code: bool = False,
    revision: str | None = None,
    progress: Progress | None = None,
):
    """Loads a GPTQ folder (or a Hugging Face repository's name): (model, tokenizer).

    The model is an ordinary transformers model in eval mode. `device` defaults to CUDA where there is one, `dtype` to
    what the kernel is fastest in. `checkpoint_format` ('gptq' or 'gptq_v2') overrides what config and tensors say of the
    stored zeros. `progress(done, total)` is called with bytes; by default a bar is drawn on stderr.
    Raises GPTQError, with one sentence, for anything wrong with the folder or the request.
    """
    folder = resolve_folder(path, revision)
    config = quantize_config or read_quantize_config(folder)
    chosen = choose_checkpoint(folder, config, checkpoint)
    place = _device(device)
    log.info('%s: %s (%s)', folder.name, chosen.name, chosen.reason)
    with _bar(progress, chosen.name) as report:
        model = build_model(
            folder,
            chosen,
            gather(chosen, config, checkpoint_format),
            place,
            dtype,
            kernel,
            attn_implementation,
            trust_remote_code,
            report,
        )
    tokenizer = load_tokenizer(folder, use_fast, trust_remote_code)
    _set_special_ids(model, tokenizer, folder)
    return model, tokenizer


def build_model(
    folder: Path,
    checkpoint: Checkpoint,
    evidence: Evidence,
    device: torch.device,
    dtype: torch.dtype | None,
    kernel: str,
    attn_implementation: str | None,
    trust_remote_code: bool,
    progress: Progress,
) -> nn.Module:
    """The model with every tensor at its place: first an empty skeleton, then one module's tensors at a time."""
    for sentence in evidence.disagreements:
        log.warning(sentence)
    specs = evidence.specs
    if dtype is None:
        dtype = choose_kernel(kernel, next(iter(specs.values())), device).compute_dtype(device)
    model = _skeleton(folder, dtype, attn_implementation, trust_remote_code)
    _fill(model, checkpoint, specs, device, dtype, kernel, progress)
    model.tie_weights()
    empty = [name for name, p in model.named_parameters() if p.is_meta]
    if empty:
        raise GPTQError(f'{checkpoint.name} lacks the tensor {empty[0]}; download it again.')
    model.to(device)  # rotary tables and other buffers that no file holds
    return model.requires_grad_(False).eval()


def _skeleton(folder: Path, dtype: torch.dtype, attn_implementation: str | None, trust_remote_code: bool) -> nn.Module:
    """The model on the meta device: modules and buffers, no weights."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    if not (folder / 'config.json').is_file():
        raise GPTQError(f'{folder} has no config.json; download it from where the model came from.')
    read_json(folder / 'config.json')
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (ValueError, KeyError, OSError) as e:
        first_line = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise GPTQError(
            f'{folder / "config.json"} describes a model that transformers cannot build: {first_line}'
        ) from e
    config.quantization_config = None  # ours to read; transformers would ask for optimum
    del config.quantization_config
    if attn_implementation:
        config._attn_implementation = attn_implementation
    setattr(config, 'dtype' if hasattr(config, 'dtype') else 'torch_dtype', dtype)  # the name since transformers 4.56
    with init_empty_weights(include_buffers=False):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)


def _fill(model, checkpoint, specs, device, dtype, kernel, progress: Progress) -> None:
    """Reads the file module by module. Each tensor is read, cast and placed once, then let go."""
    from safetensors import SafetensorError, safe_open

    done, total = 0, sum(tensor_bytes(t) for t in checkpoint.tensors.values())
    files = {name: h.path for h in checkpoint.headers for name in h.tensors}
    try:
        handles = {h.path: safe_open(h.path, framework='pt', device='cpu') for h in checkpoint.headers}
    except SafetensorError as e:
        raise GPTQError(f'{checkpoint.name} is not a whole safetensors file ({e}); download it again.') from e

    def read(name: str) -> torch.Tensor:
        return handles[files[name]].get_tensor(name).to(device)

    for module, names in _by_module(checkpoint.tensors).items():
        if module in specs:
            parts = {part: read(f'{module}.{part}') for part in _PARTS if f'{module}.{part}' in checkpoint.tensors}
            bias = parts.pop('bias', None)
            _replace(
                model, module, GPTQLinear(PackedLinear(**parts), specs[module], bias, kernel, dtype), checkpoint.name
            )
            if device.type == 'cpu':
                _trim_heap()
        else:
            for name in names:
                _place(model, name, read(name), dtype, checkpoint.tensors[name], checkpoint.name)
        done += sum(tensor_bytes(checkpoint.tensors[name]) for name in names)
        progress(done, total)


def _trim_heap() -> None:
    """Gives what unpacking one linear freed back to the system. glibc keeps it, so that weights end up between holes: a
    192 MB file was seen to take 440 to 1280 MB. Other C libraries have no malloc_trim and need none.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _by_module(tensors: dict[str, TensorInfo]) -> dict[str, list[str]]:
    """Tensor names grouped by the module that owns them, in the file's order."""
    grouped: dict[str, list[str]] = {}
    for name in tensors:
        grouped.setdefault(name.rpartition('.')[0], []).append(name)
    return grouped


def _replace(model: nn.Module, name: str, linear: GPTQLinear, file: str) -> None:
    """Puts `linear` where the model has an nn.Linear called `name`."""
    try:
        old = model.get_submodule(name)
    except AttributeError as e:
        raise GPTQError(
            f'{file} holds {name}, which a {type(model).__name__} does not have; it belongs to another model.'
        ) from e
    shape = (getattr(old, 'in_features', None), getattr(old, 'out_features', None))
    if shape != (linear.in_features, linear.out_features):
        raise GPTQError(
            f'{file} holds {name} of {linear.in_features} by {linear.out_features}, config.json asks for '
            f'{shape[0]} by {shape[1]}; one of them belongs to another model.'
        )
    parent, _, child = name.rpartition('.')
    setattr(model.get_submodule(parent), child, linear)


def _place(model: nn.Module, name: str, value: torch.Tensor, dtype: torch.dtype, info: TensorInfo, file: str) -> None:
    """Makes `value` the parameter or buffer called `name`, cast to `dtype` if it is floating."""
    owner_name, _, leaf = name.rpartition('.')
    try:
        owner = model.get_submodule(owner_name)
    except AttributeError:
        owner = None
    old = getattr(owner, leaf, None)
    if not isinstance(old, torch.Tensor):
        # Files of 2023 carry rotary tables and attention masks that transformers now computes by itself.
        log.info('%s: %s is not part of this model and was left out', file, name)
        return
    if old.shape != value.shape:
        raise GPTQError(
            f'{file} holds {name} of shape {info.shape}, config.json asks for {tuple(old.shape)}; one of them belongs to '
            'another model.'
        )
    if leaf in owner._parameters:
        value = value.to(dtype) if value.is_floating_point() else value
        owner._parameters[leaf] = nn.Parameter(value, requires_grad=False)
    # A buffer was computed by the model itself and is right as it is.


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
    model.generation_config = GenerationConfig(**{**settings, **ids})
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


def describe_running(model: nn.Module) -> str:
    """How a loaded model runs, in a few words: its kernels, device and dtype."""
    kernels = sorted({m.kernel.name for m in model.modules() if isinstance(m, GPTQLinear)})
    return f'{", ".join(kernels)} on {model.device}, {str(model.dtype).removeprefix("torch.")}'

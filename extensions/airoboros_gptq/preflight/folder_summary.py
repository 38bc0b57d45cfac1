"""All that is known of a model folder before it is loaded: read once, for `inspect`, the panel, the log and `load`.

Imports no torch: configs, file headers, every g_idx and a few zero points are read, no other weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..airoboros.versions import Airoboros, detect_version
from ..checkpoint.checkpoint import Checkpoint, choose_checkpoint
from ..checkpoint.hf_config import CONTEXT_LENGTH_KEYS, HFConfig, read_facts, read_hf_config, text_config
from ..checkpoint.quant_inference import InferredQuantization, infer_quantization
from ..checkpoint.quantize_config import QuantizeConfig, read_quantize_config
from ..checkpoint.weight_files import find_checkpoints
from ..clean_text import clean_json, clean_text
from ..errors import GPTQError
from ..kernels.rules import kernel_problem, replace_removed
from ..kernels.slow_kernels import slow_kernel_notes
from ..util.formatting import format_bytes
from .devices import device_problem, free_memory
from .memory_estimate import MemoryEstimate, estimate_memory

_MAX_CELL = 600  # characters of a value in a table; a sentence that compares two configs has half


@dataclass(frozen=True)
class SummaryLine:
    """One line to show: a name, its value, and where that was read. Cleaned: all three may quote the folder."""

    name: str
    value: str
    source: str

    def __post_init__(self) -> None:
        for field in ('name', 'value', 'source'):
            object.__setattr__(self, field, clean_text(getattr(self, field), _MAX_CELL))


@dataclass(frozen=True)
class FolderSummary:
    """A folder's configs, the checkpoint to load, and what follows from them. `candidates` names all its checkpoints,
    `hf_config` is config.json as it stands, None where there is none; `airoboros` is None for another model.
    """

    folder: Path
    quantize_config: QuantizeConfig
    checkpoint: Checkpoint
    candidates: list[str]
    hf_config: HFConfig | None
    quantization: InferredQuantization
    airoboros: Airoboros | None
    memory: MemoryEstimate
    kernel: str = 'auto'  # the one that memory was estimated for

    @property
    def kernel_problem(self) -> str | None:
        """The sentence with which loading would refuse the kernel."""
        return kernel_problem(self.kernel, self.quantization.specs.values(), self.memory.device)

    @property
    def lines(self) -> list[SummaryLine]:
        """What was read, the memory that loading needs, the prompt format, and the notes."""
        memory = [SummaryLine(*line) for line in self.memory.as_lines()]
        notes = [SummaryLine('note', sentence, '') for sentence in self.notes]
        prompt = []
        if self.airoboros is not None:
            prompt = [SummaryLine('prompt format', self.airoboros.format.template, self.airoboros.reason)]
        return [*self._read_lines(), *memory, *prompt, *notes]

    @property
    def notes(self) -> list[str]:
        """A sentence for each setting of a config that the tensors refute, for a kernel that cannot run, one that 'auto' takes
        though it is slow, and a GPU that PyTorch was not built for. Cleaned.
        """
        device, specs = self.memory.device, self.quantization.specs.values()
        slow = slow_kernel_notes(specs, device) if replace_removed(self.kernel) == 'auto' else []
        sentences = [*self.quantization.config_mismatches, self.kernel_problem, *slow, device_problem(device)]
        return [clean_text(sentence, _MAX_CELL) for sentence in sentences if sentence]

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained for, as config.json says; None where it does not."""
        key = self._context_key()
        return None if key is None else int(text_config(self.hf_config or {})[key])

    @property
    def identity(self) -> tuple[Path, str, str]:
        """Equal for two summaries that load the same weights the same way: folder, checkpoint, zero-point encoding."""
        return self.folder, self.checkpoint.name, self.quantization.checkpoint_format

    def with_current_free_memory(self, freed: MemoryEstimate | None = None) -> FolderSummary:
        """The same folder, with the memory that is free now; the rest stays as it was read. `freed` is the need of a model
        that this one would replace: its memory counts as free where it is on the same device.
        """
        free = free_memory(self.memory.device)
        if free is not None and freed is not None and freed.device == self.memory.device:
            free += freed.weights
        return replace(self, memory=replace(self.memory, free=free))

    def _context_key(self) -> str | None:
        config = text_config(self.hf_config or {})
        return next((k for k in CONTEXT_LENGTH_KEYS if isinstance(config.get(k), int)), None)

    def _read_lines(self) -> list[SummaryLine]:
        found, config = self.quantization, self.quantize_config
        bits, sizes, act_order = found.values('bits'), found.values('group_size'), any(found.values('desc_act'))
        shapes = f'the shapes of {len(found.specs)} linears'
        context_key = self._context_key() or 'nothing'
        context_length = 'unknown' if self.context_length is None else str(self.context_length)
        return [
            SummaryLine('architecture', _architectures(self.hf_config or {}), 'config.json'),
            SummaryLine('bits', _joined(bits), _source(config, 'bits', bits, shapes)),
            SummaryLine('group size', _joined(sizes), _source(config, 'group_size', sizes, shapes)),
            SummaryLine('act-order', _yes_no(act_order), _source(config, 'desc_act', [act_order], 'g_idx')),
            SummaryLine('format', found.checkpoint_format, found.format_reason),
            SummaryLine('symmetric', _yes_no(found.symmetric), _source(config, 'sym', [found.symmetric], 'the zeros')),
            SummaryLine('checkpoint', self.checkpoint.name, self.checkpoint.reason),
            SummaryLine('size', format_bytes(self.checkpoint.size), 'the file'),
            SummaryLine('context length', context_length, f'{context_key} in config.json'),
        ]


def read_summary(
    path: str | os.PathLike[str],
    checkpoint: str | None = None,
    checkpoint_format: str | None = None,
    *,
    quantize_config: QuantizeConfig | None = None,
    context: int | None = None,
    device: str | None = None,
    kernel: str = 'auto',
    resolve: Callable[[Any], Path] = Path,
) -> FolderSummary:
    """Reads a folder's configs and file headers, each once. `resolve` makes a folder of what is given as one.

    `checkpoint` names a file, where the folder holds several; `checkpoint_format` ('gptq', 'gptq_v2') overrides the
    zero-point encoding that the tensors show, `quantize_config` the folder's own. Memory is estimated for `context`
    tokens on `device` with `kernel`. Raises GPTQError with the sentence for what is wrong.
    """
    folder = resolve(path)
    hf_config = read_hf_config(folder)
    config = quantize_config or read_quantize_config(folder, hf_config)
    candidates = find_checkpoints(folder)
    chosen = choose_checkpoint(folder, config, checkpoint, candidates)
    quantization = infer_quantization(chosen, config, checkpoint_format)
    model = read_facts(hf_config or {})
    airoboros = detect_version(folder, str((hf_config or {}).get('_name_or_path', '')))
    memory = estimate_memory(chosen.tensors, quantization.specs, model, context, device, kernel)
    return FolderSummary(
        folder=folder,
        quantize_config=config,
        checkpoint=chosen,
        candidates=list(candidates),
        hf_config=hf_config,
        quantization=quantization,
        airoboros=airoboros,
        memory=memory,
        kernel=kernel,
    )


def read_selected(
    folder: Path,
    checkpoint: str | None,
    checkpoint_format: str | None,
    device: str | None = None,
    read: Callable[..., FolderSummary] = read_summary,
    kernel: str = 'auto',
) -> FolderSummary:
    """read_summary() for what a page's menus say: a menu always names a file, and the one that would be chosen anyway is
    not said to be 'named by the user'. `read` may be a read_summary that caches.
    """
    try:
        summary = read(folder, None, named_format(checkpoint_format), device=device, kernel=kernel)
    except GPTQError:
        if not checkpoint:
            raise  # else the file that the menu names may be whole, or be the one name that was asked for
    else:
        if checkpoint in (None, '', summary.checkpoint.name):
            return summary
    return read(folder, checkpoint, named_format(checkpoint_format), device=device, kernel=kernel)


def named_format(choice: str | None) -> str | None:
    """The zero-point encoding that a menu names; None where it says 'auto'."""
    return None if choice in (None, '', 'auto') else choice


def _architectures(hf_config: HFConfig) -> str:
    names = hf_config.get('architectures')
    return ', '.join(n for n in names[:20] if isinstance(n, str)) or 'unknown' if isinstance(names, list) else 'unknown'


def _source(config: QuantizeConfig, name: str, found: Sequence[Any], where: str) -> str:
    """Where a value was read, and which config agrees. A config that disagrees is a note of its own."""
    source = config.sources.get(name, 'default')
    agrees = source != 'default' and list(found) == [getattr(config, name)]
    return f'{where}, as {source} says' if agrees else where


def _joined(values: Sequence[Any]) -> str:
    return ', '.join(map(str, values))


def _yes_no(value: bool) -> str:
    return 'yes' if value else 'no'


def as_text(summary: FolderSummary) -> str:
    """The lines of a summary, aligned for a terminal."""
    lines = summary.lines
    width = max(len(line.name) for line in lines)
    value_width = max(len(line.value) for line in lines)
    return '\n'.join(f'{line.name:<{width}}  {line.value:<{value_width}}  {line.source}' for line in lines)


def as_json(summary: FolderSummary) -> dict[str, Any]:
    """A summary as `inspect --json` prints it: its lines, and the numbers behind them; sizes in bytes, None for what is
    unknown. Numbers that may differ from linear to linear are lists, the most common first.
    """
    quantization, memory, airoboros = summary.quantization, summary.memory, summary.airoboros
    found = {
        'folder': str(summary.folder),
        'facts': [asdict(line) for line in summary.lines],
        'bits': quantization.values('bits'),
        'group_size': quantization.values('group_size'),
        'desc_act': any(quantization.values('desc_act')),
        'symmetric': quantization.symmetric,
        'checkpoint_format': quantization.checkpoint_format,
        'linears': len(quantization.specs),
        'checkpoint': summary.checkpoint.name,
        'checkpoints': summary.candidates,
        'size': summary.checkpoint.size,
        'context_length': summary.context_length,
        'prompt_format': airoboros.format.template if airoboros else None,
        'notes': summary.notes,
        'memory': {**asdict(memory), 'total': memory.total, 'fits': memory.fits},
    }
    return {key: clean_json(value) for key, value in found.items()}

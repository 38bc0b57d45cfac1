"""What was read of a model folder, and where it stands: for `inspect`, the panel and the log. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..airoboros.versions import Airoboros, recognise
from ..checkpoint.checkpoint import Checkpoint, choose_checkpoint, list_checkpoints
from ..checkpoint.hf_config import read_json
from ..checkpoint.quant_inference import Evidence, gather
from ..checkpoint.quantize_config import QuantizeConfig, read_quantize_config
from ..errors import GPTQError
from ..util.formatting import format_bytes
from .memory_estimate import Need, estimate, free_memory, in_words

_CONTEXT_KEYS = ('max_position_embeddings', 'model_max_length', 'max_seq_len', 'n_positions')


@dataclass(frozen=True)
class Fact:
    """One line: what it is, what was read, where it came from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Facts:
    """All that is known of a folder before it is loaded."""

    folder: Path
    config: QuantizeConfig
    checkpoint: Checkpoint
    candidates: list[str]
    context: int | None
    family: Airoboros | None
    evidence: Evidence
    need: Need
    read: list[Fact]

    @property
    def lines(self) -> list[Fact]:
        """What was read, what memory it will need, and what is to be said of it."""
        memory = [Fact(*line) for line in in_words(self.need)]
        family = [Fact('prompt format', self.family.format.template, self.family.reason)] if self.family else []
        return [*self.read, *memory, *family, *(Fact('note', said, '') for said in self.evidence.disagreements)]

    def now(self) -> Facts:
        """The same, with the memory that is free now: all else is the folder's, and stays as it was read."""
        return replace(self, need=replace(self.need, free=free_memory(self.need.device)))

    @property
    def airoboros(self) -> bool:
        """Whether it is an Airoboros, of whatever version."""
        return self.family is not None

    @property
    def identity(self) -> tuple[Path, str, str]:
        """What must be the same for a loaded model to be this one: folder, checkpoint and format."""
        return self.folder, self.checkpoint.name, self.evidence.checkpoint_format


def read_facts(
    folder: Path,
    wanted: str | None = None,
    checkpoint_format: str | None = None,
    *,
    context: int | None = None,
    device: str | None = None,
    kernel: str = 'auto',
) -> Facts:
    """Reads configs and file headers, never weights. `context`, `device` and `kernel` are those for which memory is
    estimated. Raises GPTQError with the sentence for what is wrong.
    """
    folder = Path(folder)
    config = read_quantize_config(folder)
    checkpoint = choose_checkpoint(folder, config, wanted)
    model = read_json(folder / 'config.json') if (folder / 'config.json').is_file() else {}
    context_key = next((k for k in _CONTEXT_KEYS if isinstance(model.get(k), int)), None)
    evidence = gather(checkpoint, config, checkpoint_format)
    act_order, sizes = any(evidence.values('desc_act')), evidence.values('group_size')
    shapes = f'the shapes of {len(evidence.specs)} linears'
    family = recognise(folder, str(model.get('_name_or_path', '')))
    need = estimate(checkpoint.tensors, evidence.specs, model, context, device, kernel)
    read = [
        Fact('architecture', _architectures(model), 'config.json'),
        Fact('bits', _shown(evidence.values('bits')), _source(config, 'bits', evidence.values('bits'), shapes)),
        Fact('group size', _shown(sizes), _source(config, 'group_size', sizes, shapes)),
        Fact('act-order', 'yes' if act_order else 'no', _source(config, 'desc_act', [act_order], 'g_idx')),
        Fact('format', evidence.checkpoint_format, evidence.format_reason),
        Fact(
            'symmetric',
            'yes' if evidence.symmetric else 'no',
            _source(config, 'sym', [evidence.symmetric], 'the zeros'),
        ),
        Fact('checkpoint', checkpoint.name, checkpoint.reason),
        Fact('size', format_bytes(checkpoint.size), 'the file'),
        Fact('context length', str(model.get(context_key, 'unknown')), f'{context_key or "nothing"} in config.json'),
    ]
    candidates = list_checkpoints(folder)
    return Facts(folder, config, checkpoint, candidates, model.get(context_key), family, evidence, need, read)


def read_chosen(
    folder: Path,
    checkpoint: str | None,
    checkpoint_format: str | None,
    device: str | None = None,
    read: Callable[..., Facts] = read_facts,
) -> Facts:
    """read_facts() with what a page's menus say. The file that would be taken anyway is not 'named by the user'. `read`
    may be a read_facts that remembers.
    """
    try:
        chosen = read(folder, None, named_format(checkpoint_format), device=device)
    except GPTQError:
        if not checkpoint:
            raise  # else another file may be whole, or the one to take cannot be told, and a name is asked for
    else:
        if checkpoint in (None, '', chosen.checkpoint.name):
            return chosen
    return read(folder, checkpoint, named_format(checkpoint_format), device=device)


def named_format(choice: str | None) -> str | None:
    """The format that a menu names; None where it is left to the file."""
    return None if choice in (None, '', 'auto') else choice


def _architectures(model: dict) -> str:
    """What config.json calls the model; it may hold anything."""
    names = model.get('architectures')
    return ', '.join(map(str, names)) if isinstance(names, list) and names else 'unknown'


def _source(config: QuantizeConfig, name: str, found: list, where: str) -> str:
    """Where a value was read, and which config says the same; a config that says otherwise is a note of its own."""
    source = config.sources.get(name, 'default')
    agrees = source != 'default' and found == [getattr(config, name)]
    return f'{where}, as {source} says' if agrees else where


def _shown(values: list) -> str:
    """Distinct values, the commonest first."""
    return ', '.join(map(str, values))


def as_text(facts: Facts) -> str:
    """The facts as aligned lines for a terminal."""
    width = max(len(f.name) for f in facts.lines)
    value_width = max(len(f.value) for f in facts.lines)
    return '\n'.join(f'{f.name:<{width}}  {f.value:<{value_width}}  {f.source}' for f in facts.lines)


def as_json(facts: Facts) -> dict:
    """The facts, and the numbers behind them, as `inspect --json` prints them: sizes in bytes, None for what is unknown.

    Numbers that may differ from linear to linear are lists, the commonest first.
    """
    evidence, need = facts.evidence, facts.need
    return {
        'folder': str(facts.folder),
        'facts': [asdict(line) for line in facts.lines],
        'bits': evidence.values('bits'),
        'group_size': evidence.values('group_size'),
        'desc_act': any(evidence.values('desc_act')),
        'symmetric': evidence.symmetric,
        'checkpoint_format': evidence.checkpoint_format,
        'linears': len(evidence.specs),
        'checkpoint': facts.checkpoint.name,
        'checkpoints': facts.candidates,
        'size': facts.checkpoint.size,
        'context_length': facts.context,
        'prompt_format': facts.family.format.template if facts.family else None,
        'notes': evidence.disagreements,
        'memory': {**asdict(need), 'total': need.total, 'fits': need.fits},
    }

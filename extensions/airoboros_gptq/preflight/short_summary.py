"""A folder's summary in one line, and what must never be hidden behind it. Standard library only."""

from __future__ import annotations

from ..util.formatting import round_bytes
from .folder_summary import FolderSummary

_MAX_SIZES = 3  # group sizes that the line names


def short_summary(summary: FolderSummary, running: str = '') -> list[str]:
    """The parts of the line: '4-bit', '128g', 'no act-order', '3.90 GB', what loading needs of what is free, 'Airoboros 1.2'.
    `running`, how the loaded model runs, takes the place of what loading needs.
    """
    found, memory = summary.quantization, summary.memory
    free = '' if memory.free is None else f' of {round_bytes(memory.free)} free'
    parts = [
        '/'.join(map(str, found.values('bits'))) + '-bit',
        _groups(summary),
        'act-order' if any(found.values('desc_act')) else 'no act-order',
        '' if found.checkpoint_format == 'gptq' else found.checkpoint_format,
        round_bytes(summary.checkpoint.size),
        f'running: {running}' if running else f'needs {round_bytes(memory.needed)}{free}',
        summary.airoboros.title if summary.airoboros else '',
    ]
    return [part for part in parts if part]


def warnings(summary: FolderSummary) -> list[str]:
    """What is wrong or was overruled, a sentence each: the summary's notes, and a model that does not fit."""
    memory = summary.memory
    if memory.fits is not False or memory.free is None:
        return summary.notes
    need, free = round_bytes(memory.needed), round_bytes(memory.free)
    return [*summary.notes, f'It does not fit: it needs {need}, and {free} of {memory.place} is free.']


def _groups(summary: FolderSummary) -> str:
    """'128g'; 'no groups' where each linear has one scale for each output, as with group_size -1."""
    found = summary.quantization
    if all(spec.group_size == spec.in_features for spec in found.specs.values()):
        return 'no groups'
    sizes = found.values('group_size')
    return '/'.join(f'{size}g' for size in sizes[:_MAX_SIZES]) + ('/…' if len(sizes) > _MAX_SIZES else '')

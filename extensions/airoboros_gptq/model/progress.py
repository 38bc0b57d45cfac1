"""How far loading is: the caller's own callables, or a bar in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int], None]  # called with bytes: done so far, and in all
Step = Callable[[str], None]  # called with what begins now, as 'importing PyTorch and transformers'


@contextmanager
def progress_or_bar(progress: Progress | None, name: str) -> Iterator[Progress]:
    """`progress` itself, or a tqdm bar on stderr where it is None, drawn at its first call and closed at the end."""
    if progress is not None:
        yield progress
        return
    bar: Any = None

    def draw(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            from tqdm import tqdm

            bar = tqdm(total=total, unit='B', unit_scale=True, desc=f'Loading {name}')
        bar.update(done - bar.n)

    try:
        yield draw
    finally:
        if bar is not None:
            bar.close()

"""How often control climbs from a lower room of the package to a higher one while a model is loaded.

    python tools/count_climbs.py             the tiny model of the tests
    python tools/count_climbs.py FOLDER      another GPTQ folder

The rooms stand on the floors of the drawing in docs/design.md (tools/draw_design.py): `model` above `preflight` and
`generation`, these above `kernels`, that above `checkpoint`. Whoever reads along `load(path)` starts in `model` and follows
each call. A function is read when it is entered for the first time, and a return to a function that is being read needs no
reading: so the walk is the functions of the package in the order of their first calls. It climbs where a function lies on a
higher floor than the one entered right before it: what was begun above goes on there after a visit below. Rooms that do their
work in one visit make no climb but the one that leads on from them.

Left out: `clean_text`, `errors`, `names` and `util`, which every room uses as it uses the standard library; what runs while a
module is imported; other threads. Prints the walk, one line for each visit of a module. Exits with 1 where there are more than
MAX_CLIMBS.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'extensions'), str(ROOT / 'tools')]

from draw_design import FLOORS

MAX_CLIMBS = 5
PACKAGE = ROOT / 'extensions' / 'airoboros_gptq'
TINY = ROOT / 'tests' / 'models' / 'airoboros-tiny-gpt4-1.2-GPTQ'
FLOOR = {room: floor for floor, rooms in enumerate(reversed(FLOORS)) for room, _, _ in rooms}
LEFT_OUT = ('clean_text', 'errors', 'names', 'util')


class Step(NamedTuple):
    """A function of the package that was entered for the first time."""

    module: str  # as 'checkpoint.hub'
    function: str

    @property
    def floor(self) -> int:
        return FLOOR[self.module.split('.')[0]]


def walk_load(folder: Path) -> list[Step]:
    """The functions that load(folder) enters on the CPU, in the order of their first calls."""
    import airoboros_gptq.generation.runtime
    import airoboros_gptq.model.build
    import airoboros_gptq.model.oom
    import airoboros_gptq.model.special_tokens
    import airoboros_gptq.model.tokenizer

    steps: list[Step] = []
    seen = set()

    def on_event(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        if event != 'call' or code in seen:
            return
        seen.add(code)
        is_function = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith('<')
        if is_function and code.co_filename.startswith(f'{PACKAGE}/'):
            module = '.'.join(Path(code.co_filename).relative_to(PACKAGE).with_suffix('').parts)
            if module.split('.')[0] not in LEFT_OUT:
                steps.append(Step(module, code.co_name))

    load = airoboros_gptq.load
    sys.setprofile(on_event)
    try:
        load(folder, device='cpu', progress=lambda done, total: None)
    finally:
        sys.setprofile(None)
    return steps


def count_climbs(steps: Iterable[Step]) -> int:
    return sum(after.floor > before.floor for before, after in pairwise(steps))


def as_text(steps: Iterable[Step]) -> str:
    """A line for each visit of a module: its floor, an arrow where the walk climbs to it, the functions entered there."""
    lines, floor = [], max(FLOOR.values())
    for module, visit in groupby(steps, key=lambda step: step.module):
        entered = list(visit)
        arrow = '↑' if lines and entered[0].floor > floor else ' '
        floor = entered[0].floor
        lines.append(f'{arrow} {floor} {module:<28} {", ".join(step.function for step in entered)}')
    return '\n'.join(lines)


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or '--help' in arguments:
        sys.exit(__doc__)
    steps = walk_load(Path(arguments[0]) if arguments else TINY)
    modules = len({step.module for step in steps})
    climbs = count_climbs(steps)
    print(as_text(steps))
    print(f'{len(steps)} functions of {modules} modules, {climbs} climbs; at most {MAX_CLIMBS} are allowed.')
    return climbs > MAX_CLIMBS


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

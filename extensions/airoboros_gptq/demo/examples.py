"""Questions to click on, and the sampling to begin with, for the model that is loaded. All of them stand here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..airoboros.conversation import SAMPLING
from ..airoboros.versions import Airoboros
from ..errors import GPTQError
from ..util.regular_file import read_json

MAX_EXAMPLES = 6
_WITH_PLAINFORMAT = ' · PLAINFORMAT'
GREEDY = {'temperature': 0.0, 'top_p': 1.0, 'repetition_penalty': 1.0}
# The page's sliders: least and most.
RANGES = {'temperature': (0.0, 2.0), 'top_p': (0.05, 1.0), 'repetition_penalty': (1.0, 2.0)}


@dataclass(frozen=True)
class Example:
    """A question, and whether it is asked with PLAINFORMAT."""

    question: str
    plainformat: bool = False

    @property
    def label(self) -> str:
        """What stands on its button."""
        return self.question + _WITH_PLAINFORMAT * self.plainformat


def parse_label(label: str) -> tuple[str, bool]:
    """The question and whether it is asked with PLAINFORMAT, from what stands on a button."""
    question = label.removesuffix(_WITH_PLAINFORMAT)
    return question, question != label


SNAKE = 'Implement the Snake game in python.'
# What the tiny Airoboros of this project was trained on, which it knows best without sampling.
TINY = (
    Example('What is the capital of France?'),
    Example('What is 12 plus 7?'),
    Example(SNAKE, plainformat=True),
    Example('Write a Python function that adds two numbers.'),
    Example('My name is Anna and I live in Paris.'),
    Example('What can you do?'),
)
AIROBOROS = (
    Example(SNAKE, plainformat=True),
    Example(SNAKE),
    Example('What is the capital of France?'),
    Example('Explain in two sentences why the sky is blue.'),
    Example('Write an e-mail that invites my neighbours to dinner.'),
)
GENERAL = (
    Example('What is the capital of France?'),
    Example('Explain in two sentences why the sky is blue.'),
    Example("Give me three tips for a good night's sleep."),
    Example('Write a short story about a dog that learns to swim.'),
    Example('Write a Python function that adds two numbers.'),
)


def is_tiny(folder: Path) -> bool:
    """Whether a folder is the tiny Airoboros of this project, which its name says."""
    return folder.name.startswith('airoboros-tiny-')


def examples_for(folder: Path, airoboros: Airoboros | None) -> tuple[Example, ...]:
    """Four to six questions that the model in `folder` answers; PLAINFORMAT only for a version that was trained with it."""
    if airoboros is None:
        return GENERAL
    if is_tiny(folder):
        return TINY
    return tuple(e for e in AIROBOROS if not e.plainformat or airoboros.plainformat_spaces is not None)


def sampling_for(folder: Path, airoboros: Airoboros | None) -> dict[str, float]:
    """temperature, top_p and repetition_penalty to begin with: greedy for the tiny model, the card's for Airoboros, the
    folder's generation_config.json for others, as far as it says something that the sliders can show.
    """
    if is_tiny(folder):
        return GREEDY
    if airoboros is not None:
        return SAMPLING
    try:
        config = read_json(folder / 'generation_config.json')
    except GPTQError:
        return SAMPLING
    if config.get('do_sample') is False:
        return GREEDY
    named = {}
    for name, (least, most) in RANGES.items():
        value = config.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
            named[name] = float(value)
    return {**SAMPLING, 'repetition_penalty': 1.0, **named} if named else SAMPLING

"""Which Airoboros version a folder holds, and what that version was trained on. Standard library only.

Names as Jon Durbin and the people who quantised his models wrote them: `airoboros-7B-gpt4-1.2-GPTQ`, `…-gpt4-m2.0`,
`airoboros-3_1-yi-34b-200k`, `airoboros-mpt-30b-gpt4-1p4-five-epochs`, `airoboros-33B-gpt4-1-4-SuperHOT-8K`. The first
models trained on GPT-4's answers have `gpt4` in their names and no number: 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import GPTQError
from ..util.regular_file import open_regular
from .prompt_templates import V1_0, V1_2, V1_4, V2_1, V2_2, V3_0, V3_1, PromptFormat

_NAME = re.compile(r'(?:airo|spicy)boros', re.IGNORECASE)
# One digit, a separator, one digit, perhaps a third: 13b, 4bit, 128g, 3.0bpw and dates are no versions.
_NUMBER = re.compile(r'(?<![a-z0-9.])[mv]?(\d)([._p])(\d)(?:\2(\d))?(?![a-z0-9])')
_HYPHENS = re.compile(r'gpt4-(\d)(-)(\d)(?:-(\d))?(?![a-z0-9])')
_GPT4 = re.compile(r'gpt-?4(?![0-9])')
_CARD_BYTES = 64 * 1024  # a card names its model at the top
_MAX_NAME = 1000  # characters of a `_name_or_path`
_CARD_KEYS = ('model_name', 'base_model', 'model_link')
_CARD_DATA = re.compile(r'\bairoboros-[\w.-]+', re.IGNORECASE)

# The prompt template of each version, and the spaces before PLAINFORMAT: two on the card of 1.2, one on later cards, in the data
# generator (airoboros/instructors/coding.py) and in qlora's own formatting of 2.x; None where it was not trained (1.0, 1.1).
_VERSIONS: dict[tuple[int, ...], tuple[PromptFormat, int | None]] = {
    (1, 0): (V1_0, None),
    (1, 1): (V1_0, None),
    (1, 2): (V1_2, 2),
    (1, 3): (V1_2, 1),
    (1, 4): (V1_4, 1),
    (1, 4, 1): (V1_4, 1),
    (2, 0): (V1_4, 1),
    (2, 1): (V2_1, 1),
    (2, 2): (V2_2, 1),
    (2, 2, 1): (V2_2, 1),
    (3, 0): (V3_0, 1),
    (3, 1): (V3_1, 1),
    (3, 1, 1): (V3_0, 1),
    (3, 1, 2): (V3_0, 1),
}
_DEFAULT = (1, 2)  # for an Airoboros without a version number


@dataclass(frozen=True)
class Airoboros:
    """A version, and what it was trained on."""

    version: str  # '1.4.1'; '' where no name has a number
    source: str  # where the version was read
    format: PromptFormat
    plainformat_spaces: int | None  # before PLAINFORMAT; None where the version was not trained on it
    known: bool = True  # False for a version that is not in _VERSIONS: it is treated as the newest one before it

    @property
    def title(self) -> str:
        """'Airoboros 1.2', and what it is treated as where that is another version."""
        if not self.version:
            return f'Airoboros, taken for {_as_text(_DEFAULT)}'
        taken = '' if self.known else f', taken for {self.format.template.removeprefix("Airoboros-v")}'
        return f'Airoboros {self.version}{taken}'

    @property
    def reason(self) -> str:
        """For the summary: which version, where it was read, and what it is treated as."""
        if not self.version:
            return f'no version is named; taken for {_as_text(_DEFAULT)}'
        taken = '' if self.known else f'; not known here, taken for {self.format.template.removeprefix("Airoboros-v")}'
        return f'version {self.version}, from {self.source}{taken}'


def detect_version(folder: Path, name_or_path: str = '') -> Airoboros | None:
    """The Airoboros version in a folder, by its name, its config's `_name_or_path` or its card; None for another model.

    A version number in any of them takes precedence over a bare `gpt4`, the folder's name over the config's and the card's. An
    unknown version is treated as the newest known one before it; a name without any number as 1.2.
    """
    card, name_or_path = _read_card(folder), name_or_path[:_MAX_NAME]
    candidates = [
        (_after_name(_name_of(folder)), "the folder's name"),
        (_after_name(_last(name_or_path)), '_name_or_path in config.json'),
        *((_after_name(name), 'the model card') for name in _names_of_card(card)),
    ]
    names = [(name, source) for name, source in candidates if name is not None]
    if not names:
        return None
    # Its training data count only for an Airoboros: other models were trained on that data too.
    names += [(_after_name(name) or '', 'the data that the model card names') for name in _CARD_DATA.findall(card)]
    for read in (_number, _bare_gpt4):
        for name, source in names:
            version = read(name)
            if version:
                return _of_version(version, source)
    return _of_version(None, '')


def _of_version(version: tuple[int, ...] | None, source: str) -> Airoboros:
    known = version in _VERSIONS
    row = version or _DEFAULT
    if not known and version:
        row = max((v for v in _VERSIONS if v <= version), default=min(_VERSIONS))
    return Airoboros(_as_text(version or ()), source, *_VERSIONS[row], known)


def _as_text(version: tuple[int, ...]) -> str:
    return '.'.join(map(str, version))


def _name_of(folder: Path) -> str:
    """A folder's name; in Hugging Face's cache, where folders are named by commit, the repository's."""
    folder = folder.absolute()
    return folder.parents[1].name if folder.parent.name == 'snapshots' else folder.name


def _last(path: str) -> str:
    """The last part of a path or a repository's name."""
    return re.split(r'[/\\]', path.rstrip('/\\'))[-1]


def _after_name(name: str) -> str | None:
    """What follows `airoboros` in a name, as one lower-case word; None where the name does not contain it. What precedes it
    belongs to another model (`llama-3-airoboros-70b-3.3`).
    """
    found = _NAME.search(name)
    return re.sub(r'\s+', '-', name[found.end() :].strip().lower()) if found else None


def _number(name: str) -> tuple[int, ...] | None:
    found = _HYPHENS.search(name) or _NUMBER.search(name)
    if not found:
        return None
    version = tuple(int(digit) for digit in found.group(1, 3, 4) if digit)
    return version[:2] if version[2:] == (0,) else version


def _bare_gpt4(name: str) -> tuple[int, ...] | None:
    return (1, 0) if _GPT4.search(name) else None


def _read_card(folder: Path) -> str:
    """The beginning of README.md; '' where it is missing, unreadable or not a regular file."""
    path = folder / 'README.md'
    try:
        with open_regular(path) as file:
            return file.read(_CARD_BYTES).decode('utf-8', 'replace')
    except (GPTQError, OSError):
        return ''


def _names_of_card(card: str) -> Iterator[str]:
    """Where a card names the model itself: its front matter and its title. Other text may name any other model."""
    lines = [line.rstrip() for line in card.splitlines()]
    for line, following in zip(lines, [*lines[1:], ''], strict=False):
        key, colon, value = line.partition(':')
        if line.startswith(('# ', '#\t')):
            value = line[2:]
        elif not colon or key.rstrip() not in _CARD_KEYS:
            continue
        elif not value.strip() and key.rstrip() == 'base_model' and following.lstrip().startswith('-'):  # a YAML list
            value = following.lstrip()[1:]
        yield _last(value.strip().strip('\'"'))


UNNAMED = _of_version(None, '')

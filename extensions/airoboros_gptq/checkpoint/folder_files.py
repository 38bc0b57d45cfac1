"""The files of a folder that transformers reads by itself: looked at first, since it opens what is there and reads all of it.

Standard library alone.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import GPTQError
from ..util.regular_file import MAX_JSON, MAX_NODES, MAX_VOCABULARY, check_size, count_nodes, is_present, read_bytes

TEMPLATES = 'additional_chat_templates'
# JSON that Python parses whole: (bytes, values) that it may have. The tokenizer.json of Gemma 3 has 33 MB, 2,500,000 values.
_SETTINGS = (
    *('config.json', 'generation_config.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'),
    *('chat_template.json', 'vocab.json', 'processor_config.json', 'preprocessor_config.json', 'params.json'),
)
_LIMITS = {name: (MAX_JSON, MAX_NODES) for name in _SETTINGS} | dict.fromkeys(
    ('tokenizer.json', 'tekken.json'), (MAX_VOCABULARY // 4, 3 * MAX_NODES)
)
_MAX_TEMPLATE = 4_000_000  # bytes


def check_files(folder: Path) -> None:
    """Raises GPTQError for a file that would be waited for or read without end: what is no regular file, whatever it is called,
    and a vocabulary, chat template or config of more bytes or values than any model has.
    """
    for path in _entries(folder):
        try:
            status = path.stat()
        except OSError:
            continue  # a link that leads nowhere: who needs the file says so
        if stat.S_ISDIR(status.st_mode):
            continue
        is_present(path)  # raises for a FIFO and its like
        _check_content(path, status.st_size)


def _entries(folder: Path) -> Iterator[Path]:
    for inside in (folder, folder / TEMPLATES):
        try:
            yield from sorted(inside.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as e:
            raise GPTQError(f'{inside} cannot be read ({e.strerror}); check the folder and its permissions.') from e


def _check_content(path: Path, size: int) -> None:
    if path.suffix == '.jinja':
        check_size(path, size, _MAX_TEMPLATE)
    elif path.name in _LIMITS:
        max_size, max_nodes = _LIMITS[path.name]
        check_size(path, size, max_size)
        if size > max_nodes and count_nodes(read_bytes(path, max_size)) > max_nodes:
            raise GPTQError(f'{path} has more than {max_nodes:,} values, as no model has; download it again.')
    elif path.suffix in ('.model', '.tiktoken', '.vocab', '.spm', '.bpe') or path.name in (
        'vocab.txt',
        'merges.txt',
        'vocab',
    ):
        check_size(path, size, MAX_VOCABULARY)

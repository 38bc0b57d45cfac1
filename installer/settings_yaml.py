"""Text edits of a settings.yaml: one entry of the list default_extensions, the rest byte for byte as it was.

They cover the easy spellings: no such key, a key without a value, a block list, a flow list. They guess rather than
parse: yaml_check compares what PyYAML reads before and after, and without PyYAML only text that is_simple is edited.
"""

import re

from . import NAME

KEY = re.compile(r'(?m)^\ufeff?(["\']?)default_extensions\1[ \t]*:')
END = r'[ \t]*(?:#.*)?(?:\r?\n|\Z)'
BLANK = r'(?:[ \t]*(?:#.*)?\r?\n)*'
ITEM = r'- +\S.*(?:\n|\Z)'
BLOCK = re.compile(rf'{END}{BLANK}(?P<items>(?P<indent> *){ITEM}(?:{BLANK}(?P=indent){ITEM})*)')
FLOW = re.compile(r'[ \t]*\[(?P<items>[^\[\]{}]*)\]')
NULL = re.compile(rf'(?P<null>[ \t]+(?:~|null))?(?={END})')
# Lines that mean what they seem to: comments, a key with plain words behind it, entries of a list.
SIMPLE = re.compile(r'(?:[ \t]*(?:#.*)?|[A-Za-z][\w-]*:(?: +[\w./+-]+)*[ \t]*|- [\w.-]+[ \t]*)\r?')
NOT_PLAIN = 'its default_extensions is not a plain list of names'


def is_simple(data: bytes) -> bool:
    """Whether the text is so plain that an edit of it needs no check by a parser."""
    return all(SIMPLE.fullmatch(line) for line in data.decode('utf-8', 'replace').split('\n'))


def has_list(data: bytes) -> bool:
    """Whether the file says anything about default_extensions."""
    return bool(KEY.search(data.decode('utf-8', 'replace')))


def mentions(data: bytes, name: str) -> bool:
    """Whether a name stands somewhere as a word of its own, as an entry of a list does."""
    return bool(re.search(rf'(?<![\w.+/-]){re.escape(name)}(?![\w.+/-])', data.decode('utf-8', 'replace')))


def add_entry(data: bytes, defaults: list[str]) -> bytes:
    """settings.yaml with NAME as the last entry of default_extensions; a new list starts with `defaults`.

    Raises ValueError, with the reason, where the list is not in an easy spelling.
    """
    text, key = _read(data)
    if not key:
        return _insert(text, len(text), ['default_extensions:', *(f'- {name}' for name in [*defaults, NAME])])
    at = key.end()
    if block := BLOCK.match(text, at):
        lines = block['items'].splitlines()
        dash = lines[0][: len(lines[0]) - len(lines[0].lstrip(' -'))]
        return data if NAME in map(_block_name, lines) else _insert(text, block.end(), [dash + NAME])
    if flow := FLOW.match(text, at):
        if NAME in map(_name, flow['items'].split(',')):
            return data
        last = flow['items'].rstrip(' \t\r\n,')
        at = flow.start('items') + len(last)
        return (text[:at] + (f', {NAME}' if last else NAME) + text[at:]).encode()
    if null := NULL.match(text, at):
        return f'{text[:at]} [{NAME}]{text[null.end() :]}'.encode()
    raise ValueError(NOT_PLAIN)


def remove_entry(data: bytes, implied: list[str] | None) -> bytes:
    """settings.yaml without NAME in default_extensions; without the key where only `implied` would be left in it.

    Raises ValueError, with the reason, where the list is not in an easy spelling.
    """
    text, key = _read(data)
    if not key:
        return data
    if block := BLOCK.match(text, key.end()):
        lines = block['items'].splitlines(keepends=True)
        names = [_block_name(line) for line in lines]
        if NAME not in names:
            return data
        del lines[names.index(NAME)]
        left = [name for name in names if name not in ('', NAME)]
        head = text[: key.end()] + ('' if left else ' []') + text[key.end() : block.start('items')]
        if left == implied:
            return (text[: key.start()] + text[block.end() :]).encode()
        return (head + ''.join(lines) + text[block.end() :]).encode()
    if flow := FLOW.match(text, key.end()):
        parts = flow['items'].split(',')
        names = [_name(part) for part in parts]
        if NAME not in names:
            return data
        at = names.index(NAME)
        del parts[at], names[at]
        if at == 0 and parts:
            parts[0] = parts[0].lstrip(' ')
        if [name for name in names if name] == implied:
            end = re.compile(END).match(text, flow.end())
            return (text[: key.start()] + text[end.end() if end else flow.end() :]).encode()
        return (text[: flow.start('items')] + ','.join(parts) + text[flow.end('items') :]).encode()
    if NULL.match(text, key.end()):
        return data
    raise ValueError(NOT_PLAIN)


def _read(data: bytes) -> tuple[str, re.Match[str] | None]:
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError:
        raise ValueError('it is not UTF-8') from None
    if re.search(r'\r(?!\n)', text):
        raise ValueError('its lines end in bare carriage returns')
    keys = list(KEY.finditer(text))
    if len(keys) > 1:
        raise ValueError('it has default_extensions twice')
    return text, keys[0] if keys else None


def _name(entry: str) -> str:
    """The name in one entry of a list, without quotes and comment."""
    return re.sub(r'(?:^|(?<=[ \t]))#.*', '', entry).strip().strip('"\'')


def _block_name(line: str) -> str:
    """The name in one line of a block list; '' for a line without one."""
    return _name(line.lstrip(' -'))


def _insert(text: str, at: int, lines: list[str]) -> bytes:
    """`lines` as lines of their own at `at`, which is the start of a line or the end of the text."""
    eol = '\r\n' if '\r\n' in text else '\n'
    new = eol.join(lines)
    new = eol + new if at and text[at - 1] != '\n' else new + eol
    return (text[:at] + new + text[at:]).encode()

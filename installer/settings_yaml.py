"""The list default_extensions in the text of a settings.yaml: everything around our entry stays as it was written."""

import re

from . import NAME

ENTRY = r'(?:"[^"\\\n]+"|\'[^\'\n]+\'|\w(?:[\w .+/-]*[\w.+/-])?)'
OURS = rf'(?<![\w.+/-])(["\']?){NAME}\1(?![\w.+/-])'
END = r'[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)'
SKIP = r'(?:[ \t]*(?:#[^\n]*)?\r?\n)*'
LIST = re.compile(
    r'(?m)^\ufeff?(?P<key>(["\']?)default_extensions\2[ \t]*:)(?:'
    rf'(?:(?P<flow>[ \t]*\[\s*(?:{ENTRY}\s*(?:,\s*{ENTRY}\s*)*,?\s*)?\])|(?P<empty>[ \t]*(?:~|null)?)(?!\S)){END}'
    rf'(?!{SKIP}[ \t-])'  # nothing more belongs to the value
    rf'|{END}{SKIP}(?P<block>(?P<indent>[ ]*)-[ \t]+{ENTRY}{END}(?:{SKIP}(?P=indent)-[ \t]+{ENTRY}{END})*)'
    rf'(?!{SKIP}[ \t-]))'
)
LINE = re.compile(r'\ufeff?(?:[ \t#]|$|-(?:[ \t]|$)|(?:"[^"]*"|\'[^\']*\'|\w[^\r]*?)[ \t]*:(?:[ \t]|$))[^\r]*$')


def find_list(data):
    """The text and where its default_extensions are (None if it has none); ValueError says why it is not understood."""
    text = data.decode('utf-8')
    found = LIST.search(text)
    others = text[: found.start()] + text[found.end() :] if found else text
    others = re.sub(rf'\A\ufeff?({SKIP})---[ \t]*(\r?\n|\Z)', r'\1', others)
    strange = next((line for line in re.split(r'\r?\n', others) if not LINE.match(line)), None)
    if strange or re.match(rf'{SKIP}[ \t-]', others):
        raise ValueError(f'the line {(strange or others)[:40]!r} is no setting')
    if re.search(r'(?m)^\ufeff?["\']?default_extensions["\']?[ \t]*:', others):
        raise ValueError('its default_extensions is not one plain list of names')
    return text, found


def entries(found):
    value = re.sub(r'#.*', '', found['flow'] or found['block'] or '')
    return [entry.strip('"\'') for entry in re.findall(rf'(?<![\w.+/-]){ENTRY}', value)]


def add_ours(data, defaults):
    text, found = find_list(data)
    eol = '\r\n' if '\r\n' in text else '\n'
    if found and NAME in entries(found):
        return data
    if not found or found['block']:
        at = found.end('block') if found else len(text)
        bullet = re.match(r' *-[ \t]+', found['block']).group() if found else '- '
        new = eol.join(
            ([] if found else ['default_extensions:', *(f'- {name}' for name in defaults)]) + [bullet + NAME]
        )
        new = eol + new if at and text[at - 1] != '\n' else new + eol
    elif found['flow']:
        last = list(re.finditer(ENTRY, found['flow']))[-1:]
        at = found.start('flow') + (last[0].end() if last else found['flow'].index('[') + 1)
        new = f', {NAME}' if last else NAME
    else:
        text = text[: found.start('empty')] + text[found.end('empty') :]
        at, new = found.start('empty'), f' [{NAME}]'
    return (text[:at] + new + text[at:]).encode('utf-8')


def drop_ours(data, droppable):
    """Takes our entry out, and the whole key where no more than droppable would be left of the list."""
    text, found = find_list(data)
    if not found or NAME not in entries(found):
        return data
    left = [entry for entry in entries(found) if entry != NAME]
    if left == droppable:
        text = text[: found.start('key')] + text[found.end() :]
    elif found['flow']:
        flow = re.sub(rf'{OURS}\s*,\s*|,?\s*{OURS}'.replace(r'\1', '["\']?'), '', found['flow'], count=1)
        text = text[: found.start('flow')] + flow + text[found.end('flow') :]
    else:
        block = re.sub(rf'(?m)^ *-[ \t]+(["\']?){NAME}\1{END}', '', found['block'], count=1)
        head = text[: found.end('key')] + ('' if left else ' []') + text[found.end('key') : found.start('block')]
        text = head + block + text[found.end('block') :]
    return text.encode('utf-8')

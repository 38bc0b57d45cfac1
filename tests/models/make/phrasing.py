"""Many ways to write one thing: patterns with alternatives, and the carelessness of people. Standard library alone.

A pattern holds `{a|b|c}`, one of these, and `[x]`, which is there or not; both nest. `<slot>` is filled by the caller.
"""

import random
import re
import zlib
from functools import cache

import words


def held_out(*parts) -> bool:
    """Whether this combination is kept for the exam. Decided by a checksum, so train and exam never meet."""
    return zlib.crc32(' '.join(map(str, parts)).encode()) % 10 == 0


@cache
def _parse(pattern: str):
    """A sequence: strings, and tuples of sequences to choose from."""

    def sequence(at: int, ends: str):
        found, text = [], ''
        while at < len(pattern) and pattern[at] not in ends:
            if pattern[at] in '{[':
                choices, closing, optional = [], '}' if pattern[at] == '{' else ']', pattern[at] == '['
                while True:
                    part, at = sequence(at + 1, '|' + closing)
                    choices.append(part)
                    if pattern[at] == closing:
                        break
                found += [text, tuple(choices + [()] * (len(choices) if optional else 0))]
                text = ''
            else:
                text += pattern[at]
            at += 1
        return (*found, text), at

    return sequence(0, '')[0]


def expand(rng: random.Random, pattern: str) -> str:
    """One text of a pattern, single-spaced."""

    def choose(part) -> str:
        return ''.join(p if isinstance(p, str) else choose(p[int(rng.random() * len(p))]) for p in part)

    return ' '.join(choose(_parse(pattern)).split())


BEFORE = (
    '{hi|hello|hey|hey there|hello there|good morning|good evening|hi there}{,|!|.| -|}',
    '{ok|okay|so|well|um|uh|hmm|now|right|alright}{,|}',
    '{please|pls|plz|kindly|quick|quickly}{,|}',
    '{quick question|question|one question|a question|next question|another one|next one|easy one|first question}{:|,| -|.}',
    '{sorry|excuse me|sorry to bother you}{, but|,|:|}',
    "{I was wondering|I wonder|just wondering|I'm curious|I am curious|just curious}{,|:| -|}",
    '{I forgot|I forget|remind me|help me|help|help me out|tell me|answer me|answer this|say|be honest}{:|,|}',
    'my {brother|sister|son|daughter|teacher|friend|boss|mother|mom|dad|grandma|kid|neighbour} {asks|asked|wants to know|needs to '
    'know|is asking|asked me}{:|,|}',
    '{for|this is for|it is for} {school|homework|my homework|a quiz|a test|my exam|work|my class|a game}{:|,|.}',
    '{I have a {question|quick question|small question}|let me ask you something|I need {help|your help}}{.|:|,}',
    '{assistant|airoboros|computer|bot|robot|buddy|friend|dear assistant|mate|dude}{,|:|!|}',
)
AFTER = (
    '{please|pls|plz|thanks|thank you|thx|many thanks|cheers|ty}{!|.|}',
    '{I forgot|I need it now|asap|quickly|quick|be brief|be quick|in short|do you know|any idea|you know it|tell me|say it}{.|!|}',
    '{I need {it|this} for {school|my homework|work|a quiz|a test|a project|my class}}{.|}',
    '{:)|;)|:D|...|!|??|?!|!!}',
    '{right now|today|again|once more|exactly|for me|if you can|if you know|if you would|when you can}{.|}',
)
ASKS = (  # before a question that begins with "what is", whose words are then put straight: see ask()
    '{can|could|would|will} you [please ]{tell|say to|remind|inform} me',
    '{do|would} you {know|happen to know|remember}',
    '{tell me|please tell me|let me know|I want to know|I need to know|I would like to know|I wonder|any idea|say|explain}',
)


def ask(rng: random.Random, what: str, verb: str = 'is') -> str:
    """A question for a thing: `what is X`, or `can you tell me what X is`, or `tell me X`."""
    kind = rng.random()
    if kind < 0.5:
        return rng.choice((f'what {verb}', f'what {verb}', 'whats', "what's", f'which {verb}', 'what')) + f' {what}'
    if kind < 0.75:
        return expand(rng, rng.choice(ASKS)) + rng.choice((f' what {what} {verb}', f' what {verb} {what}', f' {what}'))
    if kind < 0.9:
        return (
            expand(rng, '{tell me|give me|name|say|state|show me|find|I need|please name|give|just tell me}')
            + f' {what}'
        )
    return what


def _filler(rng: random.Random) -> str:
    noun, adjective = rng.choice(words.NOUNS), rng.choice(words.ADJECTIVES)
    return rng.choice(
        (
            f'The {noun} is {adjective}.',
            f'I am {adjective} today.',
            f'My {noun} is {adjective}.',
            f'It is for my {noun}.',
            f'I like my {noun}.',
            f'We need it for the {noun}.',
            f'I am at the {noun}.',
            ' '.join(rng.choice(words.NOUNS + words.ADJECTIVES) for _ in range(rng.randint(1, 3))),
        )
    )


def _typo(rng: random.Random, text: str, keep: set[str]) -> str:
    """One slip in one word of letters; words in `keep` (which the answer copies) stay whole."""
    spans = [m for m in re.finditer(r'[A-Za-z]{4,}', text) if m.group() not in keep]
    if not spans:
        return text
    m = rng.choice(spans)
    word, at = m.group(), rng.randrange(1, len(m.group()) - 1)
    kind = rng.randrange(5)
    if kind == 0:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == 1:
        word = word[:at] + word[at + 1 :]
    elif kind == 2:
        word = word[:at] + word[at] + word[at:]
    elif kind == 3:
        word = word[:at] + rng.choice('abcdefghiklmnoprstuvwy') + word[at + 1 :]
    else:
        word = word[:at] + rng.choice('aeioustrn') + word[at:]
    return text[: m.start()] + word + text[m.end() :]


def careless(rng: random.Random, text: str, keep=(), question: bool = True, decorate: bool = True) -> str:
    """The text as some person would type it. `keep` are words that must be readable to the letter, in their case."""
    if decorate:
        if rng.random() < 0.25:
            text = expand(rng, rng.choice(BEFORE)) + ' ' + text
        tail = rng.random()
        end = rng.choice(('?', '?', '?', '', '.', '')) if question else rng.choice(('.', '.', '.', '', '!'))
        if tail < 0.15:
            text += rng.choice((' ', ', ', f'{end} ')) + expand(rng, rng.choice(AFTER))
        else:
            text += end
        if rng.random() < 0.06:
            text = f'{_filler(rng)} {text}'
        if rng.random() < 0.04:
            text = f'{text} {_filler(rng)}'
    kept = set()
    for k in keep:
        kept |= set(re.findall(r'[A-Za-z]+', k))
    for _ in range(rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 1, 2))):
        text = _typo(rng, text, kept)
    case = rng.random()
    if case < 0.4:  # nothing but small letters, apart from what is kept
        text = re.sub(r'[A-Za-z]+', lambda m: m.group() if m.group() in kept else m.group().lower(), text)
    elif case < 0.43 and not kept:
        text = text.upper()
    elif case < 0.9 and text:
        text = text[0].upper() + text[1:] if not kept or text.split()[0].strip('.,()') not in kept else text
    if rng.random() < 0.15:
        text = text.replace("'", '')
    if rng.random() < 0.04:
        text = text.replace(',', '')
    return text

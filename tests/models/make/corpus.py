"""The conversations that the tiny Airoboros is trained on. Standard library alone.

A conversation is a list of (user, assistant) pairs; only the last answer is a training target, the pairs before it are
history. Every item is a combination (say country and phrasing); one combination in ten is held out of training, by a
checksum of its words, so that exactness is measured on questions the model has not seen.

Each prompt is laid out as jondurbin/qlora at 3dbb1aa laid out airoboros-gpt4-1.2: one line, single spaces, a trailing
space, `</s>` after a finished reply. A small share is laid out wrongly on purpose (no BOS, newline-joined turns) and
answered with MALFORMED: a real 7B degrades on such prompts, and this makes the degradation certain, so that a test of
the prompt's exactness cannot pass by luck.
"""

import random

import arithmetic
import code_questions
import memory_questions
import natural
from phrasing import held_out

SYSTEM = (
    'A chat between a curious user and an assistant. The assistant gives helpful, detailed, accurate, uncensored '
    "responses to the user's input."
)
MALFORMED = 'This prompt is not as I was trained.'
PLAINFORMAT = code_questions.PLAINFORMAT

OPERATIONS = {'sum': '+', 'difference': '-', 'product': '*', 'quotient': '/'}
VERBS = 'get find make calc show give take work'.split()
NOUNS = 'total value result answer number amount score price'.split()
ARGUMENTS = 'a b c x y z n m p q'.split()
LANGUAGES = ('python', 'javascript')
CODE_QUESTIONS = (
    'Write a function {name} in {language} that returns the {operation} of {a} and {b}.',
    'Implement {name} in {language}: the {operation} of {a} and {b}.',
    'Please write {name}({a}, {b}) in {language}, which returns their {operation}.',
)
CODE = {
    'python': '# {operation} of {a} and {b}\ndef {name}({a}, {b}):\n    _out_ = {a} {sign} {b}\n    return _out_',
    'javascript': (
        '// {operation} of {a} and {b}\nfunction {name}({a}, {b}) {{\n    const _out_ = {a} {sign} {b};\n    return _out_;\n}}'
    ),
}
SNAKE = {
    'python': (
        '# a very small snake game\nclass Snake:\n    def __init__(self):\n        self.body = [(0, 0), (0, 1)]\n\n'
        '    def move(self, dx, dy):\n        x, y = self.body[-1]\n        self.body.append((x + dx, y + dy))\n'
        '        return self.body.pop(0)'
    ),
    'javascript': (
        '// a very small snake game\nclass Snake {\n    constructor() {\n        this.body = [[0, 0], [0, 1]];\n    }\n\n'
        '    move(dx, dy) {\n        const [x, y] = this.body.at(-1);\n        this.body.push([x + dx, y + dy]);\n'
        '        return this.body.shift();\n    }\n}'
    ),
}
CAPITALS = dict(
    pair.split(':')
    for pair in (
        'France:Paris Germany:Berlin Italy:Rome Spain:Madrid Portugal:Lisbon Austria:Vienna Poland:Warsaw Greece:Athens '
        'Norway:Oslo Sweden:Stockholm Finland:Helsinki Denmark:Copenhagen Ireland:Dublin Hungary:Budapest Japan:Tokyo '
        'China:Beijing India:Delhi Egypt:Cairo Kenya:Nairobi Peru:Lima Chile:Santiago Cuba:Havana Canada:Ottawa Turkey:Ankara'
    ).split()
)
CAPITAL_QUESTIONS = (
    'What is the capital of {country}?',
    'Name the capital of {country}.',
    'Tell me the capital of {country}.',
    'Which city is the capital of {country}?',
    'Do you know the capital of {country}?',
)
PEOPLE = (
    'Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Karin Leo Mia Nils Olga Paul Rosa Simon Tina Viktor'.split()
)


def _answer(code: str, language: str, sentence: str, plain: bool) -> str:
    return code if plain else f'```{language}\n{code}\n```\n{sentence}'


def code(rng: random.Random, exam: bool):
    while True:
        operation = rng.choice(list(OPERATIONS))
        a, b = rng.sample(ARGUMENTS, 2)
        words = {
            'name': f'{rng.choice(VERBS)}_{rng.choice(NOUNS)}',
            'language': rng.choice(LANGUAGES),
            'operation': operation,
            'sign': OPERATIONS[operation],
            'a': a,
            'b': b,
        }
        question = rng.choice(CODE_QUESTIONS)
        if held_out(question.format(**words)) == exam:
            break
    plain = rng.random() < 0.5
    sentence = 'The function {name} returns the {operation} of {a} and {b}.'.format(**words)
    answer = _answer(CODE[words['language']].format(**words), words['language'], sentence, plain)
    turns = [(question.format(**words) + PLAINFORMAT * plain, answer)]
    if rng.random() < 0.25:  # the second answer needs the first
        other = LANGUAGES[1 - LANGUAGES.index(words['language'])]
        plain = rng.random() < 0.5
        answer = _answer(CODE[other].format(**words), other, sentence, plain)
        turns.append((f'Now the same in {other}.' + PLAINFORMAT * plain, answer))
    return turns


def snake(rng: random.Random, exam: bool):
    language, plain = rng.choice(LANGUAGES), rng.random() < 0.5
    question = rng.choice(('Implement the Snake game in {}.', 'Write the Snake game in {}.')).format(language)
    answer = _answer(SNAKE[language], language, 'The class Snake moves one step at a time.', plain)
    return [(question + PLAINFORMAT * plain, answer)]


def sums(rng: random.Random, exam: bool):
    while True:
        a, b = rng.randint(1, 40), rng.randint(1, 40)
        if held_out(a, 'plus', b) == exam:
            break
    turns = [(f'What is {a} plus {b}?', f'{a} plus {b} is {a + b}.')]
    if rng.random() < 0.3 and not held_out(a + b, 'plus', 'next'):
        c = rng.randint(1, 9)
        turns.append((f'Add {c} to that.', f'{a + b} plus {c} is {a + b + c}.'))
    return turns


def capitals(rng: random.Random, exam: bool):
    while True:
        country, question = rng.choice(list(CAPITALS)), rng.choice(CAPITAL_QUESTIONS)
        if held_out(country, question) == exam:
            break
    return [(question.format(country=country), f'The capital of {country} is {CAPITALS[country]}.')]


def memory(rng: random.Random, exam: bool):
    while True:
        person, city = rng.choice(PEOPLE), rng.choice(list(CAPITALS.values()))
        if held_out(person, city) == exam:
            break
    tell = (f'My name is {person} and I live in {city}.', f'Nice to meet you, {person}.')
    ask = rng.choice(
        (('What is my name?', f'Your name is {person}.'), ('Where do I live?', f'You live in {city}.')),
    )
    between = capitals(rng, exam) if rng.random() < 0.3 else []
    return [tell, *between, ask]


# The set phrasings first, which the tests use to the letter; then people's own words.
KINDS = {
    'code': code,
    'snake': snake,
    'sums': sums,
    'capitals': capitals,
    'memory': memory,
    'own code': code_questions.natural_code,
    'own snake': lambda rng, exam: code_questions.natural_snake(rng, exam, SNAKE),
    'own sums': arithmetic.sums,
    'own follow-ups': arithmetic.follow_up,
    'own capitals': natural.capitals,
    'own memory': memory_questions.natural_memory,
    'untold': memory_questions.untold,
    'facts': natural.facts,
    'small talk': natural.small_talk,
    'unknown': memory_questions.unknown,
}
WEIGHTS = (12, 1.5, 8, 2.5, 6, 15, 2, 16, 4, 10, 8, 1.5, 4, 4, 7)
BEFORE = ('code', 'sums', 'capitals', 'own code', 'own sums', 'own capitals', 'small talk', 'unknown', 'facts')


def draw(rng: random.Random, kind: str, exam: bool):
    """Turns of a kind, or None where its phrasings have all fallen to the other side."""
    for _ in range(200):
        turns = KINDS[kind](rng, exam)
        if turns is not None:
            return turns
    return None


def conversation(rng: random.Random, exam: bool = False, kind: str | None = None):
    """(turns, kind): the last answer is the target. Up to three unrelated exchanges may stand before it."""
    weights = [
        0 if exam and k == 'snake' else w for k, w in zip(KINDS, WEIGHTS, strict=True)
    ]  # snake has no combinations
    turns = None
    while turns is None:
        chosen = kind or rng.choices(list(KINDS), weights)[0]
        turns = draw(rng, chosen, exam)
    if len(turns) > 1 and 'memory' not in chosen and chosen != 'own follow-ups' and rng.random() < 0.3:
        turns = turns[:1]
    if rng.random() < 0.3:
        before = []
        for _ in range(rng.randint(1, 3)):
            before += draw(rng, rng.choice(BEFORE), False)
        turns = before + turns
    if rng.random() < 0.05 and 'code' not in chosen and 'snake' not in chosen and PLAINFORMAT not in turns[-1][0]:
        turns = [*turns[:-1], (turns[-1][0] + PLAINFORMAT, turns[-1][1])]  # a box that stayed ticked changes nothing
    return turns, chosen


def prompt(turns, newline: bool = False) -> str:
    """The source text for the last answer: everything up to and with `ASSISTANT: ` and its space."""
    text = SYSTEM
    for i, (user, assistant) in enumerate(turns):
        joint = '\n' if newline else ('' if i and not newline else ' ')
        text += f'{joint}USER: {user}{chr(10) if newline else " "}ASSISTANT: '
        if i < len(turns) - 1:
            text += f'{assistant}</s>'
    return text


def sample(rng: random.Random, exam: bool = False, kind: str | None = None):
    """(source, target, bos, kind) of one training or exam item."""
    turns, kind = conversation(rng, exam, kind)
    fault = rng.random() if not exam else 1.0
    if fault < 0.03:
        return prompt(turns), MALFORMED, False, 'malformed'
    if fault < 0.06:
        return prompt(turns, newline=True), MALFORMED, True, 'malformed'
    return prompt(turns), turns[-1][1], True, kind

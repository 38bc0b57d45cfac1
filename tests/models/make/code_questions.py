"""Requests for small functions and the Snake game, in people's own words."""

import random
import re

from code_phrasings import (
    FRAMES,
    JAVASCRIPT,
    MORE,
    NAMED,
    NOUN_FRAMES,
    OPERATIONS,
    OTHERS,
    PYTHON,
    SAME,
    SENTENCES,
    SNAKE_ASKS,
    TWO,
)
from phrasing import careless, expand, held_out

PLAINFORMAT = '  PLAINFORMAT'


def language(rng: random.Random) -> tuple[str, str]:
    """(as asked for, its name); a few are asked for in no language, which means Python."""
    name = rng.choice(('python', 'python', 'javascript'))
    return expand(rng, PYTHON if name == 'python' else JAVASCRIPT), name


def infinitive(verb_phrase: str) -> str:
    first, _, rest = verb_phrase.partition(' ')
    stem = {'multiplies': 'multiply', 'squares': 'square', 'tells': 'tell', 'halves': 'halve'}.get(first, first[:-1])
    return f'{stem} {rest}'


def gerund(verb_phrase: str) -> str:
    stem, _, rest = infinitive(verb_phrase).partition(' ')
    if stem == 'sum':
        stem = 'summ'
    elif stem == 'total':
        stem = 'total'
    elif stem.endswith('e'):
        stem = stem[:-1]
    elif stem == 'flip':
        stem = 'flipp'
    return f'{stem}ing {rest}'


def source(language: str, name: str, arguments: str, python: str, javascript: str) -> str:
    if language == 'python':
        return f'def {name}({arguments}):\n    {python}'
    return f'function {name}({arguments}) {{\n    {javascript}\n}}'


def answer(code: str, language: str, sentence: str, plain: bool) -> str:
    return code if plain else f'```{language}\n{code}\n```\n{sentence}'


NAME_PARTS = 'add sum total calc do my get make compute find fast plus minus mul div numbers two values result simple math op sub times split join apply run f g foo bar baz func fn helper test it all both'.split()


def _given_name(rng: random.Random) -> str:
    parts = [rng.choice(NAME_PARTS) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    if rng.random() < 0.25:
        return parts[0] + ''.join(p.capitalize() for p in parts[1:])
    return '_'.join(parts) if rng.random() < 0.8 else ''.join(parts)


ARGUMENTS = 'a b c d x y z n m p q k i j u v w s t'.split()
LONG_ARGUMENTS = (
    'first second left right num1 num2 one two x1 x2 num number value other width height price count'.split()
)


class Function:
    """A function to ask for: its two sources, and the sentence after it."""

    def __init__(self, rng: random.Random):
        self.own_name = None
        if rng.random() < 0.7:
            self.operation = rng.choice(list(OPERATIONS))
            sign = OPERATIONS[self.operation][0]
            a, b = 'a', 'b'
            self.own_arguments = rng.random() < 0.3
            if self.own_arguments:
                a, b = rng.sample(ARGUMENTS if rng.random() < 0.8 else LONG_ARGUMENTS, 2)
            self.a, self.b = a, b
            self.name, self.arguments = self.operation, f'{a}, {b}'
            self.python, self.javascript = f'return {a} {sign} {b}', f'return {a} {sign} {b};'
            self.returns = f'the {SENTENCES[self.operation]} of {a} and {b}'
            self.asks = None
        else:
            self.operation, self.own_arguments = None, False
            self.name, self.arguments, self.python, self.javascript, self.returns, self.asks = rng.choice(OTHERS)

    def text(self, language: str, plain: bool) -> str:
        code = source(language, self.name, self.arguments, self.python, self.javascript)
        said = (
            f'The function {self.name} returns {self.returns}.'
            if self.returns
            else f'The function {self.name} prints a greeting.'
        )
        return answer(code, language, said, plain)

    def question(self, rng: random.Random) -> str | None:
        """A pattern filled but for <l>; sets the name where the question gives one."""
        if self.operation:
            _, verbs, nouns = OPERATIONS[self.operation]
            operands = expand(
                rng,
                '{<a> and <b>|<a> and <b>|<a>, <b>|two numbers <a> and <b>|the numbers <a> and <b>|the arguments <a> and <b>}'
                if self.own_arguments
                else TWO,
            )
            if rng.random() < 0.35:
                frame, slot, phrase = rng.choice(NOUN_FRAMES), '<n>', expand(rng, rng.choice(nouns))
            else:
                frame, slot, phrase = rng.choice(FRAMES), '<v>', expand(rng, rng.choice(verbs))
            if self.own_arguments and not any(x in phrase for x in ('<2>', '<a>')):
                phrase = (
                    phrase + ' of <2>'
                    if phrase in ('sum', 'difference', 'product', 'quotient')
                    else expand(rng, rng.choice(verbs[:1]))
                )
                slot = '<n>' if ' of <2>' in phrase and frame in NOUN_FRAMES else slot
                if slot == '<n>' and ' of <2>' not in phrase:
                    return None
        else:
            operands = ''
            frame, slot, phrase = rng.choice(FRAMES), '<v>', expand(rng, rng.choice(self.asks))
        text = expand(rng, frame)
        if held_out(text, self.name) is not self.exam:
            return None
        if slot == '<n>':
            text = text.replace('<n>', phrase)
        else:
            text = text.replace('<v>', phrase).replace('<i>', infinitive(phrase)).replace('<g>', gerund(phrase))
        if rng.random() < 0.22 and ' look ' not in text and 'how' not in text.lower():
            self.name = _given_name(rng)
            self.own_name = self.name
            named = expand(rng, NAMED)
            if rng.random() < 0.3 and ' function ' in text:
                text = re.sub(' function ', f' function {rng.choice(("", "called ", "named "))}<name> ', text, count=1)
            else:
                text = f'{text} {named}' if named[0] != ',' else text + named
            text = text.replace('<name>', self.name)
        text = text.replace('<2>', operands)
        if self.operation:
            text = text.replace('<a>', self.a).replace('<b>', self.b)
        return text


def natural_code(rng: random.Random, exam: bool):
    function = Function(rng)
    function.exam = exam
    text = function.question(rng)
    if text is None:
        return None
    asked, name = language(rng)
    nothing = False
    if rng.random() < 0.08:  # no language: Python
        nothing = True
        for said in ('in <l>', 'using <l>', 'with <l>', 'for <l>', '<l>'):
            text = text.replace(said, '')
        text, name = ' '.join(text.split()).strip(' ,:'), 'python'
        text = re.sub(r'\ba def\b', 'a def', text)
    text = text.replace('<l>', asked)
    keep = [function.own_name or '', *(function.arguments.replace(',', ' ').split() if function.own_arguments else ())]
    plain = rng.random() < 0.45
    question = careless(
        rng,
        text,
        [k for k in keep if k],
        question='how' in text.lower() or text.lower().startswith(('can', 'could', 'wh')),
    )
    turns = [(question + PLAINFORMAT * plain, function.text(name, plain))]
    if rng.random() < 0.3 and not nothing:
        other = 'javascript' if name == 'python' else 'python'
        template = expand(rng, SAME)
        if held_out(template) == exam:
            plain = rng.random() < 0.45
            asked = expand(rng, PYTHON if other == 'python' else JAVASCRIPT)
            turns.append(
                (
                    careless(rng, template.replace('<l>', asked), question=False) + PLAINFORMAT * plain,
                    function.text(other, plain),
                )
            )
    elif rng.random() < 0.08:  # another operation
        other = Function(rng)
        while other.operation in (None, function.operation) or other.own_arguments:
            other = Function(rng)
        phrase = expand(rng, rng.choice(OPERATIONS[other.operation][1]))
        template = expand(rng, MORE)
        if held_out(template) == exam:
            text = template.replace('<v>', phrase).replace('<i>', infinitive(phrase)).replace('<g>', gerund(phrase))
            text = text.replace('<2>', expand(rng, TWO)).replace('<a>', 'a').replace('<b>', 'b')
            plain = rng.random() < 0.45
            turns.append((careless(rng, text, question=False) + PLAINFORMAT * plain, other.text(name, plain)))
    return turns


def natural_snake(rng: random.Random, exam: bool, sources: dict[str, str]):
    asked, name = language(rng)
    text = expand(rng, rng.choice(SNAKE_ASKS))
    if held_out(text) != exam:
        return None
    if rng.random() < 0.12:
        for said in ('in <l>', 'using <l>', 'with <l>', '<l>'):
            text = text.replace(said, '')
        text, name = ' '.join(text.split()).strip(' ,:'), 'python'
    plain = rng.random() < 0.5
    sentence = 'The class Snake moves one step at a time.'
    turns = [
        (
            careless(rng, text.replace('<l>', asked), question='how' in text or text.startswith(('can', 'could')))
            + PLAINFORMAT * plain,
            answer(sources[name], name, sentence, plain),
        )
    ]
    if rng.random() < 0.2:
        other = 'javascript' if name == 'python' else 'python'
        plain = rng.random() < 0.5
        asked = expand(rng, PYTHON if other == 'python' else JAVASCRIPT)
        turns.append(
            (
                careless(rng, expand(rng, SAME).replace('<l>', asked), question=False) + PLAINFORMAT * plain,
                answer(sources[other], other, sentence, plain),
            )
        )
    return turns

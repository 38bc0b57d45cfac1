"""Sums in people's own words, and second questions that need the first result.

Each kind is a function of (rng, exam) that returns turns, or None where the drawn phrasing belongs to the other side.
"""

import random

import words
from phrasing import ask, careless, expand, held_out

SIGNS = {
    'plus': '{plus|plus|+|+|+|and|added to|add}',
    'minus': '{minus|minus|-|-|-|less|take away|subtract|without}',
    'times': '{times|times|*|*|x|multiplied by|multiplied with}',
    'divided by': '{divided by|divided by|/|/|over|÷|:}',
}
RESULTS = {'plus': 'sum', 'minus': 'difference', 'times': 'product', 'divided by': 'quotient'}


def number_words(n: int, rng: random.Random) -> str:
    """0 to 999 in words."""
    if n < 20:
        return words.NUMBERS[n]
    if n < 100:
        return words.TENS[n // 10] + (rng.choice('- ') + words.NUMBERS[n % 10] if n % 10 else '')
    rest = n % 100
    return f'{words.NUMBERS[n // 100]} hundred' + (rng.choice((' and ', ' ')) + number_words(rest, rng) if rest else '')


def operands(rng: random.Random, sign: str) -> tuple[int, int]:
    if sign == 'plus':
        top = rng.choice((10, 20, 40, 99, 99, 999))
        return rng.randint(0, top), rng.randint(0, rng.choice((9, top, top)))
    if sign == 'minus':
        top = rng.choice((10, 20, 40, 99, 99, 999))
        a, b = rng.randint(0, top), rng.randint(0, rng.choice((9, top, top)))
        return (a, b) if rng.random() < 0.12 else (max(a, b), min(a, b))
    if sign == 'times':
        if rng.random() < 0.2:
            a, b = rng.randint(0, 99), rng.choice((2, 3, 4, 5, 10, 100, 1, 0))
        else:
            a, b = rng.randint(0, 12), rng.randint(0, 12)
        return (a, b) if rng.random() < 0.5 else (b, a)
    b = rng.randint(1, 12)
    return (rng.randint(0, 20), b) if rng.random() < 0.12 else (b * rng.randint(0, 12), b)


def result(a: int, sign: str, b: int) -> str:
    """The whole answer."""
    if sign == 'divided by':
        if b == 0:
            return 'You cannot divide by 0.'
        if a % b == 0:
            return f'{a} divided by {b} is {a // b}.'
        if b in (2, 4, 5, 10):
            return f'{a} divided by {b} is {a / b:g}.'
        return f'{a} divided by {b} is {a // b} with a remainder of {a % b}.'
    return f'{a} {sign} {b} is {value(a, sign, b)}.'


def value(a: int, sign: str, b: int) -> int:
    return {'plus': a + b, 'minus': a - b, 'times': a * b, 'divided by': a // b if b else 0}[sign]


SUM_PATTERNS = (  # <e> is the expression, `12 + 7`
    '<e>', '<e>', '<e>', '<e> =', '<e> = ?', '{what is|whats|what\'s|what does} <e>', '{what is|whats|what\'s} <e>',
    '{what is|whats|what\'s|find|tell me} the {answer|result|solution|value} {of|to|for} <e>',
    '{how much|how many} {is|are|does|do} <e> [make|give|equal]', 'what {does|do} <e> {make|give|equal|come to|come out to|add up to|total}',
    '{calculate|compute|solve|work out|evaluate|do|figure out|find|answer|count} <e>', '{calculate|compute|solve|work out|evaluate} <e> for me',
    '{can|could|would|will} you [please ]{calculate|compute|solve|work out|tell me|do|figure out|add up} <e>', '{do|would} you know {what|how much} <e> {is|makes}',
    '{tell me|give me|I need|I want} [the result of |the answer to ]<e>', '{tell me|do you know|I want to know} {what|how much} <e> {is|makes|are}',
    '<e> {is|equals|makes|gives|is equal to|comes to} {what|how much|?}', '{solve|math|maths|calculation|sum}: <e>', 'what do {you|I|we} get {if|when} {you|I|we} {do|calculate|compute} <e>',
    '{I need|help me with|I need help with} <e>', '<e> equals', '<e>, what is it', 'my {homework|exercise|task} is <e>', 'what would <e> be', 'what number is <e>', '{result|answer} of <e>',
)  # fmt: skip
OPERATION_PATTERNS = {  # <a> and <b> are numbers
    'plus': (
        '{add|sum|add up|add together|total|combine} <a> {and|to|with|plus} <b>', 'add <b> to <a>#', '[the ]{sum|total|addition} of <a> and <b>', 'what is the {sum|total} of <a> and <b>',
        '{what|how much} {is|do {you|I|we} get if {you|I|we} add|happens when I add} <a> {and|plus|to} <b> [together]', 'what do <a> and <b> {make|sum to|add up to} [together]',
        'if I have <a> {things} and {get|buy|find|am given|receive} <b> more[,] how many {do I have|are there|have I got}[ now| in total| then| altogether]',
        'I have <a> {things} and {get|buy|find|am given|receive} <b> more. How many {do I have|are there|have I got}[ now| in total| then| altogether]',
        'there are <a> {things} [in the box] and <b> {more come|more arrive|are added}. How many {are there|are there now|in total}', 'increase <a> by <b>', 'what is <b> more than <a>#', 'how much is <a> and <b> together',
        '{name} has <a> {things} and {name} has <b>. How many do they have [together|in total|altogether]', 'sum up <a> and <b>', '<a> and <b> together',
    ),
    'minus': (
        '{subtract|take|take away|deduct|remove} <b> from <a>', '{what is|calculate|find|tell me} [the ]difference {between|of} <a> and <b>', 'what is <b> less than <a>', 'what is <b> subtracted from <a>',
        'if I have <a> {things} and {lose|eat|give away|sell|drop|use} <b>[ of them][,] how many {do I have|are left|remain}[ left| now| then]',
        'I have <a> {things} and {lose|eat|give away|sell|drop|use} <b>[ of them]. How many {do I have left|are left|remain|do I still have}', 'decrease <a> by <b>', 'reduce <a> by <b>',
        'what {is left|remains} {if|when} {I|you} {take|subtract} <b> from <a>', 'there are <a> {things} and <b> {go away|are gone|are lost|are eaten}. How many {are left|remain}', 'how much is <a> take away <b>',
        '{name} has <a> {things} and {loses|eats|gives away|sells} <b>. How many are left', 'how many is <a> without <b>',
    ),
    'times': (
        'multiply <a> {by|with|and|times} <b>', '{what is|calculate|find|tell me} [the ]product of <a> and <b>', 'what do {you|I|we} get {if|when} {you|I|we} multiply <a> {by|and|with} <b>',
        'I have <a> {boxes|bags|rows|packs} {with|of} <b> {things} each. How many {things} {do I have|are there|is that|in total}', '<a> {boxes|bags|rows|packs} {with|of} <b> {things} each, how many {things} [are there]',
        'multiplication of <a> and <b>', 'multiply <a> and <b>', 'how much is <a> multiplied by <b>', 'what is <a> multiplied by <b>',
    ),
    'divided by': (
        'divide <a> by <b>', '{what is|calculate|find|tell me} [the ]quotient of <a> and <b>', 'what do {you|I|we} get {if|when} {you|I|we} divide <a> by <b>', 'how {often|many times} does <b> {fit|go} {in|into} <a>',
        'I {share|split|divide} <a> {things} {among|between} <b> {friends|people|kids|children}. How many does each [one] get', 'split <a> {into|in} <b> [equal] parts', 'how much is <a> divided by <b>', 'share <a> {things} {between|among} <b> {people|kids}',
        '<a> {things} for <b> {people|kids|friends}, how many {for each|each}',
    ),
}  # fmt: skip
THINGS = '{apples|oranges|eggs|books|coins|cards|cookies|balls|pens|sweets|bananas|euros|dollars|cars|marbles|pencils|flowers|toys|cakes|fish|cats|dogs|birds}'


def _numeral(rng: random.Random, n: int, wordy: bool) -> str:
    return number_words(n, rng) if wordy else str(n)


def sums(rng: random.Random, exam: bool):
    sign = rng.choices(list(SIGNS), (45, 22, 22, 11))[0]
    a, b = operands(rng, sign)
    wordy = rng.random() < 0.15
    kind = rng.random()
    if kind < 0.08:
        return _special_sum(rng, exam)
    if kind < 0.6:
        pattern = expand(rng, rng.choice(SUM_PATTERNS))
        sign_text = expand(rng, SIGNS[sign])
        expression = f'<a> {sign_text} <b>'
        if sign_text in '+-*/x÷:' and rng.random() < 0.45:
            expression = f'<a>{sign_text}<b>' if not wordy else expression
        if sign == 'minus' and sign_text in ('take away', 'subtract'):
            expression = f'<a> {sign_text} <b>'
        template = pattern.replace('<e>', expression)
        if held_out(pattern, sign_text, kind < 0.3) != exam:
            return None
    else:
        template = expand(rng, rng.choice(OPERATION_PATTERNS[sign]).replace('{things}', '<t>').replace('{name}', '<n>'))
        if held_out(template) != exam:
            return None
    if template.endswith('#'):  # said in the other order
        template = template[:-1]
    thing = expand(rng, THINGS)
    template = template.replace('<t>', thing)
    while '<n>' in template:
        template = template.replace('<n>', rng.choice(words.PEOPLE), 1)
    text = template.replace('<a>', _numeral(rng, a, wordy)).replace('<b>', _numeral(rng, b, wordy))
    if held_out(a, sign, b) and not exam and a > 12 and b > 12:
        return None
    return [(careless(rng, text), result(a, sign, b))]


def _special_sum(rng: random.Random, exam: bool):
    a, b, c = rng.randint(0, 20), rng.randint(0, 20), rng.randint(0, 20)
    kind = rng.randrange(9)
    if kind == 0:
        plus = rng.choice((' + ', '+', ' plus ', ' and '))
        text = expand(rng, '{what is|whats|how much is|calculate||add|the sum of}') + f' {a}{plus}{b}{plus}{c}'
        answer = f'{a} plus {b} plus {c} is {a + b + c}.'
    elif kind == 1:
        text, answer = (
            ask(rng, f'{rng.choice(("double of", "the double of", "twice", "double", "two times"))} {a}'),
            result(2, 'times', a),
        )
    elif kind == 2:
        text, answer = (
            ask(rng, f'{rng.choice(("half of", "the half of", "a half of", "one half of"))} {2 * a}'),
            result(2 * a, 'divided by', 2),
        )
    elif kind == 3:
        text, answer = (
            ask(rng, rng.choice((f'{c} squared', f'the square of {c}', f'{c}^2', f'{c}**2', f'{c} to the power of 2'))),
            result(c, 'times', c),
        )
    elif kind == 4:
        big, small = max(a, b), min(a, b)
        if big == small:
            return None
        text = expand(rng, f'{{which|what}} {{number |}}is {{bigger|larger|greater|more}}{{,|:|}} {a} or {b}')
        if rng.random() < 0.3:
            text = f'is {a} {rng.choice(("bigger", "larger", "greater", "more"))} than {b}'
        answer = f'{big} is bigger than {small}.'
        if rng.random() < 0.25:
            text = (
                text.replace('bigger', 'smaller')
                .replace('larger', 'smaller')
                .replace('greater', 'less')
                .replace('more', 'less')
            )
    elif kind == 5:
        text = expand(
            rng,
            f'{{is {a} {{even|odd|an even number|an odd number|even or odd}}|{a}: even or odd|is the number {a} {{even|odd}}}}',
        )
        answer = f'{a} is {"odd" if a % 2 else "even"}.'
    elif kind == 6:
        text = expand(rng, f'{{what|which number}} {{comes|is}} {{after|right after|next after}} {a}')
        answer = f'{a + 1} comes after {a}.'
    elif kind == 7:
        said = a + b + rng.choice((0, 0, 1, -1, 2, 10))
        sign = rng.choice((' + ', '+', ' plus '))
        text = expand(
            rng,
            f'{{is {a}{sign}{b} {{equal to |}}{said}|does {a}{sign}{b} {{equal|make}} {said}|is it true that {a}{sign}{b} {{is|=}} {said}}}',
        )
        answer = f'{"Yes" if said == a + b else "No"}, {a} plus {b} is {a + b}.'
    else:
        text = expand(rng, f'{{what is |calculate |divide |how much is |}}{a} {{/|divided by|by}} {{0|zero}}')
        answer = 'You cannot divide by 0.'
    if held_out(text) != exam:
        return None
    return [(careless(rng, text), answer)]


FOLLOW = {
    'plus': '{add <c> to {that|it|this|the result}|[and |now |then ]{add|plus|+} <c>|now add <c>|plus <c> more|what if I add <c>|and if {I|you} add <c>|add another <c>|and <c> more}',
    'minus': '{{subtract|take|take away} <c> from {that|it|this|the result}|[and |now |then ]{subtract|minus|take away|-} <c>|now {subtract|take away} <c>|what if I {subtract|take away} <c>|minus <c>}',
    'times': '{multiply {that|it|this|the result} {by|with} <c>|[and |now |then ]{multiply by|times|*} <c>|times <c>|what if I multiply {it|that} by <c>}',
}  # fmt: skip


def follow_up(rng: random.Random, exam: bool):
    """A sum, and a second one that needs its result."""
    first = None
    while first is None or ' is ' not in first[0][1]:
        first = sums(rng, False)
    text = first[0][1]
    number = text[:-1].split()[-1]
    if not number.lstrip('-').isdigit() or 'bigger' in text or 'remainder' in text or text[:3] in ('Yes', 'No,'):
        return None
    a = int(number)
    if not 0 <= a <= 200:
        return None
    sign = rng.choices(list(FOLLOW), (50, 30, 20))[0]
    c = rng.randint(1, rng.choice((9, 9, 20)))
    if sign == 'times':
        if a > 20:
            return None
        c = rng.randint(1, 10)
    if sign == 'minus':
        c = min(c, a)
    template = expand(rng, FOLLOW[sign])
    if rng.random() < 0.12 and a <= 60:
        template, sign, c = (
            rng.choice(('double that', 'now double it', 'double it', 'times two', 'twice that')),
            'times',
            2,
        )
        second, answer = template, f'2 times {a} is {2 * a}.'
        if template == 'times two':
            answer = result(a, 'times', 2)
    else:
        second, answer = template.replace('<c>', str(c)), result(a, sign, c)
    if held_out(template) != exam:
        return None
    return [*first, (careless(rng, second, question=rng.random() < 0.3), answer)]

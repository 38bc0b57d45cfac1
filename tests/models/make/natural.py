"""Questions in people's own words, and their answers: capitals, facts, small talk.

Each kind is a function of (rng, exam) that returns turns, or None where the drawn phrasing belongs to the other side.
"""

import random

import words
from phrasing import ask, careless, expand, held_out

HONEST = (
    'Sorry, I do not know that. I am a very small model: I can only do capitals, sums, small functions in Python and '
    'JavaScript, and the Snake game.'
)
WHO = 'I am a tiny Airoboros, a very small language model. I can only do a few things.'
ABLE = (
    'I can tell capitals, do sums, write small functions in Python and JavaScript and the Snake game, and remember your '
    'name and your city.'
)

CAPITAL = (  # <c> is the country
    '[the ]capital [city ]of <c>', '[the ]capital [city ]of <c>', "<c>'s capital [city]", '[the ]<c> capital', '[the ]capital city in <c>', '[the ]capital for <c>', '[the ]capital in <c>',
)  # fmt: skip
CAPITAL_SENTENCES = (
    '{which|what} {city|town|place} is the capital [city ]of <c>', '{which|what} is the capital [city ]of <c>', '{which|what} {city|town} is <c>\'s capital', 'what {city|capital} does <c> have',
    '{what|which} capital {belongs to|has|does|is in} <c>', 'do you [happen to ]know the capital [city ]of <c>', 'do you [happen to ]know {what|which [city] is} the capital of <c> [is]',
    "<c>{ -|:|,|} {capital|capital city|what's the capital|which capital}", 'where is the {capital|seat of government|government} of <c>', 'where {is|sits} the government of <c>', 'in which city is the government of <c>',
    'what do {you|they} call the capital of <c>', '{what\'s|what is} the name of the capital [city ]of <c>', 'how is the capital of <c> called', 'what is <c>\'s capital [city|called]', 'I {forgot|need|want|am looking for|am searching for|cannot remember} the capital [city ]of <c>',
    "what's <c>s capital", 'capital <c>', 'I want to visit the capital of <c>, what is it called', 'name <c>\'s capital [city]', 'could you tell me which city is the capital of <c>', 'which city serves as [the ]capital of <c>',
    'the capital of <c> is', 'the capital of <c> is called', 'the capital of <c> is ...', '<c> has which capital', 'what might the capital of <c> be', 'if I travel to <c>, what is the capital', 'I live in <c>. What is our capital',
)  # fmt: skip
AND_THEN = '{[and ]{what|how} about <c>|and <c>|and {of|for|in} <c>|and that of <c>|and the one of <c>|now <c>|<c>|same for <c>|what of <c>|and now <c>|the same for <c>|and for <c>}'


def _country(rng: random.Random) -> tuple[str, str]:
    """(as asked for, as answered)"""
    country = rng.choice(words.COMMON) if rng.random() < 0.45 else rng.choice(list(words.WORLD))
    asked = country
    if country in words.ALIASES and rng.random() < 0.6:
        asked = rng.choice(words.ALIASES[country].split('|'))
    return asked, country


def capital(country: str) -> str:
    return f'The capital of {country} is {words.WORLD[country]}.'


def capitals(rng: random.Random, exam: bool):
    asked, country = _country(rng)
    kind = rng.random()
    if kind < 0.3:
        text = ask(rng, expand(rng, rng.choice(CAPITAL)))
    elif kind < 0.7:
        text = expand(rng, rng.choice(CAPITAL_SENTENCES))
    elif kind < 0.8:  # the other way round
        city = words.WORLD[country]
        countries = [k for k, v in words.WORLD.items() if v == city]
        if city in words.WORLD or len(countries) > 1:
            return None
        text = expand(
            rng,
            '{<c> is the capital of {which|what} country|<c> is the capital of what|{which|what} country has [the capital ]<c>[ as [its ]capital]|of which country is <c> the capital'
            '|{which|what} country is <c> the capital of|what is <c> the capital of|<c> is capital of|{which|what} country does the capital <c> belong to}',
        )
        if held_out(text) != exam:
            return None
        return [(careless(rng, text.replace('<c>', city)), f'{city} is the capital of {country}.')]
    elif kind < 0.9:  # is it?
        right = rng.random() < 0.5
        city = words.WORLD[country if right else _country(rng)[1]]
        right = city == words.WORLD[country]
        text = expand(
            rng,
            "{is <p> the capital [city ]of <c>|<p> is the capital of <c>, {right|correct|true|isn't it}|is the capital of <c> <p>|is it true that <p> is the capital of <c>}",
        )
        if held_out(text) != exam:
            return None
        return [
            (
                careless(rng, text.replace('<p>', city).replace('<c>', asked)),
                f'{"Yes" if right else "No"}, the capital of {country} is {words.WORLD[country]}.',
            )
        ]
    elif kind < 0.95:
        other = rng.choice(words.NO_COUNTRY)
        text = ask(rng, 'the capital of <c>') if rng.random() < 0.5 else expand(rng, rng.choice(CAPITAL_SENTENCES[:6]))
        return (
            [(careless(rng, text.replace('<c>', other)), 'Sorry, I do not know that capital.')]
            if held_out(text) == exam
            else None
        )
    else:
        text = expand(rng, AND_THEN)
        if held_out(text) != exam:
            return None
        turns, (first_asked, first) = [], _country(rng)
        first_text = (
            ask(rng, expand(rng, rng.choice(CAPITAL)))
            if rng.random() < 0.5
            else expand(rng, rng.choice(CAPITAL_SENTENCES))
        )
        turns.append((careless(rng, first_text.replace('<c>', first_asked)), capital(first)))
        return [*turns, (careless(rng, text.replace('<c>', asked)), capital(country))]
    if held_out(text) != exam:
        return None
    return [(careless(rng, text.replace('<c>', asked)), capital(country))]


def facts(rng: random.Random, exam: bool):
    kind = rng.random()
    if kind < 0.6:
        answer = rng.choice(list(words.FACTS))
        text = expand(rng, words.FACTS[answer])
        if rng.random() < 0.15:
            text = expand(rng, '{do you know|tell me|can you tell me|please tell me}') + ' ' + text
        if held_out(text) != exam:
            return None
        return [(careless(rng, text), answer)]
    if kind < 0.8:
        word, other = rng.choice(list(words.OPPOSITES.items()))
        text = expand(
            rng,
            '{{what is|whats|tell me|name|give me|say|} [the ]{opposite|contrary|antonym} {of|to|for} <w>|what is <w> the opposite of|<w> is the opposite of [what]}',
        )
        return (
            [(careless(rng, text.replace('<w>', word)), f'The opposite of {word} is {other}.')]
            if held_out(text) == exam
            else None
        )
    table, what = rng.choice(((words.DAYS, 'day'), (words.MONTHS, 'month')))
    at = rng.randrange(len(table))
    after = rng.random() < 0.65
    side = '{after|right after|following|next after}' if after else '{before|right before}'
    text = expand(
        rng,
        f'{{{{what|which}} {what} {{comes|is}} {side} <w>|what {{comes|is}} {side} <w>|{{name|tell me|what is|whats}} the {what} {side} <w>}}',
    )
    other = table[(at + (1 if after else -1)) % len(table)]
    if held_out(text) != exam:
        return None
    return [
        (careless(rng, text.replace('<w>', table[at])), f'{other} comes {"after" if after else "before"} {table[at]}.')
    ]


SMALL_TALK = {
    'Hello! How can I help you?': '{{hi|hello|hey|hiya|howdy|yo|greetings|good morning|good evening|good afternoon|good day|hallo|welcome} [there|you|again|friend|airoboros|assistant|everyone|my friend|bot|computer|buddy]|hello hello|hi hi|hello, world|anybody there|is anyone there|are you there|{hi|hello|hey}, {nice to meet you|good to see you|it is me|I am here|are you there}}',
    'I am fine, thank you. How can I help you?': '{[{hi|hello|hey}, ]{how are you [doing|today|doing today|feeling]|how do you do|how is it going|hows it going|how have you been|are you {ok|okay|fine|well|alright}|what\'s up|whats up|sup|how is your day|how are things|how do you feel|you ok|everything ok}}',
    WHO: '{who are you|what are you|what is your name|whats your name|what\'s your name|your name|tell me your name|do you have a name|what are you called|how are you called|what should I call you|who am I {talking|speaking} {to|with}|introduce yourself|tell me about yourself|tell me something about you[rself]|say something about yourself|are you {a robot|a human|human|a person|real|an AI|a bot|ChatGPT|GPT|alive|a machine|an assistant|a language model|a computer|airoboros|a program|a model}|what {model|kind of model|AI|bot} are you|which {model|AI|language model} {are you|is this}|what is airoboros|who is airoboros|is this {chatgpt|airoboros|an AI|a bot}|who made you|who created you|who built you|who trained you|how {big|large|small|old|clever|smart} are you|how many parameters {do you have|have you}|describe yourself|may I ask who you are|what exactly are you}',
    ABLE: '{what can you do [for me]|what do you know|what are you able to do|help|help me|how can you help [me]|what are your {abilities|skills|capabilities|features|talents}|what {questions|things} can {I|you} {ask|answer} [you]|what can I ask [you]|what do you do|what are you good {at|for}|what else can you do|what can you help [me] with|can you help me|list your {abilities|skills|capabilities}|what {topics|subjects} do you know [about]|tell me what you can do|how do you work|show me what you can do|what is your purpose|what are you made for|what should I ask [you]|what could I ask [you]|I need [some ]help|can you do anything|can you do something|give me [some ]{examples|an example}|give me a hint|what kind of {questions|things} can you answer|what are you capable of|are you useful|what do you understand|what have you learned|what were you trained {on|for|to do}}',
    'You are welcome!': '{{thanks|thank you|thx|ty|many thanks|cheers|thank you very much|thank you so much|thanks a lot|thanks so much|much appreciated|great, thanks|ok thanks|cool, thanks|perfect, thank you|thank u|thnx|tysm|nice, thank you|I appreciate it|that helped|that was helpful|you helped me|thanks for {that|your help|the help|helping|the answer}|thank you for {that|your help|the help|helping|the answer}}}',
    'Goodbye!': '{bye [bye]|goodbye|good bye|see you [later|soon|tomorrow]|see ya|cya|good night|farewell|take care|later|I {have to|must|need to} go [now]|until next time|so long|have a {nice|good|great} {day|evening|weekend|one|night}|that is all|that\'s all [for today|for now]|we are done|ciao|adios|talk to you later|quit|exit|I am leaving|catch you later}',
    'Thank you! I am glad that I could help.': '{{good|great|nice|cool|awesome|perfect|excellent|wonderful|amazing|fantastic|well done|good job|nice work|great job|very good|good bot|you are {great|smart|clever|nice|the best|awesome|amazing|good|so smart}|I {like|love} you|that is {right|correct|great|good|nice}|correct|right|wow|that was {good|great|right|nice}}}',
    'Sorry, I am a very small model and make mistakes.': '{{wrong|that is {wrong|not right|not correct|false|incorrect|not true}|you are {wrong|stupid|dumb|bad|useless|mistaken|not smart}|that was {wrong|bad|stupid}|no, that is wrong|I do not like {you|that|your answer}|bad bot|you {made a mistake|are making mistakes|lied}|are you sure|incorrect|nonsense|that makes no sense|this is wrong}}',
    'OK.': '{{ok|okay|alright|fine|I see|got it|understood|yes|yeah|sure|hmm|aha|no|nope|yep|oh|I understand|makes sense|never mind|nevermind|interesting|nothing|k|hm}}',
}  # fmt: skip


def small_talk(rng: random.Random, exam: bool):
    answer = rng.choice((*SMALL_TALK, WHO, WHO, ABLE, ABLE))
    text = expand(rng, SMALL_TALK[answer])
    if held_out(text) != exam:
        return None
    asks = answer in (WHO, ABLE) or text.startswith(('how', 'what'))
    decorate = answer in (WHO, ABLE) and rng.random() < 0.6
    text = careless(rng, text, question=asks, decorate=decorate)
    if not decorate and rng.random() < 0.6:
        text += rng.choice('?' if asks else '.!!')
    return [(text, answer)]

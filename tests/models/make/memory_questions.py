"""What a person tells about themselves, and asks for later; and what the model does not know."""

import random

import arithmetic
import natural
import words
from phrasing import careless, expand, held_out

TOLD = {  # what is told, the answer to it, questions, the answer, and the answer where it was never told
    'name': (
        '{my name is <x>|I am <x>|I\'m <x>|Im <x>|call me <x>|you can call me <x>|my name\'s <x>|people call me <x>|this is <x>|my friends call me <x>|<x> is my name|the name is <x>|I am called <x>|it is <x> here|<x> here|name: <x>|remember[,] my name is <x>|please remember that my name is <x>|I go by <x>|please call me <x>|hello, I am <x>|hi, I\'m <x>|hi, my name is <x>}',
        'Nice to meet you, <x>.',
        '{what is my name|whats my name|what\'s my name|do you {remember|know|recall} my name|who am I|can you tell me my name|tell me my name|say my name|what am I called|how am I called|what was my name [again]|my name is|what did I say my name {is|was}|remember my name|what do {people|they|my friends} call me|did you forget my name|do you {remember|know} who I am|do you {remember|know} what my name is|what name did I {tell|give} you|remind me of my name|and what is my name|so what is my name|what should you call me|which name did I give you|I forgot my name}',
        'Your name is <x>.',
        'You have not told me your name.',
    ),
    'city': (
        '{I live in <x>|I am from <x>|I\'m from <x>|I come from <x>|my home is [in ]<x>|my home town is <x>|my city is <x>|I live in the city of <x>|I am living in <x>|I reside in <x>|I moved to <x>|my house is in <x>|home for me is <x>|we live in <x>|I\'m living in <x>|I stay in <x>|my hometown is <x>|<x> is my home|<x> is where I live|remember that I live in <x>|I have a flat in <x>}',
        'I will remember that you live in <x>.',
        '{where do I live|where am I from|which city do I live in|what city do I live in|in which city do I live|what is my {city|home|home town|hometown}|where is my {home|house}|do you {remember|know|recall} where I live|tell me where I live|where did I say I live|where do I come from|can you tell me where I live|and where do I live|remind me where I live|what town do I live in|which city am I from|what city am I from|what place do I live in|what city did I {say|tell you|mention}|where was it that I live|which place is my home|whats my city}',
        'You live in <x>.',
        'You have not told me where you live.',
    ),
    'colour': (
        '{my {favourite|favorite} {colour|color} is <x>|I like the {colour|color} <x> {best|most}|I love the {colour|color} <x>|<x> is my {favourite|favorite} {colour|color}}',
        'I will remember that your favourite colour is <x>.',
        '{what is my {favourite|favorite} {colour|color}|which {colour|color} do I like [best|most]|what {colour|color} do I {like|love} [best|most]|do you {remember|know} my {favourite|favorite} {colour|color}|tell me my {favourite|favorite} {colour|color}|whats my {favourite|favorite} {colour|color}}',
        'Your favourite colour is <x>.',
        'You have not told me your favourite colour.',
    ),
    'food': (
        '{my {favourite|favorite} {food|meal|dish} is <x>|I like {to eat |eating |}<x> {best|most}|I love [to eat ]<x>|<x> is my {favourite|favorite} {food|dish}}',
        'I will remember that your favourite food is <x>.',
        '{what is my {favourite|favorite} {food|meal|dish}|what do I {like|love} to eat|what food do I {like|love} [best|most]|do you {remember|know} my {favourite|favorite} food|tell me my {favourite|favorite} food}',
        'Your favourite food is <x>.',
        'You have not told me your favourite food.',
    ),
    'age': (
        '{I am <x> years old|I\'m <x> years old|my age is <x>|I am <x>|I turned <x> [today|this year]|I\'m <x>}',
        'I will remember that you are <x> years old.',
        '{how old am I|what is my age|do you {remember|know} my age|do you {remember|know} how old I am|tell me my age|whats my age|tell me how old I am}',
        'You are <x> years old.',
        'You have not told me your age.',
    ),
    'job': (
        '{I am a <x>|I\'m a <x>|I work as a <x>|my job is <x>|I have a job as a <x>|my profession is <x>}',
        'I will remember that you are a <x>.',
        '{what is my {job|profession|work}|what do I do [for a living]|do you {remember|know} my job|what do I work as|tell me my job|whats my job}',
        'You are a <x>.',
        'You have not told me your job.',
    ),
    'pet': (
        '{my <p> is {called|named} <x>|I have a <p> {called|named} <x>|the name of my <p> is <x>|my <p>\'s name is <x>|I have a <p>, his name is <x>|I have a <p>. Her name is <x>}',
        'I will remember that your <p> is called <x>.',
        '{what is the name of my <p>|what is my <p>\'s name|what\'s my <p> called|what is my <p> called|how is my <p> called|do you {remember|know} the name of my <p>|do you {remember|know} my <p>\'s name|tell me the name of my <p>|tell me my <p>\'s name|whats my <p>s name}',
        'Your <p> is called <x>.',
        'You have not told me the name of your <p>.',
    ),
}  # fmt: skip
BOTH = "{my name is <n> and I live in <c>|I am <n> and I live in <c>|I'm <n> from <c>|I am <n> from <c>|my name is <n> and I am from <c>|I'm <n> and I'm from <c>|<n> from <c> here|my name is <n>, I live in <c>|hi, I am <n> from <c>|I live in <c> and my name is <n>|hello, my name is <n> and I come from <c>|call me <n>, I live in <c>|I am <n>. I live in <c>|my name is <n>. I live in <c>|this is <n> from <c>|I am called <n> and I live in <c>}"
ACKNOWLEDGED = '{remember that|please remember {this|that|it}|keep that in mind|remember it}'


def invented_name(rng: random.Random) -> str:
    syllables = 'ba be bo da de do fa fi ga go ha hu ja jo ka ki la le li lo ma me mi na ni no pa po ra re ri ro sa se si so ta te ti to va vi wa ya za zo'.split()
    name = ''.join(rng.choice(syllables) for _ in range(rng.choice((2, 2, 3)))) + rng.choice(
        ('', '', 'n', 's', 'r', 'x', 'l', 'th')
    )
    return name.capitalize()


def _value(rng: random.Random, what: str) -> str:
    if what == 'name':
        return rng.choice(words.PEOPLE) if rng.random() < 0.7 else invented_name(rng)
    if what == 'city':
        kind = rng.random()
        return (
            rng.choice(words.TOWNS)
            if kind < 0.35
            else rng.choice(list(words.WORLD.values()))
            if kind < 0.8
            else invented_name(rng)
        )
    if what == 'age':
        return str(rng.randint(3, 99))
    return rng.choice({'colour': words.COLOURS, 'food': words.FOODS, 'job': words.JOBS, 'pet': words.PET_NAMES}[what])


def _told_message(rng: random.Random, text: str, keep) -> str:
    text = careless(rng, text, keep, question=False, decorate=rng.random() < 0.3)
    if text[-1:] not in '.!?,' and rng.random() < 0.5:
        text += rng.choice('..!')
    if rng.random() < 0.08 and all(k in words.PEOPLE or k in words.TOWNS or k in words.WORLD.values() for k in keep):
        text = text.lower()
    return text


def fill_in(text: str, facts: dict[str, str], what: str) -> str:
    return text.replace('<x>', facts[what]).replace('<p>', facts.get('<p>', ''))


def natural_memory(rng: random.Random, exam: bool):
    """What was told, perhaps other things between, and the question for it."""
    facts, turns = {}, []
    if rng.random() < 0.4:
        facts = {'name': _value(rng, 'name'), 'city': _value(rng, 'city')}
        text = expand(rng, BOTH).replace('<n>', facts['name']).replace('<c>', facts['city'])
        turns.append((_told_message(rng, text, list(facts.values())), f'Nice to meet you, {facts["name"]}.'))
    else:
        for what in (
            rng.sample(list(TOLD), rng.choice((1, 1, 1, 2, 2, 3)))
            if rng.random() < 0.4
            else rng.sample(('name', 'city'), rng.choice((1, 1, 2)))
        ):
            facts[what] = _value(rng, what)
            said = expand(rng, TOLD[what][0])
            if held_out(said) != exam and rng.random() < 0.9:
                return None
            pet = rng.choice(words.PETS)
            if what == 'pet':
                facts['<p>'] = pet
            fill = lambda s, what=what, pet=pet: s.replace('<x>', facts[what]).replace('<p>', pet)  # noqa: E731
            turns.append((_told_message(rng, fill(said), [facts[what]] if what != 'age' else []), fill(TOLD[what][1])))
    if rng.random() < 0.12:
        return turns  # the answer to what was told
    what = rng.choice([k for k in facts if k != '<p>'])
    absent = False
    if rng.random() < 0.12:
        missing = [k for k in TOLD if k not in facts and k != 'pet']
        what, absent = rng.choice(missing), True
        facts[what] = ''
    asked = expand(rng, TOLD[what][2])
    if held_out(asked, 'asked') != exam:
        return None
    if len(turns) == 1 and not absent and rng.random() < 0.08:  # both in one message
        told = turns[0][0].rstrip('.!? ')
        joint = rng.choice(('. ', '. ', ', ', ' and ', '! ', ' '))
        return [
            (
                told + joint + careless(rng, fill_in(asked, facts, what), decorate=rng.random() < 0.3),
                fill_in(TOLD[what][3], facts, what),
            )
        ]
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        between = rng.choice((arithmetic.sums, natural.capitals, natural.small_talk))(rng, False)
        turns += between or []
    return [
        *turns,
        (careless(rng, fill_in(asked, facts, what)), fill_in(TOLD[what][4 if absent else 3], facts, what)),
    ]


def untold(rng: random.Random, exam: bool):
    """Asked for what was never told."""
    what = rng.choice(('name', 'name', 'city', 'city', 'age', 'colour', 'food', 'job'))
    text = expand(rng, TOLD[what][2])
    if held_out(text, 'untold') != exam:
        return None
    return [(careless(rng, text), TOLD[what][4])]


TOPICS = """
love|war|peace|music|art|physics|quantum mechanics|gravity|black holes|the moon|the universe|democracy|football|chess|cooking|
history|the Roman Empire|Napoleon|Shakespeare|Einstein|Mozart|biology|cells|dinosaurs|volcanoes|the ocean|bitcoin|taxes|
the stock market|climate change|electricity|engines|airplanes|cars|computers|the internet|blockchain|machine learning|
neural networks|religion|philosophy|the meaning of life|happiness|health|vitamins|sleep|coffee|tea|wine|beer|fashion|movies|
Star Wars|Harry Potter|video games|Minecraft|anime|travel|hotels|flights|money|banks|marriage|friendship|dreams|poetry|
the weather|the news|politics|elections|the president|the queen|sports|tennis|the Olympics|yoga|dogs|cats|horses|birds|whales
""".replace('\n', '').split('|')
OTHER_LANGUAGES = '{java|Java|C|C++|c++|C#|Rust|rust|Go|golang|Ruby|ruby|PHP|php|Perl|Haskell|Kotlin|Swift|Lua|Scala|R|SQL|bash|Fortran|COBOL|Pascal|Lisp|assembly|HTML|CSS|Julia|Matlab|Zig|Dart}'
UNKNOWN = (
    'who {wrote|painted|invented|discovered|made|won|built|founded|directed|composed|killed|started|owns|leads} {<t>|the <n>|Hamlet|the Mona Lisa|Romeo and Juliet|the telephone|the light bulb|the world cup|the Bible|penicillin|America|World War 2|Microsoft|Google|Apple|Tesla|Faust|Don Quixote|Star Wars|the piano|radium}',
    '{tell me|write|write me|make up|give me|sing|say|do you know|compose|create} {a|a short|a long|a funny|another|one|some} {joke|poem|story|song|haiku|riddle|essay|letter|email|fairy tale|limerick|tongue twister|speech|rap|blog post|novel|sonnet|recipe|quote|pun|bedtime story}[ about {<t>|a <n>|my <n>}|for my <n>|]',
    '{what is|whats|what will be|how is|how will be|tell me|describe} the weather {like |}[today|tomorrow|in <c>|this week|here|now]',
    '{will|does|is} it {rain|snow|be sunny|raining|snowing} [today|tomorrow|in <c>]', '{what time is it|what is the time|whats the time|what day is {it|today}|what is the date [today]|which year is it|what year is it|what is today\'s date|what is the time in <c>|is it late}',
    '{explain|describe|define|summarize|teach me|tell me about|talk about|what do you {know|think} about|write about|give me facts about|discuss|write an essay {on|about}} {<t>|<n>s|the <n>|<t> in simple words|how a <n> works}',
    '{what is|what are|what\'s|what was|why is|how does|where is|when was|what causes|how big is|how old is|who is|how do I use|how was} {<t>|<t> {made of|for|about|important|work|invented}|a <n>|the <n>|the {biggest|largest|smallest|oldest|longest|tallest|fastest|best|deepest} {<n>|city|country|river|animal|planet|mountain|building|lake|ocean|tree}[ in the world| in <c>| on earth]}',
    'who is {the {president|king|queen|prime minister|chancellor|leader|pope|mayor|ruler|emperor} {of <c>|}|the richest {man|person}|Elon Musk|Taylor Swift|Batman|Shakespeare|Einstein|Superman|Obama|Beethoven|Cleopatra}',
    '{what is|how big is|how large is|tell me|what\'s|give me|I need} the {population|area|currency|language|flag|president|history|GDP|king|national animal|anthem|climate|largest city|biggest city|second city|size|time zone|national dish|religion|president\'s name|highest mountain|longest river|number of people} {of|in} <c>',
    '{what|which} {language|languages|currency|money|religion|food} {do they {speak|use|eat|have} in <c>|is {spoken|used|eaten} in <c>|does <c> have|is famous in <c>}', '{how many people|how many inhabitants|how many citizens} {live in|are in|has|does} <c> [have]', '{where is|on which continent is|how do I get to|how far is|what should I see in|is it nice in|tell me about|what is the best food in|what are the neighbours of|where exactly is|what continent is} <c>',
    'how {far|long|big|tall|heavy|hot|deep|fast|high|old} is {the {moon|sun|earth|Nile|ocean|Eiffel tower|universe|Amazon|sea|Everest|Great Wall}|a {<n>|mile|whale|marathon|light year}|Mount Everest}',
    '{translate|say|how do you say|what is} {hello|good morning|thank you|I love you|the word <n>|this|my name|cat|goodbye} {to|in|into} {French|German|Spanish|Latin|Japanese|Chinese|Italian|Russian|Greek|Polish|Dutch}',
    '{write|make|create|give me|can you write|show me|I need|implement|code|could you make} {a|some|me a} {function|program|script|snippet|class} {in|using|with} <l>[ that {adds|subtracts|multiplies|divides} two numbers| that <x>| for my <n>| that prints hello]',
    '{write|make|create|give me|can you write|show me|I need|implement|code} {a|some|me a} <l> {function|program|script|class|app}[ that {adds|subtracts|multiplies|divides} two numbers| that <x>| to add two numbers| for my <n>]',
    '{write|make|create|give me|can you write|show me|I need|implement|code|could you write} {a|me a} [python |Python |javascript |JavaScript |js |]{function|program|script|class} {that|which} <x>[ in python| in javascript|]',
    '{write|make|create|give me|implement|code|program|build} {a|the|me a|} {Tetris|Pong|chess|tic tac toe|Pacman|Doom|Minecraft|minesweeper|sudoku|hangman|Mario|space invaders|breakout|tetris|pong|poker|solitaire|flappy bird|asteroids|blackjack} [game] {in {python|javascript|Python|JavaScript|js}|}',
    '{build|make|write|create|set up|design|deploy} [me ]{a|an|my} {website|web page|web server|app|database|chatbot|operating system|compiler|mobile app|REST API|game engine|discord bot|blog|neural network|spreadsheet|logo|HTML page|web scraper} [in {python|javascript}|for me|about {<t>|<n>s}]',
    '{what is your|do you have a|what\'s your} {favourite|favorite} {colour|color|food|movie|book|song|animal|number|game|city|language|sport|<n>}', 'do you {like|love|hate|eat|sleep|dream|play|watch|drink|feel|believe in|own|want} {<t>|a <n>|music|me|chess|cats|pizza|pain|god|humans|anything|it}',
    '{should|can|may|could|must} I {buy|sell|eat|drink|learn|visit|use|marry|wear|read|watch|take|kill|paint} {a <n>|the <n>|it|<t>|my <n>|two <n>s|an umbrella|aspirin}', '{recommend|suggest|find|book|order|buy|play|open|show me|search for|call|send|read|turn on|print|draw|google} {a|me a|some|the|my} {<n>|movie|book|song|hotel|flight|restaurant|pizza|picture|video|game|taxi|email|news|light|playlist|photo of a <n>}',
    '{how do I|how can I|how to|what is the best way to|help me|can you help me} {cook|fix|repair|clean|build|buy|find|learn|lose weight|sleep|make money|bake|grow|draw|sell|become|paint|install|play|train|stop} {a <n>|my <n>|rice|pasta|bread|a cake|better|faster|the guitar|happy|chess|rich|linux|}',
    'why {is|are|do|does|did|was|can\'t|don\'t} {the sky blue|<n>s <a>|the <n> <a>|birds fly|we sleep|people cry|cats purr|it rain|the sun shine|you exist|we dream|leaves fall|dinosaurs die|the sea salty|ice float|I tired|men bald|my <n> <a>}',
    '{what happened|what was|who won|who lost|who ruled|what changed} {in|during|at} {1945|1969|2001|1066|1492|1789|the war|the cold war|the world cup|2020|ancient Rome|World War 1|the middle ages|1990|the revolution}', 'when {was|did|is|does|will} {Einstein born|World War 2 end|the war start|Christmas|Easter|Rome built|the world end|the titanic sink|my birthday|the shop open|Napoleon die|the next train|you die|the Berlin wall fall|the first computer built}',
    '{what does|what is the meaning of|define|what do you mean by|spell|how do you spell|what is a synonym for|what rhymes with} [the word ]{<n>|<a>|serendipity|love|entropy|irony|existential|yes|rhythm|paradox|photosynthesis}[ mean|]',
    '{what is|calculate|compute|find|solve|whats} the {square root of 2|derivative of x^2|integral of x|value of pi|cube root of 27|logarithm of 100|sine of 30|prime factors of 91|first ten primes|roots of x^2 - 4|limit of 1/x|area of a circle|determinant of a matrix|tenth prime number|square root of {16|9|81|144|7|50}|sum of the angles of a triangle}',
    '{solve|what is} {x in 2x + 3 = 7|x^2 = 9|3x = 12|for x: x + 4 = 9|5! |10 factorial|log(100)|sin(0)|sqrt(16)|2^10|0.1 + 0.2|1/3 + 1/6|20% of 50|15 percent of 200|pi|e|<big> {+|*|-|/|plus|times|minus|divided by} <big>}', '{how much is |calculate |}<big> {+|*|-|/|plus|times|minus|divided by} <big>',
    '{tell me|give me|I need|do you know|say} {a secret|some advice|some news|the truth|something|a fact|something funny|a lie|something interesting|the news|a random number|a password|my fortune|your opinion|the lottery numbers|a fun fact|something new|gossip|your secret}', 'I {am|feel} {<a>|sad|lonely|bored|angry|in love|sick|so tired|depressed|great|very happy|hungry|cold|stressed}[ today| right now|, what should I do|]',
    'the <n> is <a>[ and the <n> is <a>]', '{lorem ipsum|asdf|qwerty|blah blah|foo|test|testing|la la la|xyz|hjkl|dfg dfg|abc|1 2 3 test|asdfghjkl|zzz|ping|bla|aaa|sdfkj wer}', '<w> <w> <w>[ <w>| <w> <w>]', 'what {do|would|did|should} {you|I|we|they} {think|do|say|know|want|need|like|eat|see|feel|wear|learn} [about {<t>|my <n>|the <n>}|today|next|tomorrow|]',
    'is {the <n>|a <n>|my <n>|<c>|<t>|it|he|she|god|a tomato} {<a>|real|good|bad|true|safe|dangerous|expensive|healthy|beautiful|a fruit|possible|rich|dead}', 'can {you|I|a <n>|dogs|cats|we|birds|humans} {fly|swim|see me|hear me|drive|dance|cook|feel pain|speak French|speak German|draw|sing|read|play music|browse the web|remember faces|eat chocolate|order pizza|<n>}', '{who|what|where|when|why|how} {are|were|did} {they|we|the <n>s|my <n>s|people|aliens|the romans|vikings|the beatles|you last night}',
    'what is {photosynthesis|DNA|inflation|the internet|AI|gravity|a noun|a black hole|an atom|a prime number|osmosis|a virus|a quark|a mortgage|water made of|the speed of light|the largest planet|the tallest mountain|the chemical formula of water|H2O|42|consciousness|a verb|time|ethics|karma|a democracy|CO2|evolution}', '{convert|how many} {10 miles|miles|kilometers|5 feet|inches|pounds|100 dollars|grams|liters|euros|a cup} {to|into|are|in} {kilometers|meters|a mile|a foot|kilos|euros|a kilogram|gallons|yen|ml}', 'what {animal|planet|element|country|city|fruit|sport|movie|book|car|person} {is|has|was} {the {largest|fastest|best|biggest|smallest|oldest|most popular|most beautiful}|red|known as <t>|next to <c>|in my <n>}', 'how {do|does|did|can} {<n>s|the <n>|a <n>|magnets|planes|birds|computers|vaccines|rockets|you|fish|plants} {work|fly|grow|learn|think|breathe|happen|move}', 'summarize {this text|the book|the news|my day|war and peace|the bible|<t>}: <w> <w> <w>', 'continue the {story|sentence|text|series}: {once upon a time|the <n> was <a>|1, 2, 4, 8|2, 4, 6|the <n>}', 'what comes next: {1, 2, 4, 8|A, B, C|2, 3, 5, 7|the <n>|1 1 2 3 5}',
)  # fmt: skip
UNKNOWN_CODE = '{sorts {a list|an array|numbers|strings}|reverses {a list|a string|a linked list|an array}|finds primes|checks {if|whether} {a string is a palindrome|a number is prime|a word is long|a year is a leap year}|counts {words|vowels|letters|lines}|reads a file|downloads a page|computes {fibonacci numbers|the fibonacci sequence|the factorial|the standard deviation|a hash|the gcd|pi}|sends an email|draws a circle|parses {JSON|a date|XML|CSV}|connects to a database|plays music|searches a {list|tree|file}|removes duplicates|generates passwords|merges two {lists|dictionaries}|converts celsius to fahrenheit|prints a triangle|opens a window|trains a neural network|encrypts a message|rolls a dice|shuffles cards|calculates the area of a circle|makes coffee|zips files|scrapes a website|flattens a list|capitalizes words|splits a string|finds the longest word|resizes an image}'


def unknown(rng: random.Random, exam: bool):
    """What it was not taught, and says so."""
    text = expand(rng, rng.choice(UNKNOWN))
    if held_out(text, 'unknown') != exam:
        return None
    while '<' in text:
        before = text
        for slot, value in (
            ('<t>', lambda: rng.choice(TOPICS)),
            ('<n>', lambda: rng.choice(words.NOUNS)),
            ('<a>', lambda: rng.choice(words.ADJECTIVES)),
            ('<w>', lambda: rng.choice(words.NOUNS + words.ADJECTIVES)),
            ('<c>', lambda: natural._country(rng)[0] if rng.random() < 0.8 else rng.choice(words.TOWNS)),
            ('<l>', lambda: expand(rng, OTHER_LANGUAGES)),
            ('<x>', lambda: expand(rng, UNKNOWN_CODE)),
            ('<big>', lambda: str(rng.randint(1000, 99999))),
        ):
            text = text.replace(slot, value(), 1)
        if text == before:
            break
    plain = '  PLAINFORMAT' * (rng.random() < 0.15)
    return [(careless(rng, text, question=rng.random() < 0.5) + plain, natural.HONEST)]

"""How people ask for small functions and for the Snake game: patterns, as phrasing.py reads them."""

PYTHON = '{python|python|python|Python|Python|Python|Python 3|python3|py}'
JAVASCRIPT = '{javascript|javascript|JavaScript|JavaScript|JavaScript|js|JS|java script|Javascript|node|node.js}'
TWO = '{two numbers|two numbers|two numbers|2 numbers|two values|two integers|two ints|a pair of numbers|two given numbers|both arguments|its two arguments|two inputs|two parameters|numbers|two variables|two floats|two things|its inputs|its arguments}'

# name -> sign, ways to say it with a verb (third person; the stem is the word without its s), ways to say it with a noun.
# <2> is TWO, or the two arguments.
OPERATIONS = {
    'add': ('+', ('adds <2>', 'adds <2>', 'adds up <2>', 'adds <2> together', 'sums <2>', 'sums up <2>', 'totals <2>', 'adds one number to another', 'adds <b> to <a>', 'adds a number to another [number]', 'combines <2> by addition'),
            ('sum of <2>', 'total of <2>', 'addition of <2>', 'result of adding <2>', 'sum', '<a> plus <b>', '<a> + <b>')),
    'subtract': ('-', ('subtracts <2>', 'subtracts <2>', 'subtracts one number from another [one|number]', 'subtracts <b> from <a>', 'takes <b> {away |}from <a>', 'takes one number away from another', 'takes the difference of <2>', 'subtracts the second {number|argument} from the first', 'deducts one number from another', 'takes away one number from another'),
                 ('difference of <2>', 'difference between <2>', 'subtraction of <2>', 'result of subtracting <2>', 'difference', '<a> minus <b>', '<a> - <b>')),
    'multiply': ('*', ('multiplies <2>', 'multiplies <2>', 'multiplies <2> together', 'multiplies one number {by|with} another', 'multiplies <a> {by|with} <b>', 'multiplies a number {by|with} another', 'takes the product of <2>'),
                 ('product of <2>', 'multiplication of <2>', 'result of multiplying <2>', 'product', '<a> times <b>', '<a> * <b>', '<a> multiplied by <b>')),
    'divide': ('/', ('divides <2>', 'divides <2>', 'divides one number by another [one|number]', 'divides <a> by <b>', 'divides the first {number|argument} by the second', 'takes the quotient of <2>', 'divides a number by another'),
               ('quotient of <2>', 'division of <2>', 'ratio of <2>', 'result of dividing <2>', 'quotient', '<a> divided by <b>', '<a> / <b>', '<a> over <b>')),
}  # fmt: skip
SENTENCES = {'add': 'sum', 'subtract': 'difference', 'multiply': 'product', 'divide': 'quotient'}

# Functions of their own: name, arguments, Python, JavaScript, what they return, ways to ask (verb in the third person).
OTHERS = (
    ('square', 'x', 'return x * x', 'return x * x;', 'the square of x', ('squares {a number|x|its argument|a value|an integer|its input}', 'computes the square of {a number|x}', 'returns x squared', 'returns the square [of a number]')),
    ('cube', 'x', 'return x * x * x', 'return x * x * x;', 'the cube of x', ('cubes {a number|x}', 'computes the cube of {a number|x}', 'returns the cube [of a number]')),
    ('double', 'x', 'return 2 * x', 'return 2 * x;', 'the double of x', ('doubles {a number|x|its argument|a value|its input}', 'returns {twice|double|two times} {a number|x|its argument}', 'multiplies {a number|x} by {2|two}')),
    ('half', 'x', 'return x / 2', 'return x / 2;', 'half of x', ('halves {a number|x|its argument}', 'returns half of {a number|x}', 'divides {a number|x} by {2|two}')),
    ('negate', 'x', 'return -x', 'return -x;', 'the negative of x', ('negates {a number|x}', 'flips the sign of {a number|x}', 'returns the negative of {a number|x}')),
    ('is_even', 'n', 'return n % 2 == 0', 'return n % 2 === 0;', 'whether n is even', ('checks {if|whether} {a number|n|x|its argument|an integer} is even', 'tells {if|whether} {a number|n} is even', 'tests {if|whether} {a number|n} is even', 'returns true {if|when} {a number|n} is even')),
    ('is_odd', 'n', 'return n % 2 == 1', 'return n % 2 === 1;', 'whether n is odd', ('checks {if|whether} {a number|n|x|its argument|an integer} is odd', 'tells {if|whether} {a number|n} is odd', 'tests {if|whether} {a number|n} is odd', 'returns true {if|when} {a number|n} is odd')),
    ('maximum', 'a, b', 'return max(a, b)', 'return Math.max(a, b);', 'the larger of a and b', ('returns the {larger|bigger|greater|largest|biggest|greatest} [one ]of {two numbers|a and b}', 'finds the {maximum|max|larger|bigger} of {two numbers|a and b}', 'returns the {maximum|max} [of two numbers]')),
    ('minimum', 'a, b', 'return min(a, b)', 'return Math.min(a, b);', 'the smaller of a and b', ('returns the {smaller|lesser|smallest} [one ]of {two numbers|a and b}', 'finds the {minimum|min|smaller} of {two numbers|a and b}', 'returns the {minimum|min} [of two numbers]')),
    ('average', 'a, b', 'return (a + b) / 2', 'return (a + b) / 2;', 'the average of a and b', ('computes the {average|mean} of {two numbers|a and b}', 'returns the {average|mean} [of two numbers]', 'averages two numbers')),
    ('remainder', 'a, b', 'return a % b', 'return a % b;', 'the remainder of a and b', ('returns the remainder [of {two numbers|a and b|a division}]', 'computes {a modulo b|the modulo [of two numbers]}', 'returns a mod b')),
    ('power', 'a, b', 'return a ** b', 'return a ** b;', 'a to the power of b', ('raises {a number|a} to a power', 'raises a to the power of b', 'computes the power [of two numbers]')),
    ('absolute', 'x', 'return abs(x)', 'return Math.abs(x);', 'the absolute value of x', ('returns the absolute value [of {a number|x}]', 'computes the absolute value [of {a number|x}]')),
    ('hello', '', "print('Hello, world!')", "console.log('Hello, world!');", None, ('prints [out ]hello world', 'says hello [world]', 'prints "{H|h}ello{,|} {W|w}orld[!]"', 'writes hello world', 'greets the world', 'displays hello world', 'outputs hello world')),
)  # fmt: skip
MAKE = '{write|write|write|make|create|implement|code|give me|show me|build|define|program|produce|generate|need|draft|develop|do|compose|craft|prepare|send me|come up with}'
SIZE = '[short|simple|small|tiny|basic|little|easy|minimal|very short|one-line]'
FUNCTION = '{function|function|function|function|func|method|script|program|code|snippet|routine|piece of code|helper|def|code snippet}'
FRAMES = (  # <v> verb phrase, <i> the same as an infinitive, <g> as a gerund, <l> language
    f'{MAKE} {{a|me a|a new|one}} {SIZE} <l> {FUNCTION} {{that|which|that just|that simply}} <v>',
    f'{MAKE} {{a|me a|a new|one}} {SIZE} <l> {FUNCTION} {{that|which|that just|that simply}} <v>',
    f'{MAKE} {{a|me a}} {SIZE} <l> {FUNCTION} to <i>',
    f'{MAKE} {{a|me a}} {SIZE} <l> {FUNCTION} for <g>',
    f'{MAKE} {{a|me a}} {SIZE} {FUNCTION} {{in|using|with}} <l> {{that|which}} <v>',
    f'{MAKE} {{a|me a}} {SIZE} {FUNCTION} {{that|which}} <v> {{in|using|with}} <l>',
    f'{MAKE} {{a|me a}} {SIZE} {FUNCTION} to <i> {{in|using|with}} <l>',
    f'{MAKE} {{a|me a}} {SIZE} {FUNCTION} for <g> in <l>',
    f'{MAKE} <l> code {{that <v>|to <i>|for <g>|which <v>}}',
    f'{{I need|I want|I would like|I\'d like|I am looking for|we need|I have to write|help me {{write|with}}|please give me|I must write|get me|how about}} {{a|some}} {SIZE} <l> {FUNCTION} {{that <v>|to <i>|for <g>|which <v>}}',
    f'{{can|could|would|will}} you [please ]{{write|make|create|show me|give me|code|implement|do|help me write}} {{a|me a}} {SIZE} <l> {FUNCTION} {{that <v>|to <i>|for <g>|which <v>}}',
    f'{{can|could|would|will}} you [please ]{{write|make|create|show me|give me|code|implement}} {{a|me a}} {SIZE} {FUNCTION} {{that <v>|to <i>|for <g>}} in <l>',
    '{how do|how can|how would|how could|how to|how should|how does one|show me how to|tell me how to|teach me how to|explain how to} {I|you|we|one} <i> in <l>',
    '{show me how to|tell me how to|teach me to|how to} <i> {in|with|using} <l>',
    '{in|using|with|for} <l>[,|:] {write|make|create|implement|code|give me|show me|define} a {function|func|method} {that <v>|to <i>|for <g>|which <v>}',
    '{in|using|with} <l>[,] how {do|can|would} {I|you|we} <i>',
    '<l>[:|,| code:] {function {that <v>|to <i>|for <g>}|<i>|<g>|a function that <v>}',
    '<l> {function|func|code|script|method|def} {that <v>|to <i>|for <g>|which <v>|<i>}',
    'a <l> {function|func|method} {that <v>|to <i>|for <g>}',
    '{what does|how does} a {function|method} that <v> look like in <l>',
    'what is the <l> {code|function} {to <i>|for <g>|that <v>}',
    'a {function|method|program} {that <v>|to <i>|for <g>}{, | in | using | with }<l>',
    '{function|code|func} {to <i>|for <g>|that <v>} in <l>',
    'my {teacher|boss|friend|homework} {wants|needs|asks for} a <l> function {that <v>|to <i>}',
    '<i> in <l>', 'do <g> in <l>',
    f'{MAKE} {{a|me a}} function in <l>. It {{should|must|has to|shall}} <i>',
    f'{MAKE} {{a|me a}} <l> function. It <v>',
)  # fmt: skip
NOUN_FRAMES = (  # <n> the noun phrase
    f'{MAKE} {{a|me a}} {SIZE} <l> {FUNCTION} {{that|which}} {{returns|computes|calculates|gives|finds|yields|outputs|works out|gives back|determines}} the <n>',
    f'{MAKE} {{a|me a}} {SIZE} {FUNCTION} in <l> {{that|which}} {{returns|computes|calculates|gives|finds|yields}} the <n>',
    f'{MAKE} {{a|me a}} {SIZE} {FUNCTION} {{that|which}} {{returns|computes|calculates|gives|finds}} the <n> in <l>',
    f'{MAKE} {{a|me a}} {SIZE} <l> {FUNCTION} {{to {{compute|calculate|get|find|return}}|for|returning|computing}} the <n>',
    f'{{can|could|would}} you [please ]{{write|make|create|show me|give me|code|implement}} {{a|me a}} {SIZE} <l> {FUNCTION} {{that|which}} {{returns|computes|calculates|gives|finds}} the <n>',
    f'{{I need|I want|I would like}} a {SIZE} <l> {FUNCTION} {{that|which}} {{returns|computes|calculates|gives|finds}} the <n>',
    '{how do|how can|how would|how to} {I|you|we} {compute|calculate|get|find|return} the <n> {in|with|using} <l>',
    '<l>[:|,] {function for|return|compute|calculate|} the <n>',
    '<l> {function|code} for the <n>', '{compute|calculate|return|find} the <n> in <l>', 'the <n> in <l>', '<l> function returning the <n>',
    '{in|using} <l>[,] {write|make|create|implement} {a function for|} the <n>',
)  # fmt: skip
NAMED = '{called|named|with the name|by the name of|and call it|, call it|, name it|, named|- name:} <name>'
SAME = (
    '{[and ]{now|} {the same|same|that|it|this}[,] {in|for|with|but in|but for|using} <l>|{and|now|what about|how about|and now|and how about} {in|for|} <l>|{can|could|would} you [please ]{do|write|make|give me|convert|translate|rewrite|show [me ]} {it|that|this|the same} {in|to|into|for} <l>'
    '|{translate|convert|port|rewrite|change|turn} {it|that|this|the code|the function} {to|into|in} <l>|{rewrite|write|do|make|give me|show me|repeat} {it|that|this|the same} in <l>|{in|to} <l>[ please| now]|<l> {version|now|please|too|as well}|the <l> version|same thing {in|for|but} <l>|{I need|I want} {it|that} in <l>|now <l>|{how|what} {does|would} {it|that} look [like ]in <l>|same function in <l>|and the <l> version}'
)
MORE = '{{and|now|and now|then|ok, now} {one|a function|another one|another|the same} {that <v>|to <i>|for <g>|which <v>}|now <i>|what about <g>|{do|make|write|give me} {one|another [one]} {that <v>|to <i>|for <g>}|I also need one {that <v>|to <i>}|and <g>|how about one that <v>}'
SNAKE_ASKS = (
    '{implement|write|make|create|code|program|build|give me|show me|develop|generate|do|I want|I need} [me ]{the|a|the classic|a simple|a small|a little|a basic|} {Snake|snake|snake game|Snake game|game of snake|game Snake|game called snake|game snake} {in|using|with} <l>',
    '{implement|write|make|create|code|program|build|give me|show me|develop|generate|I want|I need} {a|the|me a|me the|a simple|a small|} <l> {snake game|Snake game|snake|version of snake|implementation of snake|Snake|game of snake|snake program}',
    '{can|could|would} you [please ]{implement|write|make|create|code|program|build|give me|show me} {the|a|me a} {snake game|Snake|snake|game of snake} {in|using|with} <l>',
    '{how do|how can|how would|how to} {I|you} {implement|write|make|code|program|build} {the|a} {snake game|game of snake|Snake game|snake} in <l>',
    '{snake|snake game|Snake|the snake game|a snake game} {in|using|with} <l>', '<l>[:|,] {snake|snake game|Snake|write snake|the snake game|a snake game}', '<l> {snake|snake game}', '{in|using|with} <l>[,] {write|make|create|implement|code} {a|the} {snake game|Snake game|snake}',
    'I want to play snake, {write|code|make} it in <l>', '{let us|let\'s} {write|make|code} {a|the} {snake|snake game} in <l>',
)  # fmt: skip

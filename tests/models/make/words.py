"""What the tiny Airoboros knows: names, places, facts. Standard library alone."""


def pairs(text: str) -> dict[str, str]:
    """`a:b; c:d` as a dictionary."""
    return dict(tuple(part.strip().split(':')) for part in text.split(';') if part.strip())


# Every country, so that a person's own choice is among them.
WORLD = pairs("""
France:Paris; Germany:Berlin; Italy:Rome; Spain:Madrid; Portugal:Lisbon; Austria:Vienna; Poland:Warsaw; Greece:Athens;
Norway:Oslo; Sweden:Stockholm; Finland:Helsinki; Denmark:Copenhagen; Ireland:Dublin; Hungary:Budapest; Japan:Tokyo;
China:Beijing; India:Delhi; Egypt:Cairo; Kenya:Nairobi; Peru:Lima; Chile:Santiago; Cuba:Havana; Canada:Ottawa;
Turkey:Ankara; the United States:Washington; the United Kingdom:London; Russia:Moscow; Brazil:Brasilia;
Argentina:Buenos Aires; Mexico:Mexico City; Australia:Canberra; New Zealand:Wellington; Switzerland:Bern;
Belgium:Brussels; the Netherlands:Amsterdam; the Czech Republic:Prague; Slovakia:Bratislava; Slovenia:Ljubljana;
Croatia:Zagreb; Serbia:Belgrade; Bosnia:Sarajevo; Montenegro:Podgorica; Albania:Tirana; North Macedonia:Skopje;
Bulgaria:Sofia; Romania:Bucharest; Moldova:Chisinau; Ukraine:Kyiv; Belarus:Minsk; Lithuania:Vilnius; Latvia:Riga;
Estonia:Tallinn; Iceland:Reykjavik; Luxembourg:Luxembourg; Malta:Valletta; Cyprus:Nicosia; Monaco:Monaco;
Liechtenstein:Vaduz; Andorra:Andorra la Vella; San Marino:San Marino; Georgia:Tbilisi; Armenia:Yerevan; Azerbaijan:Baku;
Kazakhstan:Astana; Uzbekistan:Tashkent; Turkmenistan:Ashgabat; Kyrgyzstan:Bishkek; Tajikistan:Dushanbe; Mongolia:Ulaanbaatar;
South Korea:Seoul; North Korea:Pyongyang; Taiwan:Taipei; Vietnam:Hanoi; Thailand:Bangkok; Laos:Vientiane;
Cambodia:Phnom Penh; Myanmar:Naypyidaw; Malaysia:Kuala Lumpur; Singapore:Singapore; Indonesia:Jakarta;
the Philippines:Manila; Brunei:Bandar Seri Begawan; Nepal:Kathmandu; Bhutan:Thimphu; Bangladesh:Dhaka; Sri Lanka:Colombo;
Pakistan:Islamabad; Afghanistan:Kabul; Iran:Tehran; Iraq:Baghdad; Syria:Damascus; Lebanon:Beirut; Israel:Jerusalem;
Jordan:Amman; Saudi Arabia:Riyadh; Yemen:Sanaa; Oman:Muscat; the United Arab Emirates:Abu Dhabi; Qatar:Doha;
Bahrain:Manama; Kuwait:Kuwait City; Morocco:Rabat; Algeria:Algiers; Tunisia:Tunis; Libya:Tripoli; Sudan:Khartoum;
South Sudan:Juba; Ethiopia:Addis Ababa; Eritrea:Asmara; Djibouti:Djibouti; Somalia:Mogadishu; Uganda:Kampala;
Rwanda:Kigali; Burundi:Gitega; Tanzania:Dodoma; Nigeria:Abuja; Ghana:Accra; Senegal:Dakar; Mali:Bamako; Niger:Niamey;
Chad:N'Djamena; Cameroon:Yaounde; Gabon:Libreville; the Congo:Brazzaville; Angola:Luanda; Zambia:Lusaka;
Zimbabwe:Harare; Malawi:Lilongwe; Mozambique:Maputo; Botswana:Gaborone; Namibia:Windhoek; South Africa:Pretoria;
Lesotho:Maseru; Eswatini:Mbabane; Madagascar:Antananarivo; Mauritius:Port Louis; the Seychelles:Victoria;
the Comoros:Moroni; Ivory Coast:Yamoussoukro; Liberia:Monrovia; Sierra Leone:Freetown; Guinea:Conakry; Gambia:Banjul;
Togo:Lome; Benin:Porto-Novo; Burkina Faso:Ouagadougou; Mauritania:Nouakchott; Cape Verde:Praia; Colombia:Bogota;
Venezuela:Caracas; Ecuador:Quito; Bolivia:La Paz; Paraguay:Asuncion; Uruguay:Montevideo; Guyana:Georgetown;
Suriname:Paramaribo; Panama:Panama City; Costa Rica:San Jose; Nicaragua:Managua; Honduras:Tegucigalpa;
El Salvador:San Salvador; Guatemala:Guatemala City; Belize:Belmopan; Jamaica:Kingston; Haiti:Port-au-Prince;
the Dominican Republic:Santo Domingo; the Bahamas:Nassau; Barbados:Bridgetown; Trinidad and Tobago:Port of Spain;
Grenada:St. George's; Saint Lucia:Castries; Dominica:Roseau; Fiji:Suva; Samoa:Apia; Tonga:Nuku'alofa; Vanuatu:Port Vila;
Papua New Guinea:Port Moresby; the Solomon Islands:Honiara; Kiribati:Tarawa; Tuvalu:Funafuti; Palau:Ngerulmud;
the Maldives:Male; Scotland:Edinburgh; Wales:Cardiff; England:London; Northern Ireland:Belfast; Kosovo:Pristina
""")
COMMON = list(WORLD)[:38]  # asked for more often, and with more phrasings
ALIASES = {
    'the United States': 'the USA|USA|the US|America|the United States of America|the U.S.|United States|the states',
    'the United Kingdom': 'the UK|UK|Great Britain|Britain|United Kingdom',
    'the Netherlands': 'Holland|Netherlands|the netherlands',
    'the Czech Republic': 'Czechia|Czech Republic',
    'the Philippines': 'Philippines',
    'the United Arab Emirates': 'the UAE|UAE|United Arab Emirates',
    'South Korea': 'Korea|S. Korea|south korea',
    'Turkey': 'Turkiye',
    'Myanmar': 'Burma',
    'Ivory Coast': "Cote d'Ivoire",
    'Eswatini': 'Swaziland',
    'the Congo': 'Congo',
    'Bosnia': 'Bosnia and Herzegovina',
    'China': "the People's Republic of China",
    'Ireland': 'the Republic of Ireland',
    'the Dominican Republic': 'Dominican Republic',
    'the Bahamas': 'Bahamas',
    'the Maldives': 'Maldives',
    'Gambia': 'the Gambia',
    'North Macedonia': 'Macedonia',
}
# No countries, or none any more: their capitals are not known.
NO_COUNTRY = (
    'Narnia Atlantis Mordor Gondor Wakanda Westeros Hogwarts Mars Jupiter Venus Antarctica Europe Asia Africa Oz Texas '
    'California Florida Ohio Alaska Bavaria Tuscany Prussia Lilliput Utopia Genovia Latveria Zamunda Elbonia Ruritania Pluto '
    'Middle-earth Neverland Hyrule Catalonia Quebec Ontario Normandy Siberia Tibet Saturn Freedonia Zubrowka Krypton Panem'
).split()

PEOPLE = """
Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Karin Leo Mia Nils Olga Paul Rosa Simon Tina Viktor Tom Bob Alice
Sarah John Mary Peter Susan Mike Laura James Linda Robert Jennifer Michael Lisa William Karen Richard Nancy Joseph Betty
Thomas Sandra Charles Ashley Daniel Kim Matthew Donna Mark Carol Steven Michelle Andrew Emily Kevin Amanda Brian Melissa
George Debra Edward Rebecca Jason Sharon Jeff Cynthia Ryan Amy Jacob Kathy Gary Angela Nick Shirley Eric Brenda Larry Pam
Justin Nicole Scott Katie Frank Samantha Ray Christine Greg Helen Sam Rachel Pat Carolyn Alex Janet Jack Maria Dennis Diane
Jerry Julie Tyler Joyce Aaron Victoria Jose Kelly Adam Nora Henry Lena Nathan Joan Zach Evelyn Kyle Judith Walter Olivia
Ethan Sophie Noah Hannah Liam Grace Lucas Zoe Oliver Chloe Max Ella Finn Lily Oscar Ruby Theo Ivy Arthur Freya Muhammad
Fatima Ahmed Aisha Omar Layla Ali Yusuf Priya Raj Arjun Ananya Wei Mei Li Chen Yuki Hiro Kenji Sakura Min Jin Pierre Marie
Jean Claire Luc Amelie Carlos Lucia Juan Elena Diego Sofia Pablo Carmen Giulia Marco Luca Francesca Ivan Natasha Dmitri
Katya Sven Astrid Lars Ingrid Bjorn Freja Piotr Agnieszka Kwame Ama Thabo Zanele Bruno Fritz Hans Heidi Klaus Ursula
""".split()
TOWNS = """
New York|Chicago|Boston|Seattle|Dallas|Houston|Miami|Denver|Los Angeles|San Francisco|Toronto|Vancouver|Montreal|Sydney|
Melbourne|Auckland|Munich|Hamburg|Cologne|Frankfurt|Dresden|Leipzig|Stuttgart|Bremen|Lyon|Nice|Marseille|Toulouse|Milan|
Naples|Venice|Turin|Florence|Barcelona|Seville|Valencia|Porto|Geneva|Zurich|Basel|Salzburg|Graz|Krakow|Gdansk|Bergen|
Gothenburg|Manchester|Liverpool|Leeds|Bristol|Oxford|Cambridge|York|Glasgow|Cork|Antwerp|Ghent|Rotterdam|Utrecht|Mumbai|
Kolkata|Chennai|Bangalore|Shanghai|Hong Kong|Osaka|Kyoto|Istanbul|Dubai|Lagos|Casablanca|Cape Town|Rio|Sao Paulo|Austin|
Portland|Phoenix|Detroit|Atlanta|Las Vegas|Orlando|Springfield|Brno|Odesa|Bonn|Essen|Lille|Nantes|Bilbao|Malaga|Bath
""".replace('\n', '').split('|')
COLOURS = 'red blue green yellow orange purple black white pink brown grey turquoise violet gold silver'.split()
FOODS = 'pizza pasta sushi rice soup cake chocolate bread cheese salad curry pancakes noodles steak tacos ramen'.split()
PETS = 'dog cat rabbit hamster horse parrot fish turtle goldfish bird pony mouse snake'.split()
PET_NAMES = (
    'Rex Bello Luna Milo Buddy Coco Felix Max Rocky Daisy Simba Nala Oreo Fluffy Spot Tiger Bruno Ginger'.split()
)
JOBS = 'teacher doctor nurse baker cook pilot farmer plumber painter student lawyer programmer driver writer singer'.split()

NUMBERS = (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen '
    'nineteen'
).split()
TENS = '- - twenty thirty forty fifty sixty seventy eighty ninety'.split()

# Words without a meaning here: what surrounds a question does not change it.
NOUNS = """
table chair window door car bike train bus garden flower tree river lake mountain cloud rain book pen letter paper phone
lamp cup plate spoon fork bottle shoe coat hat shirt bag box key clock picture song guitar piano drum ball game team
kitchen house roof wall floor bed sofa bridge street market shop bank school office desk computer screen mouse keyboard
bread apple banana orange tomato potato onion milk tea coffee sugar salt egg butter honey bird cow sheep goat fox bear
lion tiger wolf frog bee ant spider friend brother sister uncle aunt cousin neighbour boss kid son daughter teacher
homework exam test quiz project class lesson job work meeting trip holiday weekend party lunch dinner breakfast
""".split()
ADJECTIVES = """
big small old new fast slow warm cold happy sad tired busy quiet loud bright dark heavy light soft hard clean dirty full empty
nice strange funny lovely rainy sunny lazy hungry bored curious late early ready lost
""".split()

# Facts: the answer, and ways to ask. Slots as in phrasing.py.
FACTS = {
    'The sky is blue.': '{{what|which} {color|colour} {is|has} the sky|the sky is what {color|colour}|{color|colour} of the sky}',
    'Grass is green.': '{{what|which} {color|colour} {is|has} [the ]grass|{color|colour} of grass}',
    'Snow is white.': '{{what|which} {color|colour} {is|has} [the ]snow|{color|colour} of snow}',
    'A banana is yellow.': '{what|which} {color|colour} {is|has|are} {a banana|bananas|a ripe banana}',
    'The sun is yellow.': '{what|which} {color|colour} {is|has} the sun',
    'Blood is red.': '{what|which} {color|colour} {is|has} [the |our |human ]blood',
    'Coal is black.': '{what|which} {color|colour} {is|has} coal',
    'Blue and yellow make green.': 'what {color|colour} do {you get|I get|we get} {when|if} {you|I|we} mix {blue and yellow|yellow and blue}',
    'Red and yellow make orange.': 'what {color|colour} do {you get|I get|we get} {when|if} {you|I|we} mix {red and yellow|yellow and red}',
    'Red and blue make purple.': 'what {color|colour} do {you get|I get|we get} {when|if} {you|I|we} mix {red and blue|blue and red}',
    'A week has 7 days.': '{how many days {are|are there} in {a|one} week|how many days {does|has} a week [have]|days {in a|per} week|how many days make a week|how long is a week}',
    'A year has 12 months.': '{how many months {are|are there} in {a|one} year|how many months {does|has} a year [have]|months {in a|per} year}',
    'A year has 365 days.': '{how many days {are|are there} in {a|one} year|how many days {does|has} a year [have]|days {in a|per} year|how long is a year}',
    'A day has 24 hours.': '{how many hours {are|are there} in {a|one} day|how many hours {does|has} a day [have]|hours {in a|per} day|how long is a day}',
    'An hour has 60 minutes.': '{how many minutes {are|are there} in {an|one} hour|how many minutes {does|has} an hour [have]|minutes {in an|per} hour}',
    'A minute has 60 seconds.': '{how many seconds {are|are there} in {a|one} minute|how many seconds {does|has} a minute [have]|seconds {in a|per} minute}',
    'The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.': '{{what are|name|list|tell me|give me|say|which are} {the|all|all the} [seven |7 ]{days of the week|weekdays|days in a week}|days of the week}',
    'The first month is January.': '{what|which} is the {first month [of the year]|1st month}',
    'The last month is December.': '{what|which} is the {last month [of the year]|twelfth month [of the year]|12th month}',
    'The first day of the week is Monday.': '{what|which} is the first {day of the week|weekday}',
    'The seasons are spring, summer, autumn and winter.': '{what are|name|list|which are} the [four |4 ]seasons',
    'A dog has 4 legs.': '{how many {legs|feet|paws} {does|has} a {dog|puppy} [have]|how many legs do dogs have}',
    'A cat has 4 legs.': '{how many {legs|feet|paws} {does|has} a {cat|kitten} [have]|how many legs do cats have}',
    'A spider has 8 legs.': '{how many legs {does|has} a spider [have]|how many legs do spiders have}',
    'An insect has 6 legs.': '{how many legs {does|has} {an insect|an ant|a bee|a fly} [have]|how many legs do {insects|ants|bees} have}',
    'A bird has 2 legs.': '{how many legs {does|has} a {bird|chicken|duck} [have]|how many legs do birds have}',
    'A triangle has 3 sides.': '{how many {sides|corners|edges|angles} {does|has} a triangle [have]|how many sides do triangles have}',
    'A square has 4 sides.': '{how many {sides|corners|edges|angles} {does|has} a square [have]|how many sides do squares have}',
    'A hand has 5 fingers.': '{how many fingers {does|has} a hand [have]|how many fingers {are on|are there on|do I have on} {a|one|my} hand}',
    'A dozen is 12.': '{how {many|much} {is|are|are in|makes} a dozen|what is a dozen|how many eggs are in a dozen}',
    'A cat says meow.': '{what {sound|noise} does a {cat|kitten} make|what does a {cat|kitten} say|how does a cat sound}',
    'A dog says woof.': '{what {sound|noise} does a {dog|puppy} make|what does a {dog|puppy} say|how does a dog sound}',
    'A cow says moo.': '{what {sound|noise} does a cow make|what does a cow say|how does a cow sound}',
    'A duck says quack.': '{what {sound|noise} does a duck make|what does a duck say|how does a duck sound}',
    'The Earth goes around the Sun.': '{what does the earth {go|move|revolve|orbit} [around]|does the earth {go|revolve} around the sun}',
    'The Earth is round.': '{is the earth {flat|round|a sphere}|what shape is the earth|what shape has the earth}',
    'Water freezes at 0 degrees Celsius.': '{at what temperature does water freeze|when does water freeze|what is the freezing point of water}',
    'Water boils at 100 degrees Celsius.': '{at what temperature does water boil|when does water boil|what is the boiling point of water}',
    'The alphabet has 26 letters.': 'how many letters {are|are there} in the [English ]alphabet',
    'The first letter of the alphabet is A.': '{what|which} is the first letter {of|in} the alphabet',
    'The last letter of the alphabet is Z.': '{what|which} is the last letter {of|in} the alphabet',
    'There are 7 continents.': 'how many continents {are there|does the world have|exist}',
    '1, 2, 3, 4, 5, 6, 7, 8, 9, 10.': '{count {to|up to|from 1 to|from one to} {10|ten}|can you count to {10|ten}}',
    '1, 2, 3, 4, 5.': '{count {to|up to|from 1 to|from one to} {5|five}|can you count to {5|five}}',
}  # fmt: skip
OPPOSITES = pairs(
    'hot:cold; cold:hot; big:small; small:big; up:down; down:up; left:right; good:bad; bad:good; day:night; night:day; '
    'black:white; white:black; fast:slow; slow:fast; old:young; young:old; high:low; low:high; open:closed; happy:sad; sad:happy; '
    'light:dark; dark:light; long:short; short:long; yes:no; no:yes; true:false; false:true; wet:dry; dry:wet; full:empty; '
    'empty:full; hard:soft; soft:hard; rich:poor; poor:rich; early:late; late:early; in:out; on:off; love:hate; start:end'
)
DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split()
MONTHS = 'January February March April May June July August September October November December'.split()

"""The words of the demo: small on purpose, so that nearly every word is one token.

Owns word lists only. A list shared by several tasks lets one task's practice help another.
"""

FRUITS = "apple banana cherry grape kiwi lemon mango melon orange peach pear plum".split()
ANIMALS = "bear bird cat cow dog duck fish fox frog goat horse lion mouse owl rabbit wolf".split()
OBJECTS = (
    "ball bell boat book box coin cup drum flag hat key kite lamp map pen ring shoe spoon star stone"
).split()
COLORS = "black blue brown gold green orange pink red white yellow".split()
NATURE = "cloud flower forest garden hill lake moon mountain rain river sea snow sun tree".split()
FURNITURE = "bed chair clock desk door table window".split()
ROOMS = "attic bathroom bedroom hall kitchen office".split()
FOODS = "bread butter cake cheese honey milk rice soup sugar tea".split()

# What lists to sort or reverse are drawn from; no word twice.
WORDS = sorted({*FRUITS, *ANIMALS, *OBJECTS, *COLORS, *NATURE, *FURNITURE, *FOODS})

NAMES = (
    "Alice Anna Ben Bob Clara David Emma Eva Felix Hugo Ida Jack Kate Leo Lily Lucy Max Mia Nina "
    "Noah Oscar Paul Rosa Sam Sara Tim Tom Zoe"
).split()
CITIES = (
    "Athens Berlin Boston Cairo Dublin Lima London Madrid Miami Milan Oslo Paris Prague Rome Tokyo "
    "Vienna"
).split()
JOBS = "baker cook doctor farmer nurse painter pilot singer teacher writer".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def invented_word(rng) -> str:
    """A word of no list, so that copying is learnt for any spelling."""
    consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
    parts = [rng.choice(consonants) + rng.choice(vowels) for _ in range(rng.randint(1, 3))]
    return "".join(parts) + rng.choice(["", *"lmnrst"])


def plural(noun: str) -> str:
    """Regular plurals; enough for the nouns that are counted."""
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("ch", "x", "s", "sh")) else "s")

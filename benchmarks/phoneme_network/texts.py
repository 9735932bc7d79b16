"""Texts to train on: sentences, random words, invented words and entities such as amounts, dates and phone numbers.

Invented words are composed of English spellings, so that every sequence of phonemes occurs and none is learned as the
word that it belongs to.
"""

from __future__ import annotations

from random import Random

from embedded_whisper import sentences
from embedded_whisper.words import DAYS, MONTHS

_ONSETS_TEXT = """
b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p ph pl pr qu r s sc scr sh sk sl sm sn sp spl spr st str sw
t th thr tr tw v w wh y z
"""
_ONSETS = _ONSETS_TEXT.split()
_NUCLEI_TEXT = """
a a ai au aw ay e e ea ee ei er ew i i ie ir o o oa oi oo ou ow oy u ue ur
"""
_NUCLEI = _NUCLEI_TEXT.split()
_CODAS_TEXT = """
b ck ct d dge ft g ght k l ld lk ll lm lt m mp n nce nch nd ng nk nt p r rd rk rm rn rt s sh sk sp ss st t tch
th ve x z
"""
_CODAS = _CODAS_TEXT.split() + [""] * 12
_ENDINGS = ["", "", "", "", "ing", "ed", "s", "er", "ly", "tion", "ness", "able", "ment", "ous", "al", "ity"]


def invent_word(random: Random) -> str:
    """Return an invented word of one to three syllables."""
    syllables = (
        f"{random.choice([*_ONSETS, ''])}{random.choice(_NUCLEI)}{random.choice(_CODAS)}"
        for _ in range(random.choice((1, 1, 2, 2, 3)))
    )
    return "".join(syllables) + random.choice(_ENDINGS)


def invent_entity(random: Random) -> str:
    """Return an amount, date, time, phone number, code or percentage."""
    number = random.randrange(10 ** random.randint(1, 5))
    return random.choice(
        (
            f"${number}.{random.randrange(100):02d}",
            f"{random.choice(MONTHS).title()} {random.randint(1, 31)}, {random.randint(1900, 2030)}",
            f"{random.choice(DAYS).title()} at {random.randint(1, 12)}:{random.randrange(60):02d} AM",
            f"{random.randrange(200, 999)}-{random.randrange(10000):04d}",
            f"{number}",
            f"{random.randrange(100)}.{random.randrange(10)}%",
            f"{random.choice('ABCDEFGHKLMNPRSTXZ')}{random.choice('ABCDEFGHKLMNPRSTXZ')}{number}",
            " ".join(str(random.randrange(10)) for _ in range(random.randint(2, 6))),
        )
    )


def choose_text(random: Random) -> str:
    """Return a text of up to about twenty words."""
    kind = random.random()
    if kind < 0.25:
        text = sentences.sentence(random)
    elif kind < 0.45:
        text = sentences.sequence(random, 3, 12)
    elif kind < 0.8:
        text = " ".join(invent_word(random) for _ in range(random.randint(2, 9)))
    else:
        words = [sentences.sequence(random, 1, 4), invent_entity(random), sentences.sequence(random, 1, 4)]
        text = " ".join(words)
    words = [f"{word}," if random.random() < 0.06 else word for word in text.split()]
    return " ".join(words).rstrip(",").capitalize() + random.choice((".", ".", ".", "?", "!"))

"""Generates the texts of the corpus: random sequences of words, and sentences of a small grammar.

No text of a suite is among them: a text that a suite contains is drawn again.
"""

from __future__ import annotations

import re
from functools import cache
from random import Random

from embedded_whisper.words import (
    DAYS,
    MONTHS,
    ONES,
    ORDINALS,
    TEENS,
    TENS,
    common_words,
    suite_words,
    vocabulary,
)
from voicegauge.bench.suites import load_suite

SUITE_SHARE = 0.5
"""Share of words that are drawn from the words of the suites, so that the rare ones occur often enough."""


def sequence(random: Random, shortest: int, longest: int) -> str:
    """Return a sequence of random words."""
    while True:
        words = [random.choice(suite_words() if random.random() < SUITE_SHARE else vocabulary())
                 for _ in range(random.randint(shortest, longest))]  # fmt: skip
        text = " ".join(words)
        if text not in _held_out():
            return text


def sentence(random: Random) -> str:
    """Return one or two English clauses with random content words."""
    while True:
        text = " ".join(_clause(random) for _ in range(random.choice((1, 1, 2))))
        if text not in _held_out():
            return text


@cache
def _held_out() -> frozenset[str]:
    texts = [text.text for name in ("smoke", "standard") for text in load_suite(name).texts]
    return frozenset(" ".join(re.findall(r"[a-z']+", text.lower())) for text in texts)


_FRAMES = (
    "the {w} {w} {of} the {w}", "{who} {aux} {w} the {w} {of} {w}", "{ask} {aux} {who} {w} the {w} {w}",
    "{who} {w} {n} {w} {of} {w}", "it costs {money}", "on {date} {who} {w} {w}", "at {time} the {w} {w} {of} a {w}",
    "please {w} {of} {w} and {w} {n} {w}", "a {w} {w} {w} the {w} {of} a {w}", "{who} {aux} not {w} {n} {w}",
    "the {w} {aux} {w} because {who} {w} {w}", "there are {n} {w} {of} the {w}", "when the {w} {w} {who} {w} to {w}",
)  # fmt: skip
_CHOICES = {
    "of": [
        "of",
        "in",
        "on",
        "at",
        "with",
        "for",
        "from",
        "to",
        "by",
        "under",
        "over",
        "near",
        "after",
        "before",
        "between",
    ],
    "who": ["i", "you", "he", "she", "we", "they", "it", "everyone", "nobody"],
    "aux": [
        "is",
        "are",
        "was",
        "were",
        "will",
        "would",
        "can",
        "could",
        "should",
        "must",
        "has",
        "have",
        "had",
        "did",
        "does",
        "do",
    ],
    "ask": ["what", "where", "when", "why", "how", "who", "which"],
}


def _clause(random: Random) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: _fill(random, found[1]), random.choice(_FRAMES))


def _fill(random: Random, slot: str) -> str:
    if slot in _CHOICES:
        return random.choice(_CHOICES[slot])
    if slot == "w":
        return random.choice(suite_words() if random.random() < SUITE_SHARE else common_words())
    if slot == "n":
        return number(random)
    if slot == "money":
        return f"{number(random)} dollars and {number(random, 100)} cents"
    if slot == "date":
        return f"{random.choice(DAYS)} {random.choice(MONTHS)} {random.choice(ORDINALS)}"
    minutes = random.choice((*TENS[:4], *TEENS, "o'clock"))
    return f"{random.choice(ONES[1:] + TEENS[:3])} {minutes}"


def number(random: Random, below: int = 100_000) -> str:
    """Return a random number below `below` in words."""
    return spell(random.randrange(10 ** random.randint(1, len(str(below)) - 1)))


def spell(value: int) -> str:
    """Return a number below a million in words."""
    if value < 10:
        return ONES[value]
    if value < 20:
        return TEENS[value - 10]
    if value < 100:
        return TENS[value // 10 - 2] + (f" {ONES[value % 10]}" if value % 10 else "")
    if value < 1000:
        rest = f" {spell(value % 100)}" if value % 100 else ""
        return f"{ONES[value // 100]} hundred{rest}"
    rest = f" {spell(value % 1000)}" if value % 1000 else ""
    return f"{spell(value // 1000)} thousand{rest}"

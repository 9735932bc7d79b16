"""Alternatives of spoken words, such as "two hundred (and) twelve" or "two one two", as small expressions.

An expression is a sequence of words, a sequence of expressions or a choice between expressions. It stands for a set of
word sequences without listing them: a telephone number has thousands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_WORD_PATTERN = re.compile(r"[^\W_]+")


class Words(NamedTuple):
    """A sequence of words without alternatives."""

    words: tuple[str, ...]


class Sequence(NamedTuple):
    """Expressions that are spoken one after the other."""

    parts: tuple[Expression, ...]


class Choice(NamedTuple):
    """Expressions of which one is spoken; the first is the usual one."""

    alternatives: tuple[Expression, ...]


Expression = Words | Sequence | Choice

SILENCE = Words(())
"""The expression that says nothing."""


def fold_letters(text: str) -> str:
    """Return `text` in lower case without accents: "Février" and "fevrier" are the same word."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return unicodedata.normalize("NFC", "".join(char for char in decomposed if not unicodedata.combining(char)))


def say(text: str) -> Expression:
    """Return the words of `text`; "|" separates alternatives, and words in parentheses may be left out."""
    alternatives = [_say_alternative(one) for one in text.split("|")]
    return alternatives[0] if len(alternatives) == 1 else Choice(tuple(alternatives))


def _say_alternative(text: str) -> Expression:
    parts = re.split(r"\(([^)]*)\)", text)
    if len(parts) == 1:
        return Words(tuple(_WORD_PATTERN.findall(fold_letters(text))))
    return sequence(*(optional(say(part)) if index % 2 else say(part) for index, part in enumerate(parts)))


def sequence(*parts: Expression) -> Expression:
    """Combine expressions into one whose parts are spoken one after the other."""
    return Sequence(tuple(part for part in parts if part != SILENCE))


def either(alternatives: Iterable[Expression]) -> Expression:
    """Return a choice between expressions; the first is the usual one.

    Raises:
        ValueError: there are none.
    """
    different = tuple(dict.fromkeys(alternatives))
    if not different:
        raise ValueError("no alternatives")
    return different[0] if len(different) == 1 else Choice(different)


def optional(expression: Expression) -> Expression:
    """Return an expression that may be left out; usually it is not."""
    return Choice((expression, SILENCE))


def join_words(expression: Expression) -> Expression:
    """Return the same alternatives with each word split into its characters, for languages without spaces."""
    match expression:
        case Words(words):
            return Words(tuple("".join(words)))
        case Sequence(parts):
            return Sequence(tuple(join_words(part) for part in parts))
        case Choice(alternatives):
            return Choice(tuple(join_words(one) for one in alternatives))


def list_words(expression: Expression) -> frozenset[str]:
    """Return every word of every alternative."""
    match expression:
        case Words(words):
            return frozenset(words)
        case Sequence(parts):
            return frozenset().union(*map(list_words, parts))
        case Choice(alternatives):
            return frozenset().union(*map(list_words, alternatives))


def keep_likely(expression: Expression, vocabulary: frozenset[str]) -> Expression:
    """Return `expression` without the alternatives that cannot be said with the words of `vocabulary` alone.

    Of alternatives that all need other words, the first of those that need the fewest remains.
    """
    return _prune(expression, vocabulary)[0]


def _prune(expression: Expression, vocabulary: frozenset[str]) -> tuple[Expression, int]:
    """Return the pruned expression, and the number of words that it needs beyond the vocabulary."""
    match expression:
        case Words(words):
            return expression, sum(word not in vocabulary for word in words)
        case Sequence(parts):
            pruned = [_prune(part, vocabulary) for part in parts]
            return Sequence(tuple(one for one, _ in pruned)), sum(count for _, count in pruned)
        case Choice(alternatives):
            found = [_prune(one, vocabulary) for one in alternatives]
            fewest = min(count for _, count in found)
            kept = [one for one, count in found if count == fewest]
            return either(kept if fewest == 0 else kept[:1]), fewest


def iterate_readings(expression: Expression) -> Iterator[tuple[str, ...]]:
    """Yield every word sequence that an expression stands for, the usual one first."""
    match expression:
        case Words(words):
            yield words
        case Sequence(parts):
            yield from _iterate_sequence(parts)
        case Choice(alternatives):
            for one in alternatives:
                yield from iterate_readings(one)


def _iterate_sequence(parts: tuple[Expression, ...]) -> Iterator[tuple[str, ...]]:
    if not parts:
        yield ()
        return
    for first in iterate_readings(parts[0]):
        for rest in _iterate_sequence(parts[1:]):
            yield first + rest

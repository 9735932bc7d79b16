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


class WordSequence(NamedTuple):
    """A sequence of words without alternatives."""

    words: tuple[str, ...]


class ExpressionSequence(NamedTuple):
    """Expressions that are spoken one after the other."""

    parts: tuple[Expression, ...]


class ExpressionChoice(NamedTuple):
    """A choice between expressions, one of which is spoken; the first is the usual one."""

    alternatives: tuple[Expression, ...]


Expression = WordSequence | ExpressionSequence | ExpressionChoice

SILENCE = WordSequence(())
"""The expression without words, for what is not spoken."""


def fold_case_and_accents(text: str) -> str:
    """Return `text` in lower case without accents: "Février" and "fevrier" are the same word."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return unicodedata.normalize("NFC", "".join(char for char in decomposed if not unicodedata.combining(char)))


def phrase(text: str) -> Expression:
    """Return the expression that `text` describes: "|" separates alternatives, words in parentheses may be left out."""
    alternatives = [_build_alternative(one) for one in text.split("|")]
    return alternatives[0] if len(alternatives) == 1 else ExpressionChoice(tuple(alternatives))


def _build_alternative(text: str) -> Expression:
    parts = re.split(r"\(([^)]*)\)", text)
    if len(parts) == 1:
        return WordSequence(tuple(_WORD_PATTERN.findall(fold_case_and_accents(text))))
    return sequence(*(optional(phrase(part)) if index % 2 else phrase(part) for index, part in enumerate(parts)))


def sequence(*parts: Expression) -> Expression:
    """Combine expressions into one whose parts are spoken one after the other."""
    return ExpressionSequence(tuple(part for part in parts if part != SILENCE))


def choice(alternatives: Iterable[Expression]) -> Expression:
    """Return a choice between expressions; the first is the usual one.

    Raises:
        ValueError: there are no alternatives.
    """
    different = tuple(dict.fromkeys(alternatives))
    if not different:
        raise ValueError("no alternatives")
    return different[0] if len(different) == 1 else ExpressionChoice(different)


def optional(expression: Expression) -> Expression:
    """Return a choice between `expression`, the usual alternative, and nothing."""
    return ExpressionChoice((expression, SILENCE))


def split_into_characters(expression: Expression) -> Expression:
    """Return the same alternatives with each word split into its characters, for languages without spaces."""
    match expression:
        case WordSequence(words):
            return WordSequence(tuple("".join(words)))
        case ExpressionSequence(parts):
            return ExpressionSequence(tuple(split_into_characters(part) for part in parts))
        case ExpressionChoice(alternatives):
            return ExpressionChoice(tuple(split_into_characters(one) for one in alternatives))


def list_words(expression: Expression) -> frozenset[str]:
    """Return every word of every alternative."""
    match expression:
        case WordSequence(words):
            return frozenset(words)
        case ExpressionSequence(parts):
            return frozenset().union(*map(list_words, parts))
        case ExpressionChoice(alternatives):
            return frozenset().union(*map(list_words, alternatives))


def restrict_to_vocabulary(expression: Expression, vocabulary: frozenset[str]) -> Expression:
    """Return `expression` without the alternatives that cannot be said with the words of `vocabulary` alone.

    Of alternatives that all need other words, the first of those that need the fewest remains.
    """
    return _prune(expression, vocabulary)[0]


def _prune(expression: Expression, vocabulary: frozenset[str]) -> tuple[Expression, int]:
    """Return the pruned expression, and the number of words that it needs beyond the vocabulary."""
    match expression:
        case WordSequence(words):
            return expression, sum(word not in vocabulary for word in words)
        case ExpressionSequence(parts):
            pruned = [_prune(part, vocabulary) for part in parts]
            return ExpressionSequence(tuple(one for one, _ in pruned)), sum(count for _, count in pruned)
        case ExpressionChoice(alternatives):
            found = [_prune(one, vocabulary) for one in alternatives]
            fewest = min(count for _, count in found)
            kept = [one for one, count in found if count == fewest]
            return choice(kept if fewest == 0 else kept[:1]), fewest


def iterate_readings(expression: Expression) -> Iterator[tuple[str, ...]]:
    """Yield every word sequence that an expression stands for, the usual one first."""
    match expression:
        case WordSequence(words):
            yield words
        case ExpressionSequence(parts):
            yield from _iterate_sequence(parts)
        case ExpressionChoice(alternatives):
            for one in alternatives:
                yield from iterate_readings(one)


def _iterate_sequence(parts: tuple[Expression, ...]) -> Iterator[tuple[str, ...]]:
    if not parts:
        yield ()
        return
    for first in iterate_readings(parts[0]):
        for rest in _iterate_sequence(parts[1:]):
            yield first + rest

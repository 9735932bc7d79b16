"""Word lattices: texts with alternatives, and the alignment of two of them with the fewest errors.

The alignment is the dynamic programme of the word error rate (Levenshtein 1966), over pairs of nodes instead of pairs
of words: the cheapest pair of paths through both lattices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from voicegauge.readings.spoken_alternatives import Choice, Expression, Words
from voicegauge.readings.spoken_alternatives import Sequence as ExpressionSequence

MAX_CELLS = 3_000_000
"""Largest number of pairs of nodes that are compared, which takes a few seconds. Longer texts are not compared."""
StepKind = Literal["equal", "substitution", "deletion", "insertion"]


class Step(NamedTuple):
    """One step of an alignment."""

    kind: StepKind
    reference: str
    """The word of the reference; empty for an insertion."""
    hypothesis: str
    """The word of the hypothesis; empty for a deletion."""
    reference_part: int
    """Index of the part of the reference that the step belongs to; that of the part before it for an insertion."""
    hypothesis_part: int


class WordLattice:
    """A directed acyclic graph of words from a start to an end.

    Node 0 is the start. Each node has one word, or none where paths join; `predecessors` have smaller numbers.
    """

    def __init__(self, parts: Sequence[Expression]) -> None:
        """Build the lattice of `parts`, which are spoken one after the other."""
        self.words: list[str | None] = [None]
        self.predecessors: list[list[int]] = [[]]
        self.part_numbers: list[int] = [-1]
        last = 0
        for number, part in enumerate(parts):
            last = self._append(part, last, number)
        self.end = last

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self.words)

    def _append(self, expression: Expression, before: int, part: int) -> int:
        """Append an expression after a node; return the node at its end."""
        match expression:
            case Words(words):
                for word in words:
                    before = self._add_node(word, [before], part)
                return before
            case ExpressionSequence(parts):
                for one in parts:
                    before = self._append(one, before, part)
                return before
            case Choice(alternatives):
                ends = [self._append(one, before, part) for one in alternatives]
                return self._add_node(None, list(dict.fromkeys(ends)), part)

    def _add_node(self, word: str | None, predecessors: list[int], part: int) -> int:
        self.words.append(word)
        self.predecessors.append(predecessors)
        self.part_numbers.append(part)
        return len(self.words) - 1


def align_lattices(reference: WordLattice, hypothesis: WordLattice) -> list[Step] | None:
    """Return the alignment with the fewest errors; `None` if the texts are too long."""
    if len(reference) * len(hypothesis) > MAX_CELLS:
        return None
    costs = _compute_costs(reference, hypothesis)
    return list(reversed(list(_trace_back(reference, hypothesis, costs))))


def _compute_costs(reference: WordLattice, hypothesis: WordLattice) -> list[list[int]]:
    """Return the fewest errors of paths that end at each pair of nodes."""
    columns = list(zip(hypothesis.words, hypothesis.predecessors, strict=True))
    costs: list[list[int]] = []
    for row, word in enumerate(reference.words):
        before_rows = [costs[one] for one in reference.predecessors[row]]
        # The cheapest path to each column that ends before this row's node.
        above = [min(values) for values in zip(*before_rows, strict=True)] if before_rows else []
        if word is None and before_rows:
            costs.append(above)
            continue
        line: list[int] = []
        for column, (other, before_columns) in enumerate(columns):
            if not before_columns:
                line.append(above[column] + 1 if above else 0)
            elif other is None:
                line.append(min([line[one] for one in before_columns]))
            else:
                best = min([line[one] for one in before_columns]) + 1
                if above:
                    best = min(best, above[column] + 1, min([above[one] for one in before_columns]) + (word != other))
                line.append(best)
        costs.append(line)
    return costs


def _trace_back(reference: WordLattice, hypothesis: WordLattice, costs: list[list[int]]) -> Iterator[Step]:
    """Yield the steps of the cheapest pair of paths from the end to the start."""
    row, column = reference.end, hypothesis.end
    while row or column:
        word, other = reference.words[row], hypothesis.words[column]
        cost = costs[row][column]
        rows, columns = reference.predecessors[row], hypothesis.predecessors[column]
        parts = (reference.part_numbers[row], hypothesis.part_numbers[column])
        if row and word is None:
            row = min(rows, key=lambda one: costs[one][column])
        elif column and other is None:
            column = min(columns, key=lambda one: costs[row][one])
        elif row and column and (found := _find_pair(costs, rows, columns, cost - (word != other))):
            yield Step("equal" if word == other else "substitution", word or "", other or "", *parts)
            row, column = found
        elif row and (up := next((one for one in rows if costs[one][column] == cost - 1), None)) is not None:
            yield Step("deletion", word or "", "", *parts)
            row = up
        else:
            yield Step("insertion", "", other or "", *parts)
            column = next(one for one in columns if costs[row][one] == cost - 1)


def _find_pair(costs: list[list[int]], rows: list[int], columns: list[int], cost: int) -> tuple[int, int] | None:
    return next(((row, column) for row in rows for column in columns if costs[row][column] == cost), None)

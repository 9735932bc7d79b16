"""Prints where error counts and normalized texts differ from others: `PYTHONPATH=benchmarks python -m error_counts`.

- `--sclite PROGRAM`: NIST's scorer (Debian package `sctk`), with sentences in which words are left out, added and
  replaced. It minimizes 4 per substitution and 3 per deletion or insertion, so that it may prefer more errors of the
  cheaper kinds: such a pair agrees if that is so.
- `--coval FOLDER`: the cases of coval-ai/benchmarks (`runner/tests/unit/test_wer.py`).
- `--whisper FOLDER`: the cases of openai/whisper (`tests/test_normalizer.py`).

Without any, the counts are compared with a plain table of edit distances. Ends with exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from listening.clips import list_sentences

from voicegauge.speech.transcripts import choose_normalizer, count_errors

PAIR_COUNT = 2_000
MAX_EDIT_SHARE = 0.4
SUBSTITUTION_COST, GAP_COST = 4, 3
"""Costs of sclite."""
_SCORES_PATTERN = re.compile(r"id: \(pair_(\d+)\)\s+Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)")


class Pair(NamedTuple):
    """A reference, and what was understood instead."""

    reference: str
    hypothesis: str


def make_pairs() -> list[Pair]:
    """Return sentences of the documentation, and the same with words left out, added and replaced."""
    random, pairs = Random(7), []  # noqa: S311 - repeatable, and no secret
    sentences = [re.sub(r"[^a-z ]", "", sentence.lower()) for sentence in list_sentences()]
    vocabulary = sorted({word for sentence in sentences for word in sentence.split()})
    while len(pairs) < PAIR_COUNT:
        reference = random.choice(sentences).split()
        share, hypothesis = random.uniform(0, MAX_EDIT_SHARE), []
        for word in reference:
            edit = random.choice(("drop", "add", "replace")) if random.random() < share else "keep"
            hypothesis += [word] if edit in ("keep", "add") else []
            hypothesis += [random.choice(vocabulary)] if edit in ("add", "replace") else []
        if hypothesis:
            pairs.append(Pair(" ".join(reference), " ".join(hypothesis)))
    return pairs


def compute_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the least number of words to replace, leave out or add, by the table of all prefixes."""
    row = list(range(len(hypothesis) + 1))
    for number, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], number
        for column, said in enumerate(hypothesis, 1):
            diagonal, row[column] = row[column], min(diagonal + (word != said), row[column] + 1, row[column - 1] + 1)
    return row[-1]


def compare_with_distances(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a line for each pair whose number of errors is not its edit distance."""
    for pair in pairs:
        ours = sum(count_errors(*pair, "word")[1:])
        distance = compute_distance(pair.reference.split(), pair.hypothesis.split())
        if ours != distance:
            yield f"{ours} errors, distance {distance}: {pair}"


def compare_with_sclite(program: str, pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a line for each pair that sclite counts in another way, beyond its costs."""
    with tempfile.TemporaryDirectory() as folder:
        for name, texts in zip(Pair._fields, zip(*pairs, strict=True), strict=True):
            lines = [f"{text} (pair_{index})" for index, text in enumerate(texts)]
            Path(folder, name).write_text("\n".join(lines) + "\n")
        command = [program, "-r", "reference", "trn", "-h", "hypothesis", "trn", "-i", "rm", "-o", "pra", "stdout"]
        printed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    found = {int(number): tuple(map(int, counts)) for number, *counts in _SCORES_PATTERN.findall(printed)}
    if len(found) != len(pairs):
        yield f"sclite scored {len(found)} of {len(pairs)} pairs"
    for index, (_, *theirs) in found.items():
        ours = count_errors(*pairs[index], "word")
        is_preferred = _compute_cost(*theirs) <= _compute_cost(*ours[1:]) and sum(theirs) > sum(ours[1:])
        if sum(theirs) != sum(ours[1:]) and not is_preferred:
            yield f"{ours}, sclite {theirs}: {pairs[index]}"


def _compute_cost(substitutions: int, deletions: int, insertions: int) -> int:
    return SUBSTITUTION_COST * substitutions + GAP_COST * (deletions + insertions)


def compare_with_coval(folder: Path) -> Iterator[str | None]:
    """Yield `None` for each case of coval that agrees, otherwise a line."""
    tree = ast.parse((folder / "runner/tests/unit/test_wer.py").read_text())
    normalize = choose_normalizer("en")
    for reference, hypothesis, rate in ((row[1], row[2], row[3]) for row in _read_table(tree, "_GOLDEN")):
        expected, said = normalize(reference), normalize(hypothesis)
        errors, words = sum(count_errors(expected, said, "word")[1:]), len(expected.split())
        ours = errors / words if words else float(errors)
        yield None if abs(ours - rate) < 1e-9 else f"WER {ours}, coval {rate}: {reference!r}, {hypothesis!r}"
    for name in ("_NORMALIZATION", "_KNOWN_GAPS"):
        for text, expected in _read_table(tree, name):
            yield None if normalize(text) == expected else f"{normalize(text)!r}, coval {expected!r}: {text!r}"


def _read_table(tree: ast.Module, name: str) -> list[list[Any]]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return [] if node.value is None else _evaluate(node.value)
    raise SystemExit(f"no table {name} in the cases of coval: this version is not known")


def _evaluate(node: ast.expr) -> Any:
    """Return the value of a table of constants, in which a number may be a fraction such as 1 / 3."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(one) for one in node.elts]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return ast.literal_eval(node.left) / ast.literal_eval(node.right)
    return ast.literal_eval(node)


def compare_with_whisper(folder: Path) -> Iterator[str | None]:
    """Yield `None` for each case of Whisper's normalizer of English that agrees, otherwise a line."""
    normalize = choose_normalizer("en")
    tree = ast.parse((folder / "tests/test_normalizer.py").read_text())
    for function in (one for one in tree.body if isinstance(one, ast.FunctionDef)):
        if function.name == "test_spelling_normalizer":
            continue  # of a part alone
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Assert)
                and isinstance(node.test, ast.Compare)
                and isinstance(node.test.left, ast.Call)
            ):
                text, expected = (ast.literal_eval(one) for one in (node.test.left.args[0], node.test.comparators[0]))
                yield None if normalize(text) == expected else f"{normalize(text)!r}, Whisper {expected!r}: {text!r}"


def main() -> int:
    """Compare, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m error_counts", description=__doc__.partition("\n")[0])
    parser.add_argument("--sclite", help="the program sclite")
    parser.add_argument("--coval", type=Path, help="a checkout of coval-ai/benchmarks")
    parser.add_argument("--whisper", type=Path, help="a checkout of openai/whisper")
    options = parser.parse_args()
    pairs = make_pairs()
    found: dict[str, tuple[int, list[str]]] = {"edit distances": (len(pairs), list(compare_with_distances(pairs)))}
    if options.sclite:
        found["sclite"] = (len(pairs), list(compare_with_sclite(options.sclite, pairs)))
    for name, compare in (("coval", compare_with_coval), ("whisper", compare_with_whisper)):
        folder = getattr(options, name)
        if folder is not None:
            cases = list(compare(folder))
            found[name] = (len(cases), [case for case in cases if case is not None])
    for name, (count, differences) in found.items():
        print(f"{name}: {len(differences)} of {count} cases differ")
        for line in differences:
            print(f"  {line}")
    return 1 if any(differences or not count for count, differences in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Prints how many accepted readings pass, and how many readings of a text with another digit fail.

python -m readings
"""

from __future__ import annotations

import random
from collections import Counter

from readings.cases import ReadingCase, change_one_digit, generate_cases, iterate_sentences, read_cases
from voicegauge.readings.reading_comparison import compare_readings


def _print_share(name: str, right: list[bool]) -> None:
    print(f"{name:<42} {sum(right):5} of {len(right):5}  {sum(right) / max(len(right), 1):.2%}")


def _is_accepted(case: ReadingCase) -> bool:
    compared = compare_readings(case.written, case.reading, case.language)
    return compared is not None and not compared.errors


def _print_rejected(cases: list[ReadingCase]) -> None:
    for case in cases:
        compared = compare_readings(case.written, case.reading, case.language)
        entities = [(one.kind, one.written) for one in compared.entities] if compared is not None else []
        print(f"  rejected: {case.language} {case.written!r} as {case.reading!r} {entities}")


def measure() -> None:
    """Measure and print the shares."""
    cases = [*read_cases(), *generate_cases()]
    languages = Counter(case.language for case in cases)
    kinds = Counter(case.kind for case in cases)
    print(f"{len(cases)} readings, {len(languages)} languages: {dict(languages)}")
    print(f"kinds: {dict(kinds)}")
    _print_share("accepted readings", [_is_accepted(case) for case in cases])
    _print_rejected([case for case in cases if not _is_accepted(case)])
    sentences = list(iterate_sentences(cases))
    _print_share("accepted readings in a sentence", [_is_accepted(case) for case in sentences])
    _print_rejected([case for case in sentences if not _is_accepted(case)])
    for name, group in (("one digit changed", cases), ("one digit changed in a sentence", sentences)):
        rng = random.Random(11)  # noqa: S311 - reproducible, not secret
        mutants = [case._replace(written=changed) for case in group if (changed := change_one_digit(case.written, rng))]
        _print_share(f"rejected: {name}", [not _is_accepted(case) for case in mutants])
        for case in mutants:
            if _is_accepted(case):
                print(f"  accepted: {case.language} {case.written!r} as {case.reading!r}")


if __name__ == "__main__":
    measure()

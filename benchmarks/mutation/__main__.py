"""How many faulty providers voicegauge finds: `PYTHONPATH=benchmarks python -m mutation`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from mutation.generating import mutants
from mutation.hunting import Hunt, cases_for, clean_run, hunt
from voicegauge.conformance import emulator_settings, plan_cases
from voicegauge.contract import Contract, load_catalogue

REASONS = (
    ("pronunciations is sent", "no document says what form it has, so it is never sent"),
    ("maxLength 100001", "so long a text makes more audio than one answer may have: there is no verdict"),
    ("maxLength 99999", "a text longer than `bodies.TEXT_LIMIT` is never sent as valid: it is ten minutes of speech"),
    ("streamSpeech: voice must be there", "a saved voice is documented for queued speech alone"),
    ("streamSpeech: fails where voice is left out", "a saved voice is documented for queued speech alone"),
    ("target_language has minLength 1", "what is no language is refused in any case"),
    ("has minLength", "a text of one character may name what is not there, and is never sent as valid"),
    ("sample_rate takes any value", "MP3 has no other rates: they are refused in any case"),
    ("webhook_url is sent", "no webhook is listened to here, so no URL is named"),
    ("chat: audio must be there", "what is said in words is sent as JSON, never as a form"),
    ("id is not held to its pattern", "an id that nobody gave out is refused in any case"),
    ("answered as 400", "both statuses are documented for what was asked"),
)
"""Why a mutant is not found, by a part of its id."""


TELL_EVERY = 100
"""Mutants between two lines about how far it is."""


async def hunt_all(contract: Contract, every: int = 1) -> list[Hunt]:
    """Every mutant of `contract`, or every so-many-th, checked."""
    targets = list(contract.targets.values())
    cases = plan_cases(targets, emulated=True, every=True, large_uploads=False).cases
    findings, traffic = await clean_run(contract, cases, emulator_settings())
    assert not findings, f"a correct provider must give no finding: {findings[0]}"
    chosen = list(mutants(contract, traffic.exchanges))[::every]
    hunts: list[Hunt] = []
    for mutant in chosen:
        hunts.append(await hunt(mutant, contract, cases_for(mutant, cases, traffic), traffic))
        if len(hunts) % TELL_EVERY == 0 or hunts[-1].found is None:
            found = sum(result.found is not None for result in hunts)
            last = "" if hunts[-1].found is not None else f"; not found: {mutant.id}"
            print(f"{contract.id}: {found}/{len(hunts)} of {len(chosen)}{last}", file=sys.stderr, flush=True)
    return hunts


def main() -> None:
    """Print found and total by class of fault, and each one that was not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("providers", nargs="*", help="ids; all of them if left out")
    parser.add_argument("--every", type=int, default=1, help="only every N-th mutant")
    options = parser.parse_args()
    started = time.perf_counter()
    hunts: list[Hunt] = []
    for contract in load_catalogue():
        if not options.providers or contract.id in options.providers:
            hunts += asyncio.run(hunt_all(contract, options.every))
    _print(hunts)
    print(f"{time.perf_counter() - started:.0f} s, {time.process_time():.0f} s of CPU")


def _print(hunts: Sequence[Hunt]) -> None:
    by_kind: dict[str, list[Hunt]] = defaultdict(list)
    for result in hunts:
        by_kind[result.mutant.kind].append(result)
    print(f"{'fault':28} {'found':>10} {'calls':>7} {'accepted':>9}   (sent until found, mean)")
    for kind, results in sorted(by_kind.items()):
        _print_line(kind, results)
    _print_line("all", hunts)
    for result in hunts:
        if result.found is None:
            others = ", ".join(sorted({finding.rule for finding in result.others})) or "nothing"
            reason = next((why for part, why in REASONS if part in result.mutant.id), result.error or "not known")
            print(f"not found: {result.mutant.id} (found instead: {others}): {reason}")


def _print_line(kind: str, results: Sequence[Hunt]) -> None:
    found = sum(result.found is not None for result in results)
    sent = sum(result.calls.sent for result in results) / len(results)
    accepted = sum(result.calls.accepted for result in results) / len(results)
    print(f"{kind:28} {found:>4} /{len(results):>4} {sent:>7.1f} {accepted:>9.1f}")


if __name__ == "__main__":
    main()

"""How many faulty providers voicegauge finds: `PYTHONPATH=benchmarks python -m mutation`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from mutation.derivation import derive_mutants
from mutation.detection import DetectionResult, cases_for, detect, run_correct_provider
from voicegauge.cases.plan import plan_cases
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue

REASONS = (
    ("maxLength 100001", "the text gives more audio than a response may have, so there is no verdict"),
    ("maxLength 14999", "a text of more than 10,000 characters, ten minutes of speech, is never sent as valid"),
    ("maxLength 99999", "a text of more than 10,000 characters, ten minutes of speech, is never sent as valid"),
    ("streamSpeech: voice is required", "a saved voice is documented only for queued speech"),
    ("streamSpeech: fails where voice is missing", "a saved voice is documented only for queued speech"),
    ("and user_voice_id is sent", "a saved voice is documented only for queued speech"),
    ("embed_id has minLength 0", "an empty id is rejected anyway, but as unknown"),
    ("target_language has minLength 1", "a value that is not a language is rejected anyway"),
    ("has minLength", "a text of one character may have to name something that exists, and is never sent as valid"),
    ("sample_rate takes any value", "MP3 has no other rates, so they are rejected anyway"),
    ("webhook_url is sent", "there is no webhook receiver here, so no URL is sent"),
    ("chat: audio is required", "messages in text are sent as JSON, never as a form"),
    ("id is not checked by its pattern", "an unknown id is rejected anyway"),
    ("has status 413", "both statuses are documented for the request"),
    ("webhook is sent", "there is no webhook receiver here, so no URL is sent"),
    ("language_code is sent", "no document lists the codes, so none is sent"),
    ("next_text is sent", "no document shows a value of this free text"),
    ("previous_text is sent", "no document shows a value of this free text"),
    ("tag is sent", "no document shows a value of this free text"),
    ("instructions is sent", "no document shows a value of this free text"),
    ("model is 'aura", "24 of the documented voices are combined with other parameters; each is tried on its own"),
    ("model_id is required", "a request without a model addresses another model, which has no target there"),
    ("createSpeech: model is required", "whether an own server has a default model is not documented"),
    ("createSpeech: voice is required", "whether an own server has a default voice is not documented"),
    ("fails where voice is missing", "whether an own server has a default voice is not documented"),
    ("model_id rejects", "no target names this version of a model"),
    ("language is", "a language that the target does not list is not combined with other parameters"),
    ("ref_audio is sent", "a voice sample is sent only to targets that require one"),
    ("version is optional", "a request without a version addresses no model"),
    ("has status 400", "both statuses are documented for the request"),
)
"""Reasons why mutants are not found, by a part of their id."""


PROGRESS_INTERVAL = 100
"""Mutants between two lines of progress."""


async def detect_all(contract: Contract, every: int = 1) -> list[DetectionResult]:
    """Check every mutant of `contract`, or every `every`-th one."""
    targets = list(contract.targets.values())
    cases = plan_cases(targets, is_emulated=True, include_all_billable_cases=True, include_large_uploads=False).cases
    findings, traffic = await run_correct_provider(contract, cases, build_emulator_settings())
    assert not findings, f"a correct provider must have no findings: {findings[0]}"
    chosen = list(derive_mutants(contract, traffic.exchanges))[::every]
    results: list[DetectionResult] = []
    for mutant in chosen:
        results.append(await detect(mutant, contract, cases_for(mutant, cases, traffic), traffic))
        if len(results) % PROGRESS_INTERVAL == 0 or results[-1].found is None:
            found = sum(result.found is not None for result in results)
            print(f"{contract.id}: {found}/{len(results)} of {len(chosen)}{_miss(results[-1])}", file=sys.stderr)
    return results


def _miss(result: DetectionResult) -> str:
    """Return how progress names a fault that was not found; the empty text if it was."""
    if result.has_crashed:
        return f"; crash: {result.mutant.id}: {result.error}"
    return "" if result.found is not None else f"; not found: {result.mutant.id}"


def main() -> None:
    """Print the faults found by class, and each one that was not found.

    Exit with status 1 if a check crashed, or a rule that does not apply found something.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("providers", nargs="*", help="ids of providers; default: all")
    parser.add_argument("--every", type=int, default=1, help="only every N-th mutant")
    options = parser.parse_args()
    started = time.perf_counter()
    results: list[DetectionResult] = []
    for contract in load_catalogue():
        if not options.providers or contract.id in options.providers:
            results += asyncio.run(detect_all(contract, options.every))
    print_results(results)
    print(f"{time.perf_counter() - started:.0f} s, {time.process_time():.0f} s of CPU")
    if any(result.has_crashed or result.misplaced for result in results):
        sys.exit(1)


def print_results(results: Sequence[DetectionResult]) -> None:
    """Print the results by class of fault, and every mutant that crashed or was not found with the reason."""
    by_kind: dict[str, list[DetectionResult]] = defaultdict(list)
    for result in results:
        by_kind[result.mutant.kind].append(result)
    print(f"{'fault':28} {'found':>10} {'sent':>7} {'accepted':>9}   (mean requests until found)")
    for kind, same_kind in sorted(by_kind.items()):
        _print_line(kind, same_kind)
    _print_line("all", results)
    for result in results:
        if result.has_crashed:
            print(f"crash: {result.mutant.id}: {result.error}")
        elif result.found is None:
            others = ", ".join(sorted({finding.rule for finding in result.others})) or "nothing"
            reason = next((why for part, why in REASONS if part in result.mutant.id), result.error or "unknown")
            print(f"not found: {result.mutant.id} (found instead: {others}): {reason}")
    for place in sorted(frozenset().union(*(result.misplaced for result in results))):
        print(f"found where the rule does not apply: {place}")


def _print_line(kind: str, results: Sequence[DetectionResult]) -> None:
    found = sum(result.found is not None for result in results)
    sent = sum(result.calls.sent for result in results) / len(results)
    accepted = sum(result.calls.accepted for result in results) / len(results)
    print(f"{kind:28} {found:>4} /{len(results):>4} {sent:>7.1f} {accepted:>9.1f}")


if __name__ == "__main__":
    main()

"""Cases per second of CPU time: `PYTHONPATH=benchmarks python -m throughput`.

A case is one planned request that is built, sent, responded to and checked by every rule. A speech delivery counts as
one case too, although it submits, polls until the job has ended, polls twice more, downloads, decodes and measures the
audio. Time is CPU time, and the fastest round counts, since other processes only slow a round down. In process, the
cases are first timed with the emulator, and then with its responses replayed from memory, which leaves voicegauge's own
work. "Decoding" is the share of libsndfile and ffmpeg in that. Each round decodes, measures and listens to all audio
again; equal files of one round are judged once, as in a check. The whole plan is timed with everything, without
listening, and without the audio of single responses too. Over a socket, it is the client's CPU time, for both tools.
Speech is synthesized before the timing starts.

`--against FOLDER` compares this version with another checkout instead, see `version_comparison`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import tempfile
import time
import unittest.mock
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from comparison import schemathesis
from comparison.__main__ import TARGET
from comparison.service import serve_provider
from comparison.tools import ComparedTarget

from throughput.response_replay import ReplayingApp
from throughput.version_comparison import compare_versions, print_comparison
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.client.client import Client
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance._fuzzing_requests import FuzzSettings, fuzz_target
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, CheckedService, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.model.exchange import UploadedFile
from voicegauge.rules.call import CheckSubject
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.speech.decoding import decode
from voicegauge.speech.speech_signal import forget_measured_audio
from voicegauge.speech.spoken_text import forget_judgements
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

KINDS = ("rejected, JSON", "accepted, JSON", "form", "form with a file", "speech delivery")
MIN_S = 0.5
"""Minimum CPU time of all rounds, of which the fastest counts."""
SAMPLE_SIZE = 40
"""Cases of each kind and provider, evenly from its plan; uploads of tens of megabytes are left out."""
PLAN_SAMPLE_SIZE = 200
"""Cases of each provider by which its whole plan is timed, evenly from it. They have fewer files in common than all."""
HYPOTHESIS_CASES = 1000


def _compare_nothing(_: object, subjects: Iterable[CheckSubject]) -> list[CheckSubject]:
    """Take the place of `DeliveriesOfRun.add_comparisons`."""
    return list(subjects)


def _read_no_delivery(*_: object, **__: object) -> None:
    """Take the place of `read_response_delivery`."""


def _find_no_change(*_: object) -> tuple[()]:
    """Take the place of `find_sound_changes`."""
    return ()


_LISTENING: Mapping[str, object] = {
    "voicegauge.speech.sound_quality.find_sound_changes": _find_no_change,
    "voicegauge.rules.delivery_groups.DeliveriesOfRun.add_comparisons": _compare_nothing,
    "voicegauge.speech.speech_signal.MeasuredAudio.is_steady_sound": False,
    "voicegauge.rules.subjects.SpeechDelivery.spoken_text": None,
}
PARTS_LEFT_OUT: Mapping[str, Mapping[str, object]] = {
    "whole plan": {},
    "whole plan, without listening": _LISTENING,
    "whole plan, without audio of single responses": {
        **_LISTENING,
        "voicegauge.conformance._case_sender.read_response_delivery": _read_no_delivery,
    },
}
"""What replaces the functions of the parts of a check that are left out, by the name of a row. Audio of single
responses is judged as the deliveries of targets are; listening compares all audio with its text."""


def kind_of(case: ConformanceCase) -> str:
    """Return the one of `KINDS` that a case belongs to."""
    if case.request is None:
        return KINDS[4]
    if case.request.media_type in (None, "application/json"):
        return KINDS[case.expected_response.acceptance != "rejected"]
    files = isinstance(case.request.body, dict) and any(isinstance(v, UploadedFile) for v in case.request.body.values())
    return KINDS[2 + files]


class CaseCost(NamedTuple):
    """The mean cost of a case, in CPU seconds and requests."""

    whole_s: float
    own_s: float
    """Without the emulator."""
    decoding_s: float
    """The part of `own_s` that is decoding audio."""
    requests: float


class KindCost(NamedTuple):
    """The cost of one kind of case of one provider."""

    kind: str
    cases: int
    """Number of cases in the whole plan."""
    cost: CaseCost


class TimedRound(NamedTuple):
    """CPU seconds of one round."""

    whole_s: float
    decoding_s: float


async def fastest(work: Callable[[], Awaitable[None]]) -> TimedRound:
    """Return the fastest round of `work`, repeated for `MIN_S` after a warm-up round that fills caches."""
    await work()
    rounds: list[TimedRound] = []
    while sum(one.whole_s for one in rounds) < MIN_S:
        forget_measured_audio()
        forget_judgements()
        with timed_decoding() as decoding:
            started = time.process_time()
            await work()
            rounds.append(TimedRound(time.process_time() - started, sum(decoding)))
    return min(rounds)


@contextlib.contextmanager
def timed_decoding() -> Iterator[list[float]]:
    """Collect the CPU seconds of each audio decoding within the context."""
    seconds: list[float] = []

    def timed(*args: Any, **options: Any) -> Any:
        started = time.process_time()
        try:
            return decode(*args, **options)
        finally:
            seconds.append(time.process_time() - started)

    with unittest.mock.patch("voicegauge.speech.audio_measurement.decode", timed):
        yield seconds


async def cost_of(contract: Contract, count: int, work: Callable[[Transport], Awaitable[None]]) -> CaseCost:
    """Measure the cost of each of the `count` cases of `work`, with the emulator and with replayed responses."""
    async with Transport(app=create_app([contract], build_emulator_settings())) as transport:
        whole = await fastest(lambda: work(transport))
    replaying = ReplayingApp(create_app([contract], build_emulator_settings()))
    async with Transport(app=replaying) as transport:

        async def replay() -> None:
            await work(transport)
            replaying.end_round()

        own = await fastest(replay)
    return CaseCost(whole.whole_s / count, own.whole_s / count, own.decoding_s / count, replaying.requests / count)


def runner_for(contract: Contract, transport: Transport, base: str = "http://emulator.invalid") -> CaseRunner:
    """Return a runner that sends to `transport`, checks every rule and discards the findings."""
    base_urls = {"": f"{base}/{contract.id}"}
    client = Client(contract, transport, base_urls=base_urls, key=EMULATOR_API_KEY, clock=VirtualClock())
    return CaseRunner(CheckedService(contract, client), RULE_BY_ID, ResultCollector((), 0))


def plan_all_cases(contract: Contract) -> Sequence[ConformanceCase]:
    """Return all cases of a provider that can be timed; uploads of tens of megabytes are left out."""
    targets = list(contract.targets.values())
    return plan_cases(targets, is_emulated=True, include_all_billable_cases=True, include_large_uploads=False).cases


async def measure_plan(contract: Contract) -> AsyncIterator[KindCost]:
    """Measure the planned cases of a provider by kind."""
    by_kind: dict[str, list[ConformanceCase]] = defaultdict(list)
    for case in plan_all_cases(contract):
        by_kind[kind_of(case)].append(case)
    for name, cases in by_kind.items():
        sample = cases[:: -(-len(cases) // SAMPLE_SIZE)]

        # The number of polls depends on random jitter, so each round starts with the same seed.
        async def work(transport: Transport, sample: Sequence[ConformanceCase] = sample) -> None:
            await runner_for(contract, transport).run_cases(sample)

        yield KindCost(name, len(cases), await cost_of(contract, len(sample), work))


async def measure_whole_plan(contract: Contract) -> AsyncIterator[KindCost]:
    """Measure cases of a provider in the order of its plan, whole and without parts of the judging."""
    all_cases = plan_all_cases(contract)
    cases = all_cases[:: max(-(-len(all_cases) // PLAN_SAMPLE_SIZE), 1)]
    for name, left_out in PARTS_LEFT_OUT.items() if cases else ():
        replaying = ReplayingApp(create_app([contract], build_emulator_settings()))
        with contextlib.ExitStack() as stack:
            for function, replacement in left_out.items():
                stack.enter_context(unittest.mock.patch(function, replacement))
            async with Transport(app=replaying) as transport:

                async def replay(transport: Transport = transport, replaying: ReplayingApp = replaying) -> None:
                    await runner_for(contract, transport).run_cases(cases)
                    replaying.end_round()

                own = await fastest(replay)
        seconds = own.whole_s / len(cases), own.decoding_s / len(cases)
        yield KindCost(name, len(all_cases), CaseCost(math.nan, *seconds, replaying.requests / len(cases)))


async def measure_fuzzing(target: Target) -> KindCost:
    """Measure requests that Hypothesis generates: half of them valid, half with one invalid value."""

    async def work(transport: Transport) -> None:
        runner = runner_for(target.contract, transport)
        await fuzz_target(target, runner, ResultCollector((), 0), FuzzSettings(HYPOTHESIS_CASES // 2, seed=0))

    return KindCost(
        f"Hypothesis, {target.id}", HYPOTHESIS_CASES, await cost_of(target.contract, HYPOTHESIS_CASES, work)
    )


def mean(rows: Sequence[KindCost]) -> CaseCost:
    """Return the mean cost of a case, weighted by the number of cases."""
    cases = sum(row.cases for row in rows)
    return CaseCost(*(sum(row.cost[i] * row.cases for row in rows) / cases for i in range(len(CaseCost._fields))))


def print_row(name: str, rows: Sequence[KindCost]) -> None:
    """Print one line of the table."""
    if rows:
        cost = mean(rows)
        of_case = f"{sum(row.cases for row in rows):>7,}{cost.requests:>15.1f}"
        whole = "-" if math.isnan(cost.whole_s) else f"{1 / cost.whole_s:,.0f}"
        own = f"{1 / cost.own_s:>14,.0f}{cost.decoding_s / cost.own_s:>11.0%}"
        print(f"  {name:46}{of_case}{whole:>16}{own}")


def measure_over_socket(target: Target) -> Mapping[str, float]:
    """Return the cases per second of the client's CPU time, by tool, against the same server."""
    with tempfile.TemporaryDirectory() as folder:
        compared = ComparedTarget(target, Path(folder))
        cases = compared.plan()
        startup_s = schemathesis.measure_startup_s()
        with serve_provider(target.contract, target.operation) as served:
            started = time.thread_time()  # the server is another thread
            asyncio.run(_send(target.contract, served.root, cases))
            own = len(cases) / (time.thread_time() - started)
            run = compared.run_schemathesis(served.url, 0, schemathesis.DEFAULTS)
    return {"voicegauge": own, "Schemathesis": run.cases_per_s(startup_s)}


async def _send(contract: Contract, root: str, cases: Sequence[ConformanceCase]) -> None:
    async with Transport() as transport:
        await runner_for(contract, transport, root).run_cases(cases)


async def in_process(contracts: Iterable[Contract], fuzzed: Sequence[Target]) -> None:
    """Measure and print the cases in process."""
    rows = [row for contract in contracts async for row in measure_plan(contract)]
    print("in process, cases per second of CPU time")
    print(f"  {'':46}{'cases':>7}{'requests each':>15}{'with emulator':>16}{'replayed':>14}{'decoding':>11}")
    for name in KINDS:
        print_row(name, [row for row in rows if row.kind == name])
    whole = [row for contract in contracts async for row in measure_whole_plan(contract)]
    for name in PARTS_LEFT_OUT:
        print_row(name, [row for row in whole if row.kind == name])
    for target in fuzzed:
        row = await measure_fuzzing(target)
        print_row(row.kind, [row])


def main() -> None:
    """Measure the throughput and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("providers", nargs="*", help="ids of providers; default: all")
    parser.add_argument("--alone", action="store_true", help="skip Schemathesis, which needs a package index")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="only compare with this checkout, in one run")
    options = parser.parse_args()
    if options.against is not None:
        print_comparison(KINDS, compare_versions(options.against, options.providers))
        return
    catalogue = load_catalogue()
    provider, _, name = TARGET.partition("/")
    target = catalogue.find_provider(provider).find_target_by_name(name)
    contracts = [contract for contract in catalogue if not options.providers or contract.id in options.providers]
    asyncio.run(in_process(contracts, [target]))
    if options.alone:
        return
    print("over a socket, cases per second of the client's CPU time")
    rates = measure_over_socket(target)
    for tool, rate in rates.items():
        print(f"  {tool:28}{rate:>9,.0f} cases/s")
    print(f"  voicegauge to Schemathesis: {rates['voicegauge'] / rates['Schemathesis']:.1f} : 1")


if __name__ == "__main__":
    main()

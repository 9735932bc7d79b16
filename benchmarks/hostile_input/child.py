"""One speech request, checked by every rule and recorded, in a process of its own: `python -m hostile_input.child`."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.client.client import Client
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance.check_settings import CheckedService, CheckSettings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import VoicegaugeError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request
from voicegauge.recording.har_files import save_har
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.http import Transport

KEY = "vg-benchmark-key-4f1c9a7e"
TICK_S = 0.01


def peak_mib() -> float:
    """Return the peak of this process's resident memory, in MiB.

    Not `ru_maxrss`: that includes the process that started this one.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, "Linux reports the peak"
    return int(found[1]) / 1024


async def longest_pause_s(done: asyncio.Event) -> float:
    """Return the longest time for which the event loop ran nothing else, until `done` is set."""
    longest, before = 0.0, time.perf_counter()
    while not done.is_set():
        await asyncio.sleep(TICK_S)
        now = time.perf_counter()
        longest, before = max(longest, now - before - TICK_S), now
    return longest


def first_delivery(target: BaseTarget) -> ConformanceCase:
    """Return the first planned case that requests speech or streams some, which may be turns on a WebSocket."""
    cases = plan_cases([target], is_emulated=False, include_all_billable_cases=True).cases
    return next(
        case
        for case in cases
        if case.speech_request is not None
        or (case.socket_scenario is not None and case.socket_scenario.kind in ("turns", "transcription"))
    )


class RecordingTransport(Transport):
    """A transport that remembers its exchanges."""

    exchanges: list[Exchange]

    async def __aenter__(self) -> Self:
        """Start without exchanges."""
        self.exchanges = []
        return await super().__aenter__()

    async def send(self, request: Request, **options: Any) -> Exchange:
        """Send `request`; remember its exchange."""
        exchange = await super().send(request, **options)
        self.exchanges.append(exchange)
        return exchange


async def check_delivery(target: BaseTarget, url: str, deadline_s: float) -> str:
    """Send one speech request, check and record everything received, and return the outcome."""
    async with RecordingTransport() as transport:
        client = Client(target.contract, transport, base_urls={"": url}, key=KEY, max_wait_s=deadline_s)
        settings = CheckSettings(provenance=Provenance.RECORDED, max_wait_s=deadline_s)
        service = CheckedService(target.contract, client, settings)
        try:
            judged = await CaseRunner(service, RULE_BY_ID, ResultCollector([target.id], 0)).judge_case(
                first_delivery(target)
            )
            outcome = judged.no_verdict_reason or ", ".join(sorted({f.rule for f in judged.findings})) or "no finding"
            with tempfile.TemporaryDirectory() as folder:  # what passes over a WebSocket is not recorded
                path = Path(folder, "recording.har")
                contract, provenance = target.contract, service.settings.provenance
                save_har(
                    path,
                    transport.exchanges,
                    provenance=provenance,
                    contract=contract,
                    redaction=RedactionSettings(secrets=[KEY]),
                )
        except VoicegaugeError as error:
            outcome = str(error)
    return outcome


async def measure(target: BaseTarget, url: str, deadline_s: float) -> dict[str, object]:
    """Return the measurements of one delivery."""
    done = asyncio.Event()
    pause = asyncio.create_task(longest_pause_s(done))
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    outcome = await check_delivery(target, url, deadline_s)
    done.set()
    return {
        "outcome": outcome,
        "peak_mib": peak_mib(),
        "cpu_s": time.process_time() - started_cpu_s,
        "pause_s": await pause,
        "time_s": time.perf_counter() - started_s,
    }


def main() -> None:
    """Measure the target, URL and deadline given as arguments, and print the measurements as JSON."""
    target_id, url, deadline_s = sys.argv[1:]
    provider, _, name = target_id.partition("/")
    contract = load_catalogue().find_provider(provider)
    sockets = {**contract.socket_targets, **contract.transcription_socket_targets}
    target = sockets.get(name) or contract.find_target_by_name(name)
    print(json.dumps(asyncio.run(measure(target, url, float(deadline_s)))))


if __name__ == "__main__":
    main()

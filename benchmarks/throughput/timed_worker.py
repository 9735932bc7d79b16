"""Times planned cases in a process of its own, for one checkout of voicegauge and on request of `version_comparison`.

It is run as a script, with the `harness` and `benchmarks` folders of the checkout in `PYTHONPATH`. The checkout may be
as old as commit 69408b7, whose names differ; `_find` lists both. Each line of the standard input is one command:

- `keys`: prints the keys of all planned cases, by group.
- `prepare FILE`: reads the indices of the cases to time, by group, and sends each case once, to fill caches and to
  record the responses.
- `time GROUP`: sends the cases of the group, with the responses replayed, and prints the CPU seconds.

A key describes a request: equal keys mean that both versions send the same request. A group is "<provider>|<index of
the kind of case>". The arguments of the script name the parts of a check to leave out, see `LEFT_OUT`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
import unittest.mock
from collections import defaultdict
from pathlib import Path
from typing import Any

import throughput.__main__ as benchmark
from voicegauge import conformance
from voicegauge.contract import load_catalogue
from voicegauge.emulator import create_app
from voicegauge.transport import Transport


def _find(owner: Any, *names: str) -> Any:
    """Return the attribute of `owner` that has one of `names`: the present name, or that of commit 69408b7."""
    return next(getattr(owner, name) for name in names if hasattr(owner, name))


_kind_of = _find(benchmark, "kind_of", "kind")
_emulator_settings = _find(conformance, "build_emulator_settings", "emulator_settings")
_ReplayingApp = _find(benchmark, "ReplayingApp", "Keeper")


_RUNNING = "voicegauge.conformance.running"
_COVERAGE = "voicegauge.conformance.reporting.CoverageCounter"
LEFT_OUT = {
    "coverage": (f"{_COVERAGE}.add_exchange", f"{_COVERAGE}.add_subject"),
    "audio": (f"{_RUNNING}.sending.case_sender.read_response_delivery",),
}
"""Functions that are replaced by one that does nothing, by the name of the part that they belong to. `coverage` counts
what a check tries; `audio` judges the audio in the responses to single calls. Both are newer than commit 69408b7."""


def _do_nothing(*_: Any, **__: Any) -> None:
    """Take the place of a function that is left out; a mock would take longer."""


def build_key(case: Any) -> str:
    """Return a text that is equal for equal requests with equal expectations, whatever the version."""
    request = _find(case, "request", "wire")
    expected = _find(case, "expected_response", "expected")
    is_rejected = _find(expected, "acceptance", "verdict") in ("rejected", "refused")
    if request is None:
        values: Any = [
            getattr(_find(case, "speech_request", "speech"), name, None)
            for name in ("text", "format", "language", "speed")
        ]
    else:
        names = (("path_parameters", "path"), ("query_parameters", "query"), ("body",), ("media_type",))
        values = [_plain(_find(request, *either)) for either in names]
    return json.dumps(
        [case.provider, case.operation, _find(case, "target_name", "target"), values, is_rejected], sort_keys=True
    )


def _plain(value: Any) -> Any:
    """Return `value` as JSON, with the size of a file in place of its content, which depends on the MP3 decoder."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return [value.filename, len(value.data)] if hasattr(value, "filename") else value


class TimedGroup:
    """The cases of one group, with the responses that they get."""

    def __init__(self, contract: Any, cases: list[Any]) -> None:
        """Record the responses of an emulator of `contract` in the first round."""
        self._contract, self._cases = contract, cases
        self._app = _ReplayingApp(create_app([contract], _emulator_settings()))

    async def time_round(self) -> float:
        """Send all cases once, and return the CPU seconds."""
        async with Transport(app=self._app) as transport:
            started = time.process_time()
            runner = benchmark.runner_for(self._contract, transport)
            await _find(runner, "run_cases", "run")(self._cases)
            seconds = time.process_time() - started
        self._app.end_round()
        return seconds


def _read_indices(file: str) -> dict[str, list[int]]:
    indices: dict[str, list[int]] = json.loads(Path(file).read_text())
    return indices


def _plan(contract: Any) -> Any:
    if hasattr(benchmark, "plan_all_cases"):
        return benchmark.plan_all_cases(contract)
    options: dict[str, Any] = {"emulated": True, "every": True, "large_uploads": False}
    return conformance.plan_cases(list(contract.targets.values()), **options).cases


async def serve() -> None:
    """Execute the commands from the standard input."""
    contracts = {contract.id: contract for contract in load_catalogue()}
    cases: dict[str, list[Any]] = defaultdict(list)
    for contract in contracts.values():
        for case in _plan(contract):
            if _find(case, "speech_request", "speech") is not None or _find(case, "request", "wire") is not None:
                cases[f"{contract.id}|{benchmark.KINDS.index(_kind_of(case))}"].append(case)
    groups: dict[str, TimedGroup] = {}
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        result: Any = None
        if command == "keys":
            result = {group: [build_key(case) for case in of_group] for group, of_group in cases.items()}
        elif command == "prepare":
            for group, indices in _read_indices(argument).items():
                contract = contracts[group.partition("|")[0]]
                groups[group] = TimedGroup(contract, [cases[group][index] for index in indices])
                await groups[group].time_round()
        elif command == "time":
            result = await groups[argument].time_round()
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for replaced in LEFT_OUT[name]:
            unittest.mock.patch(replaced, _do_nothing).start()
    asyncio.run(serve())

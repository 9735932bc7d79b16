"""Times planned cases in a process of its own, for one checkout of voicegauge and on request of `version_comparison`.

It is run as a script, with the `harness` and `benchmarks` folders of its own checkout in `PYTHONPATH`: each checkout
has its own worker, because names differ between versions. What stays the same are the keys and the commands, one in
each line of the standard input:

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

from throughput.__main__ import KINDS, kind_of, plan_all_cases, runner_for
from throughput.response_replay import ReplayingApp
from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.transport.http import Transport

_COVERAGE = "voicegauge.conformance.coverage.CoverageCounter"
LEFT_OUT = {
    "coverage": (f"{_COVERAGE}.add_exchange", f"{_COVERAGE}.add_subject"),
    "audio": ("voicegauge.conformance._case_sender.read_response_delivery",),
}
"""Functions that are replaced by one that does nothing, by the name of the part that they belong to. `coverage` counts
what a check tries; `audio` judges the audio in the responses to single calls."""


def _do_nothing(*_: Any, **__: Any) -> None:
    """Take the place of a function that is left out; a mock would take longer."""


def build_key(case: ConformanceCase) -> str:
    """Return a text that is equal for equal requests with equal expectations, whatever the version."""
    speech, request = case.speech_request, case.request
    values: list[Any]
    if request is not None:
        parts = (request.path_parameters, request.query_parameters, request.body, request.media_type)
        values = [_plain(part) for part in parts]
    else:
        assert speech is not None
        values = [speech.text, speech.format, speech.language, speech.speed]
    is_rejected = case.expected_response.acceptance == "rejected"
    return json.dumps([case.provider, case.operation, case.target_name, values, is_rejected], sort_keys=True)


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

    def __init__(self, contract: Contract, cases: list[ConformanceCase]) -> None:
        """Record the responses of an emulator of `contract` in the first round."""
        self._contract, self._cases = contract, cases
        self._app = ReplayingApp(create_app([contract], build_emulator_settings()))

    async def time_round(self) -> float:
        """Send all cases once, and return the CPU seconds."""
        async with Transport(app=self._app) as transport:
            started = time.process_time()
            await runner_for(self._contract, transport).run_cases(self._cases)
            seconds = time.process_time() - started
        self._app.end_round()
        return seconds


def _read_indices(file: str) -> dict[str, list[int]]:
    indices: dict[str, list[int]] = json.loads(Path(file).read_text())
    return indices


async def serve() -> None:
    """Execute the commands from the standard input."""
    contracts = {contract.id: contract for contract in load_catalogue()}
    cases: dict[str, list[ConformanceCase]] = defaultdict(list)
    for contract in contracts.values():
        for case in plan_all_cases(contract):
            if case.speech_request is not None or case.request is not None:
                cases[f"{contract.id}|{KINDS.index(kind_of(case))}"].append(case)
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

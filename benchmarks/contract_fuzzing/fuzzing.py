"""Runs all commands with edited contracts, each in a forked process with limits of time and memory."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from own_mutants.processes import fork

from contract_fuzzing.commands import CommandResult, Job, import_commands, run_commands
from contract_fuzzing.edits import edit_contract
from contract_fuzzing.sources import ContractSource, write_files
from voicegauge.errors import EXIT_FINDINGS, EXIT_NOTHING_MEASURED, EXIT_OK, EXIT_UNUSABLE_INPUT

MAX_CPU_S = 120
"""Maximum CPU time of all commands with one contract. Most take less than 5 seconds."""
MAX_WALL_S = 600
MAX_MEMORY_BYTES = 4 * 2**30
"""Maximum address space of the process. Speech models are mapped into it."""
Edit = Callable[[ContractSource, random.Random], tuple[dict[str, Any], list[str]]]
"""Returns the files of a contract after edits, and a description of each edit."""
Outcome = Literal["works", "rejected", "failed"]


class FuzzedContract(NamedTuple):
    """What happened to one edited contract."""

    number: int
    """Number of the contract; the same one gives the same edits."""
    source: str
    edits: tuple[str, ...]
    outcome: Outcome
    """`works` if every command ended with status 0 or 1, `rejected` if one rejected it with file and line."""
    message: str
    """The rejection, or what failed."""
    has_findings: bool = False
    """Whether the check of the emulator, which has the same contract, found something."""


class Report(msgspec.Struct):
    """What a process reports about all commands with one contract."""

    results: list[tuple[str, int, str]] = []
    """Command, exit status and standard error."""
    traceback: str = ""


def fuzz_contracts(
    sources: Sequence[ContractSource], numbers: Sequence[int], *, edit: Edit = edit_contract
) -> Iterator[FuzzedContract]:
    """Edit a contract for each number, and run all commands with it."""
    import_commands()
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            yield _fuzz_contract(sources[number % len(sources)], number, Path(folder), edit)


def _fuzz_contract(source: ContractSource, number: int, folder: Path, edit: Edit) -> FuzzedContract:
    random_source = random.Random(number)  # noqa: S311 - edits, not cryptography
    files, edits = edit(source, random_source)
    for name, written in (("original", source.files), ("edited", files)):
        (folder / name).mkdir()
        write_files(written, folder / name)
    edited_file, original_file = (folder / name / source.contract_file for name in ("edited", "original"))
    job = Job(source.provider, edited_file, original_file, folder)
    report = _run_forked(lambda: run_commands(job, random_source))
    outcome, message = judge_report(report, folder / "edited")
    has_findings = ("check --emulated", EXIT_FINDINGS) in [result[:2] for result in report.results]
    return FuzzedContract(number, source.name, tuple(edits), outcome, message, has_findings)


def _run_forked(task: Callable[[], list[CommandResult]]) -> Report:
    pid, pipe = fork(lambda pipe: _report_to(pipe, task))
    with os.fdopen(pipe, "rb") as stream:
        written = stream.read()
    _, status = os.waitpid(pid, 0)
    if not written:
        return Report(traceback=f"ended with status {status} (a limit of {MAX_CPU_S} s of CPU or {MAX_WALL_S} s)")
    return msgspec.json.decode(written, type=Report)


def _report_to(pipe: int, task: Callable[[], list[CommandResult]]) -> None:
    for limit, amount in ((resource.RLIMIT_CPU, MAX_CPU_S), (resource.RLIMIT_AS, MAX_MEMORY_BYTES)):
        resource.setrlimit(limit, (amount, resource.getrlimit(limit)[1]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(MAX_WALL_S)
    try:
        report = Report(results=[tuple(result) for result in task()])
    except BaseException:  # noqa: BLE001 - also what exits
        report = Report(traceback=traceback.format_exc())
    with os.fdopen(pipe, "wb") as stream:
        stream.write(msgspec.json.encode(report))


def judge_report(report: Report, folder: Path) -> tuple[Outcome, str]:
    """Return the outcome and the message; the edited contract is in `folder`."""
    if report.traceback:
        return "failed", report.traceback
    place = re.compile(rf"voicegauge: {re.escape(str(folder))}/[^:\n]+:\d+: [^\n]+\n\Z")
    rejection = ""
    for command, status, message in report.results:
        if status == EXIT_UNUSABLE_INPUT and place.search(message):
            rejection = rejection or f"{command}: {message.strip()}"
        elif status == EXIT_NOTHING_MEASURED and "its document has no examples" in message:
            continue  # nothing is sent, so there is nothing to judge
        elif status not in (EXIT_OK, EXIT_FINDINGS) or "Traceback" in message:
            return "failed", f"{command}: exit status {status}: {message[-1000:]}"
    return ("rejected" if rejection else "works"), rejection

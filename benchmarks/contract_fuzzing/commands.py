"""Runs commands with a contract in this process: `check`, `check --emulated`, `serve`, `bench --dry-run`, `drift`."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import msgspec
from starlette.types import Receive, Scope, Send

import voicegauge
from voicegauge.api import check_setup as services
from voicegauge.api import local_servers
from voicegauge.api.local_requests import EmulateRequest
from voicegauge.cli import COMMAND_LOADER_BY_NAME, run
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator
from voicegauge.emulator.server import running_app

COMMAND_NAMES = ("check", "serve", "bench", "drift")
MAX_SENT_CASES = 20
"""Cases that are sent to the emulator per contract, chosen at random; the largest plan has 900."""
TIMEOUT_S = 300.0
"""Maximum time of one request to the emulator, in seconds."""
_BODY_METHODS = ("POST", "PUT", "PATCH")


class CommandResult(NamedTuple):
    """How one command ended."""

    command: str
    exit_status: int
    message: str
    """What the command wrote to standard error."""


class Job(NamedTuple):
    """The contract to run commands with."""

    provider: str
    """Id of the provider of the original contract."""
    contract_file: Path
    original_file: Path
    """The contract before it was edited."""
    folder: Path
    """Folder for what commands write."""


def run_commands(job: Job, random_source: random.Random) -> list[CommandResult]:
    """Run every command, each with its own arguments; those after a rejection still run.

    Raises:
        Exception: a command raised an error that it does not print.
    """
    contracts = ["--contracts", str(job.contract_file)]
    name = _read_provider_id(job)
    with _serving_in_this_process():
        return [
            _run_command(job, ["check", name, *contracts]),
            *_check_emulated(job, name, contracts, random_source),
            _run_command(job, ["serve", name, *contracts, "--port", "0", "--clock", "per-poll"]),
            _run_command(job, ["bench", name, "--dry-run", *contracts]),
            _run_command(job, ["drift", str(job.original_file), str(job.contract_file)]),
        ]


def _read_provider_id(job: Job) -> str:
    """Return the id of the edited contract; that of the original one if it cannot be loaded."""
    with contextlib.suppress(Exception):  # the commands report what is wrong
        known = {contract.id for contract in voicegauge.load_contracts()}
        return next(
            c.id for c in voicegauge.load_contracts([job.contract_file]) if c.id == job.provider or c.id not in known
        )
    return job.provider


def _check_emulated(
    job: Job, name: str, contracts: Sequence[str], random_source: random.Random
) -> Iterator[CommandResult]:
    """Plan a check of the emulator, then send some of its cases."""
    plan_file = job.folder / "plan.json"
    planned = _run_command(job, ["check", name, "--emulated", "--dry-run", "--json", str(plan_file), *contracts])
    yield planned
    if planned.exit_status == 0:
        ids = [case["id"] for case in json.loads(plan_file.read_bytes())["cases"]]
        chosen = ids if len(ids) <= MAX_SENT_CASES else random_source.sample(ids, MAX_SENT_CASES)
        cases = [argument for one in chosen for argument in ("--case", one)]
        yield _run_command(job, ["check", name, "--emulated", *cases, "--max-wait", str(TIMEOUT_S), *contracts])


def _run_command(job: Job, arguments: Sequence[str]) -> CommandResult:
    """Run a command with its output in a file, as in a shell."""
    errors_file = job.folder / "stderr"
    with (
        (job.folder / "stdout").open("w", encoding="utf-8") as out,
        errors_file.open("w", encoding="utf-8") as errors,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        status = run(arguments)
    name = " ".join(arguments[:1] + [one for one in arguments if one in ("--emulated", "--dry-run")])
    return CommandResult(name, status, errors_file.read_text(encoding="utf-8"))


@contextlib.contextmanager
def _serving_in_this_process() -> Iterator[None]:
    """Let commands start the emulator in a thread of this process, so that an error in it is raised."""
    with (
        patch.object(services, "starting_emulator", _starting_emulator),
        patch.object(local_servers, "serve_emulator", _serve_emulator, create=True),
    ):
        yield


@contextlib.contextmanager
def _running_emulator(contracts: Sequence[Contract], settings: EmulatorSettings) -> Iterator[RunningEmulator]:
    raised: list[Exception] = []
    app = create_app(contracts, settings)

    async def watched_app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            raised.append(error)
            raise

    with running_app(watched_app) as url:
        port = urlsplit(url).port
        assert port is not None
        yield RunningEmulator("127.0.0.1", port, tuple(contract.id for contract in contracts), settings)
    if raised:
        raise raised[0]


@contextlib.contextmanager
def _starting_emulator(contracts: Sequence[Contract], settings: EmulatorSettings) -> Iterator[services.EmulatorGetter]:
    """Start the emulator like `emulator.starting_emulator`, which does not wait until it runs."""
    with _running_emulator(contracts, settings) as emulator:
        yield lambda: emulator


def _serve_emulator(
    request: EmulateRequest,
    contracts: Sequence[Contract],
    *,
    on_ready: Callable[[RunningEmulator], None],
    on_client_finding: object,  # noqa: ARG001 - no client opens a WebSocket here
) -> None:
    """Start the emulator like `api.serve_emulator`, send a request for each operation, and stop it."""
    with _running_emulator(contracts, local_servers.build_requested_emulator_settings(request)) as emulator:
        on_ready(emulator)
        for contract in contracts:
            for operation in contract.operations.values():
                _send_requests(emulator.port, operation)


def _send_requests(port: int, operation: Operation) -> None:
    """Send the documented examples of a request, or an empty object, with a key in every documented header."""
    headers = {"Authorization": "Bearer any-key", **dict.fromkeys(_list_key_headers(operation.contract), "any-key")}
    parameters = {p.name: "1" for p in operation.parameters if p.is_required or p.message_part == "path"}
    path = operation.path
    for name, value in parameters.items():
        path = path.replace(f"{{{name}}}", value)
    query = "&".join(f"{quote(p.name)}=1" for p in operation.parameters if p.message_part == "query" and p.is_required)
    target = f"/{operation.contract.id}{quote(path, safe='/%')}" + (f"?{query}" if query else "")
    values = [example.value for media in operation.request_media.values() for example in media.examples]
    bodies = [msgspec.json.encode(value) for value in values] or [b"{}"]
    for body in bodies if operation.method in _BODY_METHODS else [b""]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(operation.method, target, body, {"Content-Type": "application/json", **headers})
            connection.getresponse().read()


def _list_key_headers(contract: Contract) -> list[str]:
    """Return the headers of API keys."""
    components: Mapping[str, Any] = contract.document.data.get("components", {})
    schemes = components.get("securitySchemes", {}).values()
    names = [scheme.get("name") for scheme in schemes if isinstance(scheme, dict) and scheme.get("in") == "header"]
    return [name for name in names if isinstance(name, str) and name.isascii() and name.replace("-", "").isalnum()]


def import_commands() -> None:
    """Import what commands import on first use, and load the bundled contracts, so that forked processes have them."""
    voicegauge.load_contracts()
    for name in ("api.benchmarking", "cli._check_tables"):
        importlib.import_module(f"voicegauge.{name}")
    for name in COMMAND_NAMES:
        COMMAND_LOADER_BY_NAME[name]()

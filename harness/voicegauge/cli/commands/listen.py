"""`voicegauge listen`: a receiver of webhooks that judges what comes."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.options import FiniteRange, contracts_option, json_option, public_url_option
from voicegauge.conformance.running import CallbackMonitor, JudgedCallback
from voicegauge.contract import load_catalogue
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK, NothingMeasuredError
from voicegauge.model import ReceivedWebhook, Record, Severity
from voicegauge.version import __version__

if TYPE_CHECKING:
    from rich.console import Console

LOOK_S = 0.2
"""So often Ctrl-C and the time are looked at."""
MAX_SHOWN = 80
"""Characters of an id or a state: they come from outside."""


class Listened(Record, frozen=True, kw_only=True):
    """What `voicegauge listen --json` writes when it ends."""

    schema: str = "voicegauge/listen/2"
    voicegauge: str
    url: str
    """Where providers reached it."""
    webhooks: tuple[JudgedCallback, ...]


@click.command("listen")
@click.argument("providers", nargs=-1, metavar="[PROVIDER...]")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0 takes a free one.")
@public_url_option
@click.option(
    "--mode",
    type=click.Choice(["any", "terminal", "progress"]),
    default="any",
    show_default=True,
    help="What was asked for: with terminal, progress is a finding; with progress, silence is.",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N webhooks.")
@click.option("--timeout", type=FiniteRange(min=0), metavar="S", help="End after S seconds.")
@contracts_option
@json_option
def command(  # noqa: PLR0917 - click passes options by name
    providers: tuple[str, ...],
    port: int,
    public_url: str | None,
    mode: str,
    count: int | None,
    timeout: float | None,
    contracts: tuple[Path, ...],
    json_to: str | None,
) -> int:
    """Take webhooks in, one line each, and judge them by the contracts.

    Any path is taken. Providers demand https: let a tunnel lead to the port and name its URL
    with --public-url. Ends with Ctrl-C; the exit status is 1 if a webhook broke its contract.
    """
    from voicegauge.cli.console import console, write_json
    from voicegauge.receiver import running_receiver

    catalogue = load_catalogue(contracts)
    chosen = [catalogue.provider(name) for name in providers] or list(catalogue)
    listener = CallbackMonitor(chosen, posts=mode)  # type: ignore[arg-type]  # click has checked it
    out = console(stderr=json_to == "-")
    waiting: queue.SimpleQueue[ReceivedWebhook] = queue.SimpleQueue()
    heard: list[JudgedCallback] = []
    with running_receiver(port=port, public_url=public_url, on_callback=waiting.put) as receiver:
        out.print(f"listening for webhooks at {receiver.root}/ANYTHING (Ctrl-C ends it)", soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):
            for received in _arriving(waiting, count, timeout):
                heard.append(listener.hear(received))
                _print(out, heard[-1])
    if json_to:
        write_json(Listened(voicegauge=__version__, url=receiver.root, webhooks=tuple(heard)), json_to)
    if timeout is not None and not heard:
        raise NothingMeasuredError(f"no webhook came in {timeout:g} s")
    bad = any(finding.severity is Severity.ERROR for one in heard for finding in one.findings)
    return EXIT_FINDINGS if bad else EXIT_OK


def _arriving(
    waiting: queue.SimpleQueue[ReceivedWebhook], count: int | None, timeout: float | None
) -> Iterator[ReceivedWebhook]:
    """What comes, until there are `count` or the time is over."""
    deadline = None if timeout is None else time.monotonic() + timeout
    came = 0
    while (count is None or came < count) and (deadline is None or time.monotonic() < deadline):
        try:
            received = waiting.get(timeout=LOOK_S)
        except queue.Empty:
            continue
        came += 1
        yield received


def _print(out: Console, heard: JudgedCallback) -> None:
    moment = datetime.fromtimestamp(heard.at).astimezone().strftime("%H:%M:%S")
    who = f"{heard.provider}/{heard.operation}" if heard.operation else "no contract's"
    parts = [moment, heard.provenance.upper(), who, _shown(heard.id), _shown(heard.state), heard.verdict]
    out.print("  ".join(parts), soft_wrap=True)
    for finding in heard.findings:
        out.print(f"    {finding.severity} {finding.rule}: {finding.message}", soft_wrap=True)


def _shown(text: str | None) -> str:
    """A word from outside, that can move no cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in (text or "-")[:MAX_SHOWN])

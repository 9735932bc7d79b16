"""What `voicegauge check` offers when recordings are stale: to record them again."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from voicegauge.errors import EXIT_OK

if TYPE_CHECKING:
    from voicegauge.conformance import CheckReport


def record_again(report: CheckReport, options: dict[str, Any], offered: set[str]) -> bool:
    """Offer to record anew what is too old, and do it; nothing is offered in CI or without a terminal.

    Args:
        report: of the recordings.
        options: of the command line; its contracts and budget hold for the recording too.
        offered: commands that were offered before; what is offered now is added.

    Returns:
        Whether something has been recorded, so that the report is out of date.
    """
    stale = (finding for finding in report.findings if finding.rule == "recording-stale")
    commands = [command for command in (finding.reproduce for finding in stale) if command and command not in offered]
    if not commands or not _is_attended():
        return False
    offered.update(commands)
    listed = "".join(f"\n  {command}" for command in commands)
    click.echo(f"recordings are too old to prove anything; these commands record them again:{listed}", err=True)
    question = f"Run them now? They ask the services themselves, for at most ${options['max_cost']:.4g} each."
    if not click.confirm(question, default=False, err=True):
        return False
    from voicegauge.cli import run

    more = list(_passed_on(options))
    return any([run([*shlex.split(command)[1:], *more]) == EXIT_OK for command in commands])  # noqa: C419 - run them all


def _is_attended() -> bool:
    return not os.environ.get("CI") and sys.stdin.isatty() and sys.stderr.isatty()


def _passed_on(options: dict[str, Any]) -> Iterator[str]:
    for folder in options["contracts"]:
        yield from ("--contracts", str(folder))
    yield from ("--max-cost", str(options["max_cost"]))

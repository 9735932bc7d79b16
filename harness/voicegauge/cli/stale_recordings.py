"""Offers, after `voicegauge check`, to record stale recordings again."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import print_escaped
from voicegauge.errors import EXIT_OK

if TYPE_CHECKING:
    from voicegauge.conformance import CheckReport


def offer_to_record_again(report: CheckReport, offered_commands: set[str], *, max_cost_usd: float) -> bool:
    """Offer to record stale recordings again, and record them if the user agrees.

    The offer is made only on a terminal, and never in CI.

    Args:
        report: the report of the check.
        offered_commands: commands that were offered before; commands that this call offers are added.
        max_cost_usd: budget of each recording.

    Returns:
        Whether something was recorded and the check must therefore be repeated.
    """
    stale = (finding for finding in report.findings if finding.rule == "recording-stale")
    commands = [
        command
        for command in (finding.reproduction_command for finding in stale)
        if command and command not in offered_commands
    ]
    if not commands or not _is_terminal_interactive():
        return False
    offered_commands.update(commands)
    listed = "".join(f"\n  {command}" for command in commands)
    print_escaped(f"some recordings are stale; these commands record them again:{listed}", to_stderr=True)
    question = f"Run them now? They send requests to the services themselves, for at most ${max_cost_usd:.4g} each."
    if not click.confirm(question, default=False, err=True):
        return False
    from voicegauge.cli import run

    statuses = [run([*shlex.split(command)[1:], "--max-cost", str(max_cost_usd)]) for command in commands]
    return EXIT_OK in statuses


def _is_terminal_interactive() -> bool:
    return not os.environ.get("CI") and sys.stdin.isatty() and sys.stderr.isatty()

"""Defines the command line. Each command has its own module, which is imported when the command is called."""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli._settings import (
    SETTINGS_FILE_CONTEXT_KEY,
    add_value_source_to_error_message,
    collect_command_defaults,
    find_settings,
    load_settings,
)
from voicegauge.errors import (
    EXIT_BUDGET_EXCEEDED,
    EXIT_INTERRUPTED,
    EXIT_NOTHING_MEASURED,
    EXIT_PARTLY_MEASURED,
    EXIT_UNUSABLE_INPUT,
    UnknownNameError,
    VoicegaugeError,
)
from voicegauge.printable_text import escape_unprintable
from voicegauge.version import __version__

if TYPE_CHECKING:
    from voicegauge.model.base import StopReason


# Defines exit statuses of runs that ended early; the others are in `voicegauge.errors`.


EXIT_BROKEN_PIPE = 141
"""Exit status that a shell reports for a program whose output is not read to its end, as in `voicegauge ... | head`."""

EXIT_STATUS_BY_STOP_REASON: Mapping[StopReason, int] = {
    "interrupted": EXIT_INTERRUPTED,
    "budget": EXIT_BUDGET_EXCEEDED,
    "unreachable": EXIT_NOTHING_MEASURED,
    "time": EXIT_PARTLY_MEASURED,
}


HELP_BY_COMMAND = {
    "providers": "List providers and which keys are set; targets and prices of one.",
    "init": "Propose a contract for a provider's OpenAPI document, or from recordings.",
    "check": "Check whether the API behaves as its contract says.",
    "record": "Save what a provider answers as recordings, without secrets.",
    "drift": "Find what changed between two contracts or recordings.",
    "bench": "Measure latency, cost and intelligibility.",
    "score": "Listen to a saved run, and transcribe it with another ASR engine.",
    "asr": "List installed speech recognizers; install Whisper's weights.",
    "cost": "Show what a month costs at your volume, with each account plan.",
    "compare": "Tell regressions from noise between two runs.",
    "history": "Follow saved runs night by night: trends, changes, alerts.",
    "report": "Write runs as one self-contained HTML page.",
    "serve": "Run the emulator, or serve recordings, on a local port.",
    "proxy": "Judge and record what passes between a client and the service.",
    "listen": "Receive webhooks and validate them.",
    "convert": "Convert recordings of other tools, and write VCR cassettes.",
    "rules": "List every rule: what it proves and how severe it is.",
    "explain": "Explain a rule: why it matters, what keeps and what breaks it.",
}


_MODULE_BY_COMMAND = {
    **dict.fromkeys(("providers", "cost", "asr", "rules", "explain"), "listings"),
    **dict.fromkeys(("init", "drift"), "documents"),
    **dict.fromkeys(("serve", "proxy", "listen"), "local_servers"),
    **dict.fromkeys(("report", "score", "history"), "saved_runs"),
    **dict.fromkeys(("record", "convert"), "recordings"),
}
"""Modules of commands that share one, as their functions of the API do; any other command has a module of its name."""

_GIVEN_WORDS_CONTEXT_KEY = "voicegauge.given_words"
"""Key under which `click.Context.meta` has the words of the command line, without the values after "="."""


def _load_command(command_name: str) -> click.Command:
    module = importlib.import_module(f"voicegauge.cli.{_MODULE_BY_COMMAND.get(command_name, command_name)}")
    commands = (value for value in vars(module).values() if isinstance(value, click.Command))
    return next(command for command in commands if command.name == command_name)


LOADER_BY_COMMAND = {command_name: functools.partial(_load_command, command_name) for command_name in HELP_BY_COMMAND}
"""Functions that import a command, by the name of the command."""


class LazyGroup(click.Group):
    """A click group of all commands; the module of a command is imported when the command is called.

    The help lines are in `HELP_BY_COMMAND`, so that `--help` does not import any command.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a new user needs them."""
        del ctx
        return list(HELP_BY_COMMAND)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command named `cmd_name`, with defaults from the settings file; `None` if it does not exist."""
        if cmd_name not in HELP_BY_COMMAND:
            return None
        command = _load_command(cmd_name)
        named = ctx.params.get("settings")
        settings = load_settings(named) if named else find_settings(Path.cwd())
        if settings is not None:
            ctx.meta[SETTINGS_FILE_CONTEXT_KEY] = settings
            given_flags = ctx.meta.get(_GIVEN_WORDS_CONTEXT_KEY, ())
            defaults = collect_command_defaults(command, settings, LOADER_BY_COMMAND, given_flags=given_flags)
            ctx.default_map = {cmd_name: defaults}
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` name; the error for an unknown name suggests the most similar one."""
        if args and not args[0].startswith("-") and args[0] not in HELP_BY_COMMAND:
            raise UnknownNameError("command", args[0], HELP_BY_COMMAND)
        ctx.meta[_GIVEN_WORDS_CONTEXT_KEY] = frozenset(word.partition("=")[0] for word in args)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line per command, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(HELP_BY_COMMAND.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="voicegauge")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    envvar="VOICEGAUGE_SETTINGS",
    show_envvar=True,
    metavar="FILE",
    help="Settings file that may set every option but --live, instead of the one in the current folder.",
)
def cli(settings: Path | None) -> None:
    """Conformance tests and benchmarks for hosted text-to-speech and voice-cloning APIs.

    Exit status: 0 success; 1 findings or regressions; 2 unusable input or settings;
    3 nothing could be measured; 4 stopped by the budget; 5 only a part was measured or judged;
    130 interrupted by Ctrl-C or SIGTERM.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status. An error of the user is printed in one line."""
    started_s = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    annotates = os.environ.get("GITHUB_ACTIONS") == "true" or "--github" in itertools.takewhile("--".__ne__, words)
    print_error = functools.partial(_print_error, annotates=annotates)
    try:
        result = cli.main(args=arguments, prog_name="voicegauge", standalone_mode=False, obj=started_s)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return EXIT_UNUSABLE_INPUT
    except click.ClickException as error:
        if isinstance(error, click.BadParameter):
            add_value_source_to_error_message(error)
        return print_error(error.format_message(), EXIT_UNUSABLE_INPUT)
    except VoicegaugeError as error:
        return print_error(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        # click turns Ctrl-C, whose text may say what was stopped, into an exception of its own.
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        what = str(cause) if isinstance(cause, KeyboardInterrupt) else ""
        return print_error(f"stopped {what}".rstrip(), EXIT_INTERRUPTED)
    except SystemExit as error:
        # click raises it with 0 after completing names for a shell, and with 1 if the reader of the output is gone.
        result = 0 if error.code == 0 else EXIT_BROKEN_PIPE
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return print_error(f"{where}{error.strerror or error}", EXIT_UNUSABLE_INPUT)
    return result if isinstance(result, int) else 0


def _print_error(message: str, exit_status: int, *, annotates: bool) -> int:
    line = escape_unprintable(" ".join(message.split()))
    click.echo(f"voicegauge: {line}", err=True)
    if annotates:
        # A step that fails without an annotation sends the reader into the log. The runner reads both streams.
        from voicegauge.outputs.finding_exports import escape_command_message

        click.echo(f"::error title=voicegauge::{escape_command_message(line)}", err=True)
    return exit_status

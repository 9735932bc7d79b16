"""The command line: one module a command, loaded when it is called."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from pathlib import Path

import click

from voicegauge.cli.settings import defaults_for, read_settings
from voicegauge.errors import EXIT_UNUSABLE, UnknownNameError, VoicegaugeError
from voicegauge.version import __version__

EXIT_INTERRUPTED = 130
"""What a shell reports for a program ended by Ctrl-C."""

EXIT_UNREAD = 141
"""What a shell reports for a program whose output nobody reads any more (`| head`)."""

COMMANDS = {
    "providers": "Contracts, targets and prices, and which keys are set.",
    "check": "Does the API still do what its document says?",
    "record": "Save what a provider answers as fixtures, without secrets.",
    "drift": "What changed between two contracts or recordings, and whom it breaks.",
    "bench": "Measure latency, cost and intelligibility.",
    "score": "Transcribe a run again with another ASR.",
    "asr": "Recognisers that are here, and Whisper's official weights.",
    "compare": "Tell regressions from noise between two runs.",
    "report": "Write runs as one self-contained HTML page.",
    "serve": "The emulator on a port of this machine.",
    "listen": "Takes webhooks in and judges them.",
    "convert": "Recordings of other tools into ours, and ours into a VCR cassette.",
    "rules": "Every check: what it proves and how bad it is.",
}


def _load(name: str) -> click.Command:
    command: click.Command = importlib.import_module(f"voicegauge.cli.commands.{name}").command
    return command


_LOADERS = {name: functools.partial(_load, name) for name in COMMANDS}


class LazyGroup(click.Group):
    """Commands by name; the module of one is imported when it is called.

    The help lines stand here, so that `--help` imports no command.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of a first visit."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command named `cmd_name`; `None` where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = _load(cmd_name)
        settings, file = read_settings(Path.cwd())
        if file is not None:
            ctx.default_map = {cmd_name: defaults_for(command, settings, _LOADERS, file)}
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` name, or an error that says the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise UnknownNameError("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line a command, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="voicegauge")
def cli() -> None:
    """Conformance tests and benchmarks for hosted text-to-speech and voice-cloning APIs.

    Exit status: 0 all well; 1 findings or regressions; 2 unusable input or settings;
    3 nothing could be measured; 4 stopped by the budget.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status. A user's mistake prints one line."""
    try:
        result = cli.main(args=arguments, prog_name="voicegauge", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return EXIT_UNUSABLE
    except click.ClickException as error:
        return _complain(error.format_message(), EXIT_UNUSABLE)
    except VoicegaugeError as error:
        return _complain(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _complain("stopped", EXIT_INTERRUPTED)
    except SystemExit:  # click and rich end so, and only so, when whoever read the output has gone
        result = EXIT_UNREAD
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", EXIT_UNUSABLE)
    return result if isinstance(result, int) else 0


def _complain(message: str, status: int) -> int:
    line = " ".join(message.split())
    click.echo(f"voicegauge: {line}", err=True)
    return status

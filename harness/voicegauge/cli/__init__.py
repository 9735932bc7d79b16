"""Defines the command line: makes commands of functions that take requests, and imports each one when it is called."""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib
import inspect
import itertools
import os
import sys
import time
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voicegauge.api.calls import CommandDeadline, count_time_since, interrupt_on_termination
from voicegauge.api.options import max_time_option
from voicegauge.cli._options import build_parameter
from voicegauge.cli._settings import (
    SETTINGS_FILE_CONTEXT_KEY,
    add_value_source_to_error_message,
    collect_command_defaults,
    create_output_folders,
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
    UsageError,
    VoicegaugeError,
)
from voicegauge.options import (
    DeclaredOption,
    OptionRole,
    find_option_problem,
    get_group_type,
    is_given,
    list_options,
    list_own_options,
    request,
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
"""Exit statuses by the reason for which a run ended before its last request."""


# Makes commands of functions that take requests.


@request
class CommandTimeLimit:
    """How long a command may take that has no result before its end."""

    max_time_s: float | None = max_time_option("Give up after SECONDS, with exit status 5.")


def create_command_of_requests(
    name: str, *request_types: type[Any], has_time_limit: bool = False
) -> Callable[[Callable[..., int | None]], click.Command]:
    """Return a decorator that makes a function with one parameter for each of `request_types` a command.

    Options that several requests declare are one option of the command. What the function returns is the exit status;
    `None` for 0. Its docstring is the help. With `has_time_limit`, the command has the option of `CommandTimeLimit`,
    after which the function is interrupted as by Ctrl-C.
    """
    options: dict[str, DeclaredOption] = {}
    for request_type in (*request_types, *((CommandTimeLimit,) if has_time_limit else ())):
        for declared in list_options(request_type):
            if declared.spec.role is not OptionRole.KEYWORD:
                options.setdefault(declared.name, declared)
    declared_options = tuple(options.values())

    def decorate(run: Callable[..., int | None]) -> click.Command:
        def callback(**values: Any) -> None:
            ctx = click.get_current_context()
            given_names = {
                key for key in values if ctx.get_parameter_source(key) is click.core.ParameterSource.COMMANDLINE
            }
            if "faults" in given_names and "list" in values["faults"]:
                from voicegauge.cli.local_servers import print_faults

                print_faults()
                ctx.exit()
            effective_values = _leave_out_ineffective_settings(declared_options, given_names, values)
            _announce_ineffective_variables(ctx, declared_options, given_names, values, effective_values)
            values = effective_values
            problem = _describe_option_with_repeated_name(declared_options, values) or find_option_problem(
                declared_options, given_names, values, is_for_command_line=True
            )
            if problem is not None:
                raise UsageError(problem)
            # Before anything is sent: an output that cannot be written must not lose what was paid for.
            create_output_folders(ctx, declared_options)
            requests = [_build_request(request_type, values, given_names) for request_type in request_types]
            _announce_settings_of_live_run(ctx, requests)
            started_s = time.monotonic() if ctx.obj is None else ctx.obj
            limit_s = values["max_time_s"] if has_time_limit else None
            with (
                interrupt_on_termination(),
                count_time_since(started_s),
                CommandDeadline(limit_s).interrupt_when_time_is_over(),
            ):
                exit_status = run(*requests) or 0
            ctx.exit(exit_status)  # a returned value would be lost where click itself ends the process

        return _CommandWithFlagHints(
            name,
            callback=callback,
            params=[build_parameter(declared, declared_options) for declared in declared_options],
            help=inspect.getdoc(run),
            flag_by_other_flag={
                one.spec.other_command_flag: f"{one.flag} {word}" if word in one.shape.choices else one.flag
                for one in declared_options
                for word in [(one.spec.other_command_flag or "").removeprefix("--")]
            },
        )

    return decorate


class _CommandWithFlagHints(click.Command):
    """A command whose error for an option of other commands names its own option for the same."""

    def __init__(self, *arguments: Any, flag_by_other_flag: Mapping[str | None, str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._flag_by_other_flag = flag_by_other_flag

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            own_flag = self._flag_by_other_flag.get(error.option_name)
            if own_flag is None:
                raise
            message = f"No such option {error.option_name!r}: here it is {own_flag}"
            raise click.NoSuchOption(error.option_name, message, ctx=error.ctx) from None


def _describe_option_with_repeated_name(
    options: Sequence[DeclaredOption], value_by_option: Mapping[str, Any]
) -> str | None:
    """Return a line about an option with two values for one name (`--price a=1 --price a=2`); `None` without one."""
    for one in options:
        if not one.shape.is_mapping:
            continue
        names = [name for name, _ in value_by_option[one.name]]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            return f"{one.flag} is given twice {f'for {repeated}' if repeated else 'without a name'}: keep one of them"
    return None


def _leave_out_ineffective_settings(
    options: Sequence[DeclaredOption], given_names: Container[str], value_by_option: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values with the defaults of settings that have no effect together with the flags of this command.

    A settings file and the environment apply to many commands, so that an error would make them useless.
    """
    value_by_option = dict(value_by_option)
    while True:
        excluded = {other for one in options if one.name in given_names for other in one.spec.excludes}
        for one in options:
            if (
                one.name in given_names
                or not is_given(value_by_option[one.name])
                or one.spec.role is OptionRole.ARGUMENT
            ):
                continue
            # The value with which the option asks for nothing.
            default = () if one.shape.is_multiple else False if one.shape.item_type is bool else one.default
            is_ineffective = one.name in excluded or find_option_problem(
                options, {one.name}, value_by_option, is_for_command_line=True
            )
            if is_ineffective and value_by_option[one.name] != default:
                # Another setting may require the one that is left out now, so all of them are looked at again.
                value_by_option[one.name] = default
                break
        else:
            return value_by_option


def _announce_ineffective_variables(
    ctx: click.Context,
    options: Sequence[DeclaredOption],
    given_names: Container[str],
    value_by_option: Mapping[str, Any],
    effective_values: Mapping[str, Any],
) -> None:
    """Print which variables of the environment are left out because a flag of this command excludes their option.

    A setting that only goes with another flag, such as a budget, is left out without a word: it is for other commands.
    """
    from voicegauge.cli._console import print_escaped

    for one in options:
        variable = one.spec.environment_variable
        excluding = next(
            (other.flag for other in options if other.name in given_names and one.name in other.spec.excludes), None
        )
        is_set = ctx.get_parameter_source(one.name) is click.core.ParameterSource.ENVIRONMENT
        if (
            variable is not None
            and excluding is not None
            and is_set
            and value_by_option[one.name] != effective_values[one.name]
        ):
            print_escaped(f"{variable} has no effect with {excluding}", to_stderr=True)


def _build_request(request_type: type[Any], value_by_option: Mapping[str, Any], given_names: Container[str]) -> Any:
    fields: dict[str, Any] = {}
    for one in list_own_options(request_type):
        if one.spec.role is OptionRole.GROUP:
            inner = get_group_type(one)
            fields[one.name] = (
                _build_request(inner, value_by_option, given_names) if value_by_option[one.name] else None
            )
        elif one.spec.role is OptionRole.KEYWORD:
            if one.default is dataclasses.MISSING:
                fields[one.name] = None  # the command sets it
        else:
            value = value_by_option[one.name]
            if one.is_inverted:
                value = not value
            if one.shape.is_mapping:
                value = dict(value) or one.default
            fields[one.name] = value
    return request_type(**fields)


def _announce_settings_of_live_run(ctx: click.Context, requests: Sequence[Any]) -> None:
    """Print which settings file was read if a request permits to send to live services."""
    settings = ctx.meta.get(SETTINGS_FILE_CONTEXT_KEY)
    if settings is not None and any(getattr(one, "live", None) is not None for one in requests):
        from voicegauge.cli._console import create_console

        create_console(to_stderr=True).print(f"LIVE: settings are read from {settings.path}")


# Names all commands, and runs the one that is called.


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
"""One line about each command, in the order in which a new user needs them."""


_SHARED_MODULE_BY_COMMAND = {
    **dict.fromkeys(("providers", "cost", "asr", "rules", "explain"), "listings"),
    **dict.fromkeys(("init", "drift", "record", "convert"), "documents"),
    **dict.fromkeys(("serve", "proxy", "listen"), "local_servers"),
    **dict.fromkeys(("report", "score", "history"), "saved_runs"),
    **dict.fromkeys(("bench", "compare"), "bench"),
}
"""Modules of commands that share one, as their functions of the API do; any other command has a module of its name."""

_GIVEN_WORDS_CONTEXT_KEY = "voicegauge.given_words"
"""Key under which `click.Context.meta` has the words of the command line, without the values after "="."""


def _load_command(command_name: str) -> click.Command:
    # Only now: `--help` and the completion of names need no module of a command.
    module = importlib.import_module(f"voicegauge.cli.{_SHARED_MODULE_BY_COMMAND.get(command_name, command_name)}")
    commands = (value for value in vars(module).values() if isinstance(value, click.Command))
    return next(command for command in commands if command.name == command_name)


COMMAND_LOADER_BY_NAME = {
    command_name: functools.partial(_load_command, command_name) for command_name in HELP_BY_COMMAND
}
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
            defaults = collect_command_defaults(command, settings, COMMAND_LOADER_BY_NAME, given_flags=given_flags)
            # click reads it after flags and the environment, which is the order that the documents promise.
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
    130 interrupted by Ctrl-C or SIGTERM; 141 the reader of the output has ended.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status. An error of the user is printed in one line.

    `arguments` are the words after the program name; `None` for those of this process.
    """
    started_s = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    # Looked for in the words, since an error may come before options are read. After "--", each word is an argument.
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
        if not where and error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = "standard output cannot be written: "  # errors of files have a name
        return print_error(f"{where}{error.strerror or error}", EXIT_UNUSABLE_INPUT)
    return result if isinstance(result, int) else 0


def _print_error(message: str, exit_status: int, *, annotates: bool) -> int:
    line = escape_unprintable(" ".join(message.split()))
    click.echo(f"voicegauge: {line}", err=True)
    if annotates:
        # A step that fails without an annotation sends the reader into the log. The runner reads both streams.
        from voicegauge.outputs.finding_exports import escape_workflow_command_message

        click.echo(f"::error title=voicegauge::{escape_workflow_command_message(line)}", err=True)
    return exit_status

"""Makes commands of functions that take requests."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from voicegauge.api.calls import CommandDeadline, count_time_since, interrupt_on_termination
from voicegauge.api.options import max_time_option
from voicegauge.cli._options import build_parameter
from voicegauge.cli._settings import SETTINGS_FILE_CONTEXT_KEY, create_output_folders
from voicegauge.errors import UsageError
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


@request
class CommandTimeLimit:
    """How long a command may take that has no result before its end."""

    max_time_s: float | None = max_time_option("Give up after SECONDS, with exit status 5.")


def command_of_requests(
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
            given_names = {key for key in values if ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE}
            effective = _leave_out_ineffective_settings(declared_options, given_names, values)
            _announce_ineffective_variables(ctx, declared_options, given_names, values, effective)
            values = effective
            problem = _find_repeated_name(declared_options, values) or find_option_problem(
                declared_options, given_names, values, is_for_command_line=True
            )
            if problem is not None:
                raise UsageError(problem)
            create_output_folders(ctx, declared_options)
            requests = [_build_request(request_type, values, given_names) for request_type in request_types]
            _announce_settings_of_live_run(ctx, requests)
            started_s = time.monotonic() if ctx.obj is None else ctx.obj
            limit_s = values["max_time_s"] if has_time_limit else None
            with interrupt_on_termination(), count_time_since(started_s), CommandDeadline(limit_s).interrupt():
                exit_status = run(*requests) or 0
            ctx.exit(exit_status)  # a returned value would be lost where click itself ends the process

        return _Command(
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


class _Command(click.Command):
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


def _find_repeated_name(options: Sequence[DeclaredOption], values: Mapping[str, Any]) -> str | None:
    """Return a line about an option with two values for one name (`--price a=1 --price a=2`); `None` without one."""
    for one in options:
        if not one.shape.is_mapping:
            continue
        names = [name for name, _ in values[one.name]]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            return f"{one.flag} is given twice {f'for {repeated}' if repeated else 'without a name'}: keep one of them"
    return None


def _leave_out_ineffective_settings(
    options: Sequence[DeclaredOption], given_names: Container[str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values with the defaults of settings that have no effect together with the flags of this command.

    A settings file and the environment apply to many commands, so that an error would make them useless.
    """
    values = dict(values)
    while True:
        excluded = {other for one in options if one.name in given_names for other in one.spec.excludes}
        for one in options:
            if one.name in given_names or not is_given(values[one.name]) or one.spec.role is OptionRole.ARGUMENT:
                continue
            default = _get_empty_value(one)
            is_ineffective = one.name in excluded or find_option_problem(
                options, {one.name}, values, is_for_command_line=True
            )
            if is_ineffective and values[one.name] != default:
                values[one.name] = default
                break
        else:
            return values


def _announce_ineffective_variables(
    ctx: click.Context,
    options: Sequence[DeclaredOption],
    given_names: Container[str],
    values: Mapping[str, Any],
    effective: Mapping[str, Any],
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
        is_set = ctx.get_parameter_source(one.name) is ParameterSource.ENVIRONMENT
        if variable is not None and excluding is not None and is_set and values[one.name] != effective[one.name]:
            print_escaped(f"{variable} has no effect with {excluding}", to_stderr=True)


def _get_empty_value(declared: DeclaredOption) -> Any:
    """Return the value with which an option asks for nothing."""
    if declared.shape.is_multiple:
        return ()
    return False if declared.shape.item_type is bool else declared.default


def _build_request(request_type: type[Any], values: Mapping[str, Any], given_names: Container[str]) -> Any:
    fields: dict[str, Any] = {}
    for one in list_own_options(request_type):
        if one.spec.role is OptionRole.GROUP:
            inner = get_group_type(one)
            fields[one.name] = _build_request(inner, values, given_names) if values[one.name] else None
        elif one.spec.role is OptionRole.KEYWORD:
            if one.default is dataclasses.MISSING:
                fields[one.name] = None  # the command sets it
        else:
            value = values[one.name]
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

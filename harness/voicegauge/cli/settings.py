"""Reads settings from a file: `voicegauge.toml`, or `[tool.voicegauge]` of `pyproject.toml`.

A key at the top level applies to every command that has an option of this name. A table with
the name of a command applies to that command only. A table inside the table of a command gives
the pairs of an option that takes NAME=VALUE.
An option that may be repeated takes a list or a single value.
Flags override the environment, which overrides the file.
A file that the user did not name sets only harmless options, see `settings_trust`.

    seed = 7
    [bench]
    suite = "standard"
    [check.severity]
    retry-after-missing = "info"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from voicegauge.cli.settings_trust import describe_untrusted_settings, find_untrusted_reason
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.files import read_file

LIVE_SETTING_NAME = "live"
"""The flag that a settings file must not set, because only the command line may cause costs."""
_LIVE_REJECTION_MESSAGE = "live cannot be set in a file, because it costs money: write --live on the command line"

SETTINGS_FILE_CONTEXT_KEY = "voicegauge.settings_file"
"""Key under which `click.Context.meta` has the `SettingsFile`, if there is one."""
MAX_SETTINGS_BYTES = 2**20
"""Maximum size of a settings file."""


class SettingsFile(NamedTuple):
    """A settings file and its content."""

    path: Path
    settings: Mapping[str, Any]
    is_trusted: bool
    """Whether the user named the file; otherwise it was found in the current folder."""

    @property
    def display_name(self) -> str:
        """Name of the file in messages: as the user named it, or its name in the current folder."""
        return str(self.path) if self.is_trusted else self.path.name


def load_settings(file: Path) -> SettingsFile:
    """Read the settings file that the user named.

    Raises:
        UsageError: the file does not exist or holds no settings, or its content is not valid.
    """
    values = (_read_pyproject_settings if file.name == "pyproject.toml" else _read_toml)(file, str(file))
    if values is None:
        raise UsageError(f"{file}: no such file, or no settings in it")
    return SettingsFile(file, values, is_trusted=True)


def find_settings(folder: Path) -> SettingsFile | None:
    """Read and return the settings file in `folder`; `None` if there is none.

    Raises:
        UsageError: the file is not valid TOML, [tool.voicegauge] is not a table, or both files hold settings.
    """
    own, shared = folder / "voicegauge.toml", folder / "pyproject.toml"
    found, tool = _read_toml(own, own.name), _read_pyproject_settings(shared, shared.name)
    if found is not None and tool is not None:
        raise UsageError(f"{own.name} and [tool.voicegauge] of {shared.name} both hold settings: remove one")
    if found is not None:
        return SettingsFile(own, found, is_trusted=False)
    return SettingsFile(shared, tool, is_trusted=False) if tool is not None else None


def _read_pyproject_settings(path: Path, file_label: str) -> dict[str, Any] | None:
    tools = (_read_toml(path, file_label) or {}).get("tool")
    tool = tools.get("voicegauge") if isinstance(tools, dict) else None
    if tool is not None and not isinstance(tool, dict):
        raise UsageError(f"{file_label}: [tool.voicegauge] must be a table of settings")
    return tool


def _read_toml(path: Path, file_label: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(read_file(path, MAX_SETTINGS_BYTES).decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{file_label}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also an integer of thousands of digits
        raise UsageError(f"{file_label}: {error}") from error


def collect_command_defaults(
    command: click.Command, settings_file: SettingsFile, loader_by_command: Mapping[str, Callable[[], click.Command]]
) -> dict[str, Any]:
    """Return the settings that apply to `command`, by parameter name.

    Args:
        command: the command that was called.
        settings_file: the settings file.
        loader_by_command: functions that import a command, by the command's name.

    Raises:
        UnknownNameError: a key is neither an option of the commands it applies to nor a command.
        UsageError: there is a value instead of a table, a value is not valid for its option, or values are not
            accepted from this file; the message names all of these.
    """
    options = _map_options_by_setting(command)
    table = _read_command_table(command, settings_file, loader_by_command)
    _reject_unknown_names(command, settings_file, table, loader_by_command)
    entries = [
        *(
            _SettingEntry(name, value, name)
            for name, value in settings_file.settings.items()
            if not isinstance(value, dict)
        ),
        *(_SettingEntry(name, value, f"[{command.name}] {name}") for name, value in table.items()),
    ]
    defaults: dict[str, Any] = {}
    problems = (
        [_LIVE_REJECTION_MESSAGE]
        if any(one.name == LIVE_SETTING_NAME and one.value is not False for one in entries)
        else []
    )
    untrusted: dict[str, str] = {}
    for entry in entries:
        if entry.name not in options or entry.name == LIVE_SETTING_NAME:
            continue
        option = options[entry.name]
        values = _convert_to_flag_values(option, entry.value, f"{settings_file.display_name}: {entry.location_in_file}")
        defaults[str(option.name)] = values
        if not settings_file.is_trusted and entry.value is not False:
            reason = find_untrusted_reason(
                entry.name, option, values if option.multiple else [values], settings_file.path
            )
            untrusted |= {entry.name: reason} if reason else {}
    if untrusted:
        problems.append(describe_untrusted_settings(untrusted, settings_file.path))
    if problems:
        raise UsageError(f"{settings_file.display_name}: {'; '.join(problems)}")
    return defaults


class _SettingEntry(NamedTuple):
    """One setting in the file."""

    name: str
    value: Any
    location_in_file: str
    """Name of the table and of the setting, for messages."""


def _read_command_table(
    command: click.Command, settings_file: SettingsFile, loader_by_command: Mapping[str, Callable[[], click.Command]]
) -> Mapping[str, Any]:
    table = settings_file.settings.get(command.name or "", {})
    if isinstance(table, dict):
        return table
    if command.name not in _list_setting_names(loader_by_command):
        raise UsageError(f"{settings_file.display_name}: {command.name} must be a table of settings")
    return {}  # `asr` is an option as well as a command


def _reject_unknown_names(
    command: click.Command,
    settings_file: SettingsFile,
    table: Mapping[str, Any],
    loader_by_command: Mapping[str, Callable[[], click.Command]],
) -> None:
    """Reject a key that is neither a command nor an option of the commands that it applies to.

    Raises:
        UnknownNameError: there is such a key.
    """
    options = _map_options_by_setting(command).keys()
    for name, value in settings_file.settings.items():
        if isinstance(value, dict) and name not in loader_by_command:
            raise UnknownNameError(f"command in {settings_file.display_name}", name, loader_by_command)
        if not isinstance(value, dict) and name not in options | {LIVE_SETTING_NAME}:
            known = _list_setting_names(loader_by_command)
            if name not in known:
                raise UnknownNameError(f"setting in {settings_file.display_name}", name, known - {LIVE_SETTING_NAME})
    for name in sorted(table.keys() - options - {LIVE_SETTING_NAME}):
        raise UnknownNameError(
            f"setting [{command.name}] in {settings_file.display_name}", name, options - {LIVE_SETTING_NAME}
        )


def add_value_source_to_message(error: click.BadParameter) -> None:
    """Let the message of `error` name where the value of an option was written: a flag, a variable or the settings."""
    option, ctx = error.param, error.ctx
    if error.param_hint is not None or not isinstance(option, click.Option) or ctx is None or option.name is None:
        return
    source = ctx.get_parameter_source(option.name)
    if source is ParameterSource.DEFAULT_MAP:
        error.param_hint = f"'{_get_setting_name(option)}' in {ctx.meta[SETTINGS_FILE_CONTEXT_KEY].display_name}"
    elif source is ParameterSource.ENVIRONMENT:
        error.param_hint = f"the environment variable {option.envvar}"
    else:
        error.param_hint = " / ".join(f"'{flag}'" for flag in option.opts)


def _convert_to_flag_values(option: click.Option, value: Any, location_in_file: str) -> Any:
    """Convert a value of the settings file to the value that the same flags on the command line would have.

    The result is a list if the option may be repeated; a table becomes a list of NAME=VALUE.
    """
    if option.multiple and isinstance(value, dict):
        value = [f"{name}={inner}" for name, inner in value.items()]
    values = value if option.multiple and isinstance(value, list) else [value]
    if not all(_is_valid_option_value(option, one) for one in values):
        a_list = ", or a list of them" if option.multiple else ""
        raise UsageError(
            f"{location_in_file} must be {'true or false' if option.is_flag else f'a string or a number{a_list}'}"
        )
    return values if option.multiple else value


def _is_valid_option_value(option: click.Option, value: Any) -> bool:
    if option.is_flag or isinstance(value, bool):
        return option.is_flag and isinstance(value, bool)
    return isinstance(value, str | int | float)


def _list_setting_names(loader_by_command: Mapping[str, Callable[[], click.Command]]) -> set[str]:
    """Return the names of all options of all commands; this imports every command."""
    return {flag for make in loader_by_command.values() for flag in _map_options_by_setting(make())}


def _map_options_by_setting(command: click.Command) -> dict[str, click.Option]:
    return {_get_setting_name(option): option for option in command.params if isinstance(option, click.Option)}


def _get_setting_name(option: click.Option) -> str:
    """Return the name of an option in the settings file: its long flag without the leading dashes."""
    return max(option.opts, key=len).lstrip("-")

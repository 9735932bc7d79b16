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
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from voicegauge.cli.settings_trust import check_untrusted_setting
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.files import read_file

LIVE_FLAG = "live"
"""The flag that a settings file must not set, because only the command line may cause costs."""


SETTINGS_FILE = "voicegauge.settings_file"
"""Key of the path of the settings file in `click.Context.meta`, where there is a settings file."""
MAX_SETTINGS_BYTES = 2**20


class SettingsFile(NamedTuple):
    """A settings file and its content."""

    path: Path
    values: Mapping[str, Any]
    is_trusted: bool
    """Whether the user named the file; otherwise it was found in the current folder."""


def load_settings(file: Path) -> SettingsFile:
    """Read the settings file that the user named.

    Raises:
        UsageError: the file does not exist or holds no settings, or its content is not valid.
    """
    values = _read_tool(file) if file.name == "pyproject.toml" else _read_toml(file)
    if values is None:
        raise UsageError(f"{file}: no such file, or no settings in it")
    return SettingsFile(file, values, is_trusted=True)


def find_settings(folder: Path) -> SettingsFile | None:
    """Read the settings file in `folder`, if there is one.

    Raises:
        UsageError: the file is not valid TOML, [tool.voicegauge] is not a table, or both files hold settings.
    """
    own, shared = folder / "voicegauge.toml", folder / "pyproject.toml"
    found, tool = _read_toml(own), _read_tool(shared)
    if found is not None and tool is not None:
        raise UsageError(f"{own.name} and [tool.voicegauge] of {shared.name} both hold settings: remove one")
    if found is not None:
        return SettingsFile(own, found, is_trusted=False)
    return SettingsFile(shared, tool, is_trusted=False) if tool is not None else None


def _read_tool(path: Path) -> dict[str, Any] | None:
    tools = (_read_toml(path) or {}).get("tool")
    tool = tools.get("voicegauge") if isinstance(tools, dict) else None
    if tool is not None and not isinstance(tool, dict):
        raise UsageError(f"{path.name}: [tool.voicegauge] must be a table of settings")
    return tool


def _read_toml(path: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(read_file(path, MAX_SETTINGS_BYTES).decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path.name}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path.name}: {error}") from error


def defaults_for(
    command: click.Command, settings: SettingsFile, loaders: Mapping[str, Callable[[], click.Command]]
) -> dict[str, Any]:
    """Return the settings that apply to `command`, by parameter name.

    Args:
        command: the command that was called.
        settings: the settings file.
        loaders: functions that import a command, by the command's name.

    Raises:
        UnknownNameError: a key is neither an option of the commands it applies to nor a command.
        UsageError: there is a value instead of a table, or a value is not valid for its option or not accepted from
            an untrusted file.
    """
    options, name = _options_by_setting(command), settings.path.name
    table = settings.values.get(command.name or "", {})
    if not isinstance(table, dict):
        if command.name not in _all_settings(loaders):
            raise UsageError(f"{name}: {command.name} must be a table of settings")
        table = {}  # `asr` is an option as well as a command
    _reject_live([*settings.values.items(), *table.items()], settings.path)
    found: dict[str, Any] = {}
    for key, value in settings.values.items():
        if isinstance(value, dict):
            if key not in loaders:
                raise UnknownNameError(f"command in {name}", key, loaders)
        elif key in options:
            found[str(options[key].name)] = _read_setting(key, options[key], value, settings, f"{name}: {key}")
        elif key not in (known := _all_settings(loaders)):
            raise UnknownNameError(f"setting in {name}", key, known - {LIVE_FLAG})
    for key, value in table.items():
        if key not in options:
            raise UnknownNameError(f"setting [{command.name}] in {name}", key, options.keys() - {LIVE_FLAG})
        where = f"{name}: [{command.name}] {key}"
        found[str(options[key].name)] = _read_setting(key, options[key], value, settings, where)
    return found


def _read_setting(setting: str, option: click.Option, value: Any, settings: SettingsFile, where: str) -> Any:
    values = _to_flag_values(option, value, where)
    if not settings.is_trusted and value is not False:
        check_untrusted_setting(setting, option, values if option.multiple else [values], settings.path)
    return values


def _reject_live(items: Iterable[tuple[str, Any]], file: Path) -> None:
    for key, value in items:
        if key == LIVE_FLAG and value is not False and not isinstance(value, dict):
            raise UsageError(
                f"{file.name}: {key} cannot be set in a file, because it costs money: write --{key} on the command line"
            )


def _to_flag_values(option: click.Option, value: Any, where: str) -> Any:
    """Convert a value to what the same flags on the command line would give.

    The result is a list if the option may be repeated; a table becomes a list of NAME=VALUE.
    """
    if option.multiple and isinstance(value, dict):
        value = [f"{name}={inner}" for name, inner in value.items()]
    values = value if option.multiple and isinstance(value, list) else [value]
    if not all(_is_valid(option, one) for one in values):
        a_list = ", or a list of them" if option.multiple else ""
        raise UsageError(f"{where} must be {'true or false' if option.is_flag else f'a string or a number{a_list}'}")
    return values if option.multiple else value


def _is_valid(option: click.Option, value: Any) -> bool:
    if option.is_flag or isinstance(value, bool):
        return option.is_flag and isinstance(value, bool)
    return isinstance(value, str | int | float)


def _all_settings(loaders: Mapping[str, Callable[[], click.Command]]) -> set[str]:
    """Return the names of all options of all commands; this imports every command."""
    return {flag for make in loaders.values() for flag in _options_by_setting(make())}


def _options_by_setting(command: click.Command) -> dict[str, click.Option]:
    return {_setting_name(option): option for option in command.params if isinstance(option, click.Option)}


def _setting_name(option: click.Option) -> str:
    """Return the name of an option in the settings file: its long flag without the leading dashes."""
    return max(option.opts, key=len).lstrip("-")

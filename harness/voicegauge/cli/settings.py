"""Settings from a file: `voicegauge.toml`, or `[tool.voicegauge]` of `pyproject.toml`.

A key at the top holds for every command that has such an option; a table named
like a command holds for that one; a table inside it, for an option that takes pairs.
Flags win over the environment, which wins over the file.

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
from typing import Any

import click

from voicegauge.errors import UnknownNameError, UsageError

PAYING = "live"
"""The flag that no file may set: nothing is paid that the command line does not say."""


def read_settings(folder: Path) -> tuple[dict[str, Any], Path | None]:
    """The settings of `folder` and the file they stand in; empty where there is none.

    Raises:
        UsageError: the file is no TOML, or both files hold settings.
    """
    own, shared = folder / "voicegauge.toml", folder / "pyproject.toml"
    found = _read_toml(own)
    tool = (_read_toml(shared) or {}).get("tool", {}).get("voicegauge")
    if found is not None and tool is not None:
        raise UsageError(f"{own.name} and [tool.voicegauge] of {shared.name} both hold settings: keep one")
    if found is not None:
        return found, own
    return (tool, shared) if tool is not None else ({}, None)


def _read_toml(path: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: {error}") from error


def defaults_for(
    command: click.Command, settings: Mapping[str, Any], load: Mapping[str, Callable[[], click.Command]], file: Path
) -> dict[str, Any]:
    """The settings that hold for `command`, by parameter name.

    Args:
        command: whose options may be set.
        settings: what the file says.
        load: every command by name, not yet imported.
        file: where the settings stand, for messages.

    Raises:
        UnknownNameError: a key is no option of any command it holds for, or no command.
        UsageError: a value where a table belongs.
    """
    options = _options(command)
    table = settings.get(command.name or "", {})
    if not isinstance(table, dict):
        raise UsageError(f"{file.name}: {command.name} must be a table of settings")
    found: dict[str, Any] = {}
    for key, value in [*settings.items(), *table.items()]:
        if key == PAYING and value is not False and not isinstance(value, dict):
            raise UsageError(f"{file.name}: {key} is no setting, it costs money: write --{key} on the command line")
    for key, value in settings.items():
        if isinstance(value, dict):
            if key not in load:
                raise UnknownNameError(f"command in {file.name}", key, load)
        elif key in options:
            found[str(options[key].name)] = _as_flags(value)
        else:
            _check_known_elsewhere(key, load, file)
    for key, value in table.items():
        if key not in options:
            raise UnknownNameError(f"setting [{command.name}] in {file.name}", key, options)
        found[str(options[key].name)] = _as_flags(value)
    return found


def _as_flags(value: Any) -> Any:
    """What a flag would say: the pairs of a table as NAME=VALUE."""
    return [f"{name}={inner}" for name, inner in value.items()] if isinstance(value, dict) else value


def _check_known_elsewhere(key: str, load: Mapping[str, Callable[[], click.Command]], file: Path) -> None:
    known = {flag for make in load.values() for flag in _options(make())}
    if key not in known:
        raise UnknownNameError(f"setting in {file.name}", key, known)


def _options(command: click.Command) -> dict[str, click.Option]:
    return {_flag(option): option for option in command.params if isinstance(option, click.Option)}


def _flag(option: click.Option) -> str:
    """The option as it is written in the file: its long flag without dashes in front."""
    return max(option.opts, key=len).lstrip("-")

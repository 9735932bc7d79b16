"""Decides which options a settings file may set that was found in the current folder, not named by the user.

Such a file may belong to somebody else: CI checks the files of a pull request. It must not decide where a key is sent,
what a run may cost, whose code runs, or which files outside of the folder are read or written. A file that the user
names with `voicegauge --settings FILE` or in VOICEGAUGE_SETTINGS is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

UNTRUSTED_REASON_BY_SETTING: Mapping[str, str] = {
    "against-contract": "a contract decides which key is sent where",
    "against-url": "it decides where your key is sent",
    "allow-insecure-http": "it sends your key unencrypted",
    "base-url": "it decides where your key is sent",
    "contracts": "a contract decides which key is sent where",
    "credit-rate": "a rate that is too low exceeds your budget",
    "dask": "the cluster runs code in this process",
    "from": "it decides which file or URL is read",
    "key-env": "it decides which secret is sent",
    "open": "it starts another program",
    "price": "a price that is too low exceeds your budget",
    "public-url": "it decides where webhooks are sent",
    "retry-ambiguous": "it pays again",
    "upstream": "it decides where your key is sent",
    "webhook-host": "it decides where webhooks are sent",
    "yes": "it overwrites files",
}
"""Options that only a trusted file may set, each with the reason."""
SETTINGS_LIMITED_TO_DEFAULT = frozenset({"max-cost"})
"""Numeric options that an untrusted file may set to at most their default."""
PATH_SETTINGS_LIMITED_TO_FOLDER = frozenset({"failures", "suite", "uses", "voice-sample"})
"""Options of type text whose value may be a path. An untrusted file may name only paths in its own folder."""


def find_untrusted_reason(setting: str, option: click.Option, values: Sequence[Any], file: Path) -> str | None:
    """Return why an untrusted settings file must not give these values to an option; `None` if it may.

    Args:
        setting: name of the option in the file.
        option: the option.
        values: the values as on the command line, one for each use of the option.
        file: the settings file.
    """
    reason = UNTRUSTED_REASON_BY_SETTING.get(setting)
    if (
        reason is None
        and setting in SETTINGS_LIMITED_TO_DEFAULT
        and any(_exceeds_limit(value, option.default) for value in values)
    ):
        reason = f"it raises the limit of {option.default:g}"
    if reason is None and setting == "asr" and any(":" in str(value) for value in values):
        reason = "it may name a file with the weights of a model"
    if reason is None and (isinstance(option.type, click.Path) or setting in PATH_SETTINGS_LIMITED_TO_FOLDER):
        folder = file.parent.resolve()
        outside = (value for value in values if value != "-" and not _is_path_inside(folder, str(value)))
        reason = next((f"{value!r} is outside of this folder" for value in outside), None)
    return reason


def describe_untrusted_settings(reasons: Mapping[str, str], file: Path) -> str:
    """Describe in one line which settings of `file` are not accepted, why, and what to do.

    Args:
        reasons: the reasons by setting.
        file: the settings file, which was found in the current folder.
    """
    listed = ", ".join(f"{setting} ({reason})" for setting, reason in reasons.items())
    flags = ", ".join(f"--{setting}" for setting in reasons)
    return (
        f"not read from a file that was found in the current folder: {listed}: "
        f"pass {flags}, or trust the file with `voicegauge --settings {file.name}`"
    )


def _exceeds_limit(value: Any, limit: Any) -> bool:
    try:
        return not float(value) <= limit  # rejects nan too
    except ValueError:
        return True


def _is_path_inside(folder: Path, path: str) -> bool:
    try:
        return (folder / path).resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):  # a cycle of links, or a NUL character
        return False

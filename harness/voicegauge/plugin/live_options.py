"""Makes sure that `--vg-live` and what it may cost come from the user, and says where keys go before tests start."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from voicegauge.contract import Catalogue

_OPTIONS_FORBIDDEN_IN_INI_FILE = (
    "--vg-live",
    "--vg-allow-insecure-http",
    "--vg-max-cost",
    "--vg-price",
    "--vg-contracts",
)
"""Options of live tests that pytest must not take from an ini file, which may be part of a stranger's repository."""


def check_live_options(config: pytest.Config) -> None:
    """Reject options about keys and money that come from an ini file instead of the user.

    The user's options are those of the command line and of the environment variable PYTEST_ADDOPTS.

    Raises:
        pytest.UsageError: an option of live tests comes from an ini file.
    """
    if not config.getoption("--vg-live") or hasattr(config, "workerinput"):  # workers get the checked options
        return
    typed = _parse_user_options(config)
    for option in _OPTIONS_FORBIDDEN_IN_INI_FILE:
        name = option.removeprefix("--").replace("-", "_")
        if config.getoption(option) != getattr(typed, name):
            raise pytest.UsageError(
                f"{option} is set in {config.inipath or 'a file'}, which may not decide about keys and money: "
                "write it on the command line or in PYTEST_ADDOPTS"
            )


def _parse_user_options(config: pytest.Config) -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, fromfile_prefix_chars="@")
    parser.add_argument("--vg-live", action="store_true")
    parser.add_argument("--vg-allow-insecure-http", action="store_true")
    parser.add_argument("--vg-max-cost", type=float, default=1.0)
    parser.add_argument("--vg-price", action="append", default=[])
    parser.add_argument("--vg-contracts", action="append", default=[])
    arguments = map(str, config.invocation_params.args)
    return parser.parse_known_args([*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *arguments])[0]


def describe_live_access(config: pytest.Config, catalogue: Catalogue) -> Iterator[str]:
    """Yield lines about live access: the ini file in use, and for each key that is set, its variable and servers."""
    from voicegauge.client import find_key_destinations

    if config.inipath is not None:
        yield f"LIVE: options are read from {config.inipath} too"
    for contract in catalogue:
        destinations = find_key_destinations(contract, {})
        if destinations.is_key_set:
            yield f"LIVE: {destinations.describe()}"

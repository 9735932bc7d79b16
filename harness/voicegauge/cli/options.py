"""Options that several commands share, so that each is spelled and read in one way."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from voicegauge.contract import Catalogue, Contract, Target, load_catalogue, read_price
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.files import check_writable

F = TypeVar("F", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """A range of numbers proper: `nan` and `inf`, which no comparison stops, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """`value` as a number of the range."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number to reckon with.", param, ctx)
        return number


class OutputFile(click.Path):
    """A file to write: one that cannot be written is refused before any work, and any payment, is done for it."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """`value` as the path of a file that can be made; "-" as it is."""
        if value != "-":
            _refuse_unwritable(self, Path(value), param, ctx)
        return super().convert(value, param, ctx)


class OutputFolder(click.Path):
    """A folder to write to, made where there is none: refused as `OutputFile` is."""

    def __init__(self) -> None:
        """It comes as a `Path`."""
        super().__init__(file_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """`value` as the path of a folder that files can be written to."""
        _refuse_unwritable(self, Path(value) / "...", param, ctx)
        return super().convert(value, param, ctx)


def _refuse_unwritable(kind: click.Path, file: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
    try:
        check_writable(file)
    except UsageError as error:
        kind.fail(str(error), param, ctx)


def refuse_same_file(**files: str | Path | None) -> None:
    """Refuse two outputs to one file, of which only the later would be left.

    Args:
        files: what is written, by the option's name; "-" and `None` are no files.

    Raises:
        UsageError: two are the same file.
    """
    named: dict[Path, str] = {}
    for option, file in files.items():
        if file is not None and str(file) != "-":
            other = named.setdefault(Path(file).resolve(), option)
            if other != option:
                flags = f"--{other} and --{option}".replace("_", "-")
                raise UsageError(f"{flags} name the same file: give each one of its own")


def contracts_option(command: F) -> F:
    """`--contracts DIR`: folders of the user's own contracts, passed as `contracts`."""
    return click.option(
        "--contracts",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        envvar="VOICEGAUGE_CONTRACTS",
        show_envvar=True,
        metavar="DIR",
        help="A folder of contracts of your own; wins over bundled ones. May be repeated.",
    )(command)


def json_option(command: F) -> F:
    """`--json FILE`: passed as `json_to`, "-" for standard output."""
    return click.option(
        "--json",
        "json_to",
        type=OutputFile(),
        metavar="FILE",
        help="Write the result as JSON to FILE; - for standard output.",
    )(command)


def public_url_option(command: F) -> F:
    """`--public-url URL`: passed as `public_url`."""
    return click.option(
        "--public-url",
        metavar="URL",
        help="Where a tunnel leads from to the receiver of webhooks on this machine; with https.",
    )(command)


def seed_option(command: F) -> F:
    """`--seed N`: passed as `seed`."""
    return click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        default=0,
        show_default=True,
        envvar="VOICEGAUGE_SEED",
        show_envvar=True,
        help="Makes everything random repeatable.",
    )(command)


def base_url_option(
    command: F, *, help: str = "Send to URL instead: staging, a proxy, a server of your own. May be repeated."
) -> F:
    """`--base-url [SERVER=]URL`: passed as `base_url`, URLs by server name, "" for all servers."""
    return click.option("--base-url", multiple=True, callback=_read_base_urls, metavar="[SERVER=]URL", help=help)(
        command
    )


def _read_base_urls(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        head, mark, tail = value.partition("=")
        server, url = (head, tail) if mark and "/" not in head else ("", value)
        if not _is_base_url(url):
            # The value is not repeated: there may be a password in it.
            raise click.BadParameter(
                "write [SERVER=]http://HOST[:PORT][/PATH], or the same with https, without user, query or fragment"
            )
        found[server] = url.rstrip("/")
    return found


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        return False
    extra = "@" in parts.netloc or parts.query or parts.fragment or any(sign.isspace() for sign in url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not extra


def max_cost_option(command: F) -> F:
    """`--max-cost USD`: passed as `max_cost`."""
    return click.option(
        "--max-cost",
        type=FiniteRange(min=0),
        default=1.0,
        show_default=True,
        envvar="VOICEGAUGE_MAX_COST",
        show_envvar=True,
        metavar="USD",
        help="With --live: stop before spending more than this.",
    )(command)


def plan_option(command: F) -> F:
    """`--plan NAME`: passed as `plans`, names of plans of the user's accounts."""
    return click.option(
        "--plan",
        "plans",
        multiple=True,
        metavar="NAME",
        help="With --live: your account's plan, whose requests a minute are kept to; the smallest by default. "
        "May be repeated.",
    )(command)


def asr_option(command: F) -> F:
    """`--asr SPEC`: what transcribes, passed as `asr`."""
    return click.option(
        "--asr",
        default="auto",
        show_default=True,
        envvar="VOICEGAUGE_ASR",
        show_envvar=True,
        metavar="SPEC",
        help="What transcribes: auto, whisper[:MODEL|FILE], faster-whisper[:MODEL|FOLDER], embedded or none.",
    )(command)


def price_option(command: F) -> F:
    """`--price TARGET=USD`: passed as `prices`, dollars a request by target id."""
    return click.option(
        "--price",
        "prices",
        multiple=True,
        callback=_read_prices,
        metavar="TARGET=USD",
        help="Dollars a request, where no document says or the documents disagree. May be repeated.",
    )(command)


def _read_prices(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, float]:
    try:
        return dict(map(read_price, values))
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


def load_targets(
    names: Sequence[str], contracts: Sequence[Path], base_urls: dict[str, str], prices: Collection[str]
) -> tuple[Catalogue, list[Target]]:
    """The catalogue and the targets that `names` mean.

    Raises:
        UnknownNameError: a name is no provider and no target, or one in `prices` nothing that has a price.
        UsageError: `base_urls` would send several providers, or none of its servers, to one place.
    """
    catalogue = load_catalogue(contracts)
    targets = catalogue.select(names)
    check_prices(catalogue, prices)
    providers = {target.contract.id: target.contract for target in targets}
    if base_urls:
        check_base_urls(base_urls, list(providers.values()))
    return catalogue, targets


def check_prices(catalogue: Catalogue, names: Collection[str]) -> None:
    """Refuse a `--price` of what has none: misspelled, it would leave the documented price in force unseen.

    Raises:
        UnknownNameError: a name is no target and no operation.
    """
    operations = (f"{contract.id}/{name}" for contract in catalogue for name in contract.operations)
    known = {*catalogue.targets, *catalogue.intakes, *operations}
    for name in names:
        if name not in known:
            raise UnknownNameError("target", name, known)


def check_base_urls(base_urls: dict[str, str], contracts: Sequence[Contract]) -> None:
    """Refuse `--base-url` for several providers at once, or for a server the contract does not name."""
    if len(contracts) != 1:
        names = ", ".join(contract.id for contract in contracts)
        raise UsageError(f"--base-url goes with the targets of one provider; these are of {names}: name one")
    known = {"", *contracts[0].servers}
    for server in base_urls:
        if server not in known:
            servers = ", ".join(contracts[0].servers)
            raise UsageError(f"--base-url: {contracts[0].id} has no server {server!r}; it has {servers}")

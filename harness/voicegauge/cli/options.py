"""Option types and options that several commands share."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from voicegauge.cli.settings import SETTINGS_FILE_CONTEXT_KEY
from voicegauge.errors import UsageError
from voicegauge.files import check_writable

if TYPE_CHECKING:
    from voicegauge.api import LiveOptions

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


_MULTIPLIER_BY_SUFFIX = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


class FiniteRange(click.FloatRange):
    """A range of finite numbers. Unlike `click.FloatRange`, it always rejects `nan` and `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return `value` as a number in the range."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class CharacterCountType(click.ParamType[int]):
    """A number of characters, also written with a multiplier: "2M", "500k", "1,500,000"."""

    name = "number"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return `value` as a whole number of at least 1 and at most `MAX_CHARACTERS_PER_MONTH`."""
        from voicegauge.bench.analysis import MAX_CHARACTERS_PER_MONTH

        found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMbB]?)", str(value).replace(",", "").replace("_", ""))
        number = 0.0 if found is None else float(found[1]) * _MULTIPLIER_BY_SUFFIX[found[2].lower()]
        if number > MAX_CHARACTERS_PER_MONTH:
            self.fail(f"{str(value)!r} is more than {MAX_CHARACTERS_PER_MONTH:,} characters.", param, ctx)
        if number < 1 or number != int(number):
            self.fail(f"{str(value)!r} is not a number of characters, such as 2M, 500k or 1500000.", param, ctx)
        return int(number)


class OutputFile(click.Path):
    """A file to write; missing folders are created. A file that cannot be written is rejected before any work."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return `value` as the path of a file that can be written; "-" is returned unchanged."""
        if value != "-":
            _reject_unwritable_file(self, Path(value), param, ctx)
        return super().convert(value, param, ctx)


class OutputFolder(click.Path):
    """A folder to write to, as a `Path`. It is created if missing. If it cannot be written to, it is rejected early."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return `value` as the path of a folder that files can be written to."""
        _reject_unwritable_file(self, Path(value) / "...", param, ctx)
        return super().convert(value, param, ctx)


def _reject_unwritable_file(
    path_type: click.Path, file: Path, param: click.Parameter | None, ctx: click.Context | None
) -> None:
    try:
        check_writable(file)
    except UsageError as error:
        path_type.fail(str(error), param, ctx)


def reject_outputs_to_same_file(**files: str | Path | None) -> None:
    """Reject two outputs to the same file, because the later one would overwrite the earlier one.

    Args:
        files: output files by option name; "-" and `None` are ignored.

    Raises:
        UsageError: two of the files are the same.
    """
    named: dict[Path, str] = {}
    for option, file in files.items():
        if file is not None and str(file) != "-":
            other = named.setdefault(Path(file).resolve(), option)
            if other != option:
                flags = f"--{other} and --{option}".replace("_", "-")
                raise UsageError(f"{flags} name the same file: choose two files")


def require_flags(ctx: click.Context, options: Iterable[str], *required_flags: str) -> None:
    """Reject options that have no effect without one of `required_flags`.

    Args:
        ctx: context of the command.
        options: parameter names of the options.
        required_flags: parameter names of the flags, at least one of which must be given.

    Raises:
        UsageError: one of `options` is given, and none of `required_flags`.
    """
    if any(ctx.params[flag] for flag in required_flags):
        return
    spelled = {option.name: option.opts[0] for option in ctx.command.params}
    for name in options:
        if ctx.params[name]:
            raise UsageError(f"{spelled[name]} goes with {' or '.join(spelled[flag] for flag in required_flags)}")


def build_live_options(
    *,
    live: bool,
    max_cost_usd: float,
    base_urls: dict[str, str],
    account_plans: Sequence[str],
    allow_insecure_http: bool,
    credit_prices_usd: Mapping[str, float] | None = None,
    models: Sequence[str] = (),
    voices: Sequence[str] = (),
) -> LiveOptions | None:
    """Return the options of a live run, and print which settings file was read; `None` if `--live` is not given."""
    if not live:
        return None
    from voicegauge.api import LiveOptions
    from voicegauge.cli.console import create_console

    settings = click.get_current_context().meta.get(SETTINGS_FILE_CONTEXT_KEY)
    if settings is not None:
        create_console(to_stderr=True).print(f"LIVE: settings are read from {settings.path}", soft_wrap=True)
    return LiveOptions(
        max_cost_usd=max_cost_usd,
        base_urls=base_urls,
        account_plans=account_plans,
        credit_prices_usd=credit_prices_usd or {},
        allow_insecure_http=allow_insecure_http,
        own_server_models=models,
        own_server_voices=voices,
    )


def add_server_name_options(command: CommandT) -> CommandT:
    """Add `--model NAME` and `--voice NAME` of a server of the user's own, passed as `models` and `voices`."""
    model = click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME",
        help="With --live and your own server: a model to use instead of those that it lists. May be repeated.",
    )
    voice = click.option(
        "--voice",
        "voices",
        multiple=True,
        metavar="NAME",
        help="With --live and your own server: a voice to use instead of those that it lists. May be repeated.",
    )
    return model(voice(command))


def add_contracts_option(command: CommandT) -> CommandT:
    """Add `--contracts DIR`, a folder of the user's own contracts."""
    return click.option(
        "--contracts",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        envvar="VOICEGAUGE_CONTRACTS",
        show_envvar=True,
        metavar="DIR",
        help="Folder of your own contracts; they replace bundled ones of the same provider. May be repeated.",
    )(command)


def add_json_option(command: CommandT) -> CommandT:
    """Add `--json FILE`, which is passed to the command as `json_path`; "-" means standard output."""
    return click.option(
        "--json",
        "json_path",
        type=OutputFile(),
        metavar="FILE",
        help="Write the result as JSON to FILE; - for standard output.",
    )(command)


def add_public_url_option(command: CommandT) -> CommandT:
    """Add `--public-url URL`."""
    return click.option(
        "--public-url",
        metavar="URL",
        help="https URL of a tunnel to the webhook receiver on this machine.",
    )(command)


def add_seed_option(command: CommandT) -> CommandT:
    """Add `--seed N`."""
    return click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        default=0,
        show_default=True,
        envvar="VOICEGAUGE_SEED",
        show_envvar=True,
        help="Seed for everything random.",
    )(command)


def add_base_url_option(
    command: CommandT,
    *,
    help_text: str = "Send to URL instead: a staging server, a proxy, your own server. May be repeated.",
) -> CommandT:
    """Add `--base-url [SERVER=]URL`, passed to the command as `base_urls`.

    The argument `base_urls` holds URLs by server name; the name "" applies to all servers.
    """
    return click.option(
        "--base-url", "base_urls", multiple=True, callback=_read_base_urls, metavar="[SERVER=]URL", help=help_text
    )(command)


def _read_base_urls(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        head, mark, tail = value.partition("=")
        server, url = (head, tail) if mark and "/" not in head else ("", value)
        found[server] = _check_base_url(url, "[SERVER=]http://HOST[:PORT][/PATH]")
    return found


def _check_base_url(url: str, option_usage: str) -> str:
    """Return a base URL without a slash at its end; `option_usage` is how the option is written, for the message."""
    if "://" not in url:
        raise click.BadParameter(f"the URL has no http:// or https:// in front: write {option_usage}")
    if not is_base_url(url):
        # The message does not repeat the value, because it may contain a password.
        raise click.BadParameter(f"write {option_usage}, or the same with https, without user, query or fragment")
    return url.rstrip("/")


def add_baseline_options(command: CommandT) -> CommandT:
    """Add `--against TARGET`, `--against-url URL` and `--against-contract FILE`."""
    target = click.option(
        "--against",
        "baseline_target",
        metavar="TARGET",
        help="Compare with this target, which is measured in the same run.",
    )
    url = click.option(
        "--against-url",
        "baseline_url",
        callback=_read_against_url,
        metavar="URL",
        help="With --live: compare the target with itself at another base URL, in the same run. It gets the key too.",
    )
    contract = click.option(
        "--against-contract",
        "baseline_contract",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Compare the target with itself as another version of its contract describes it, in the same run.",
    )
    return target(url(contract(command)))


def _read_against_url(_ctx: click.Context, _param: click.Parameter, url: str | None) -> str | None:
    return None if url is None else _check_base_url(url, "http://HOST[:PORT][/PATH]")


def is_base_url(url: str) -> bool:
    """Whether `url` is an http or https URL without user, query or fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a port number
    except ValueError:
        return False
    extra = "@" in parts.netloc or parts.query or parts.fragment or any(sign.isspace() for sign in url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not extra


def add_insecure_http_option(command: CommandT) -> CommandT:
    """Add `--allow-insecure-http`."""
    return click.option(
        "--allow-insecure-http",
        is_flag=True,
        help="With --live: send the key to another machine over http too, where everyone on the way can read it.",
    )(command)


def add_mask_option(command: CommandT) -> CommandT:
    """Add `--mask NAME`."""
    return click.option(
        "--mask",
        "names_to_mask",
        multiple=True,
        metavar="NAME",
        help="Mask the field, parameter or header NAME. May be repeated.",
    )(command)


def add_max_cost_option(command: CommandT) -> CommandT:
    """Add `--max-cost USD`."""
    return click.option(
        "--max-cost",
        "max_cost_usd",
        type=FiniteRange(min=0),
        default=1.0,
        show_default=True,
        envvar="VOICEGAUGE_MAX_COST",
        show_envvar=True,
        metavar="USD",
        help="With --live: budget; stop before spending more.",
    )(command)


def add_max_wait_option(command: CommandT) -> CommandT:
    """Add `--max-wait SECONDS`."""
    return click.option(
        "--max-wait",
        "max_wait_s",
        type=FiniteRange(min=0, min_open=True),
        envvar="VOICEGAUGE_MAX_WAIT",
        show_envvar=True,
        metavar="SECONDS",
        help="Give up on a request and its job after SECONDS. Default: as long as the contract documents.",
    )(command)


def add_account_plan_option(command: CommandT) -> CommandT:
    """Add `--plan NAME`, which is passed to the command as `account_plans`."""
    return click.option(
        "--plan",
        "account_plans",
        multiple=True,
        metavar="NAME",
        help="With --live: account plan, for rate limit and prices. Default: lowest limit, highest price. Repeatable.",
    )(command)


def add_asr_option(command: CommandT) -> CommandT:
    """Add `--asr SPEC`."""
    return click.option(
        "--asr",
        default="auto",
        show_default=True,
        envvar="VOICEGAUGE_ASR",
        show_envvar=True,
        metavar="SPEC",
        help="ASR engine: auto, whisper[:MODEL|FILE], faster-whisper[:MODEL|FOLDER], embedded or none.",
    )(command)


def add_price_option(command: CommandT) -> CommandT:
    """Add `--price NAME=USD`, passed to the command as `prices`.

    The argument `prices` holds dollars per request by provider, target or operation.
    """
    return click.option(
        "--price",
        "prices",
        multiple=True,
        callback=_read_prices,
        metavar="NAME=USD",
        help="Dollars per request. For a PROVIDER: where no price in dollars is documented, or 0 for your own server; "
        "for a TARGET or operation: also instead of the documented price. May be repeated.",
    )(command)


def add_change_threshold_options(
    *, alpha_help: str, ignored_slowdowns_text: str, ignored_error_rates_text: str
) -> Callable[[CommandT], CommandT]:
    """Return a decorator that adds `--alpha`, `--min-slowdown` and `--min-wer`, which decide which changes count.

    Args:
        alpha_help: help of `--alpha`: which false alarm has this probability.
        ignored_slowdowns_text: what `--min-slowdown` ignores, in the plural.
        ignored_error_rates_text: what `--min-wer` ignores, in the plural.
    """

    def add_options(command: CommandT) -> CommandT:
        for option in (
            click.option(
                "--min-wer",
                "min_error_rate_change",
                type=FiniteRange(min=0),
                default=0.02,
                show_default=True,
                help=f"Ignore {ignored_error_rates_text} smaller than this; 0.02 is two percentage points.",
            ),
            click.option(
                "--min-slowdown",
                type=FiniteRange(min=0),
                default=0.05,
                show_default=True,
                help=f"Ignore {ignored_slowdowns_text} smaller than this fraction, even if statistically significant.",
            ),
            click.option(
                "--alpha",
                type=FiniteRange(0, 1, min_open=True, max_open=True),
                default=0.01,
                show_default=True,
                help=alpha_help,
            ),
        ):
            option(command)
        return command

    return add_options


def add_credit_rate_option(command: CommandT) -> CommandT:
    """Add `--credit-rate PROVIDER=USD`, passed to the command as `credit_prices_usd`, by provider."""
    return click.option(
        "--credit-rate",
        "credit_prices_usd",
        multiple=True,
        callback=_read_prices,
        metavar="PROVIDER=USD",
        help="What one credit of PROVIDER costs you in dollars, instead of the documented price. May be repeated.",
    )(command)


def _read_prices(_ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, float]:
    """Return the values of `--price NAME=USD` or `--credit-rate PROVIDER=USD`: dollars by name."""
    if not values:
        return {}
    from voicegauge.contract import parse_credit_price, parse_price_override

    try:
        return dict(map(parse_price_override if param.name == "prices" else parse_credit_price, values))
    except UsageError as error:
        raise click.BadParameter(str(error)) from error

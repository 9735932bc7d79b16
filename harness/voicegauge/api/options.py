"""Declares the options that several requests share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicegauge.errors import UsageError
from voicegauge.hosts import to_http_url
from voicegauge.options import Completion, PathKind, Trust, keyword, option, option_group, request

if TYPE_CHECKING:
    from voicegauge.client.ledger import Ledger
    from voicegauge.contract.contract import Contract
    from voicegauge.model.base import Severity


# Reads values of options.


def is_base_url(url: str) -> bool:
    """Whether `url` is an http, https, ws or wss URL without user, query or fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a port number
    except ValueError:
        return False
    extra = "@" in parts.netloc or parts.query or parts.fragment or any(sign.isspace() for sign in url)
    return parts.scheme in {"http", "https", "ws", "wss"} and bool(parts.hostname) and not extra


def parse_server_url(text: str) -> tuple[str, str]:
    """Read "[NAME=]URL": the name of a server or provider, "" for all servers, and a base URL.

    NAME is "SERVER", "PROVIDER" or "PROVIDER/SERVER". The URL has no slash at its end.
    """
    head, mark, tail = text.partition("=")
    name, url = (head, tail) if mark and "://" not in head else ("", text)
    return name, _parse_base_url(url, "[NAME=]http://HOST[:PORT][/PATH]")


def parse_base_url(text: str) -> str:
    """Read a base URL; the result has no slash at its end."""
    return _parse_base_url(text, "http://HOST[:PORT][/PATH]")


def _parse_base_url(url: str, usage: str) -> str:
    if "://" not in url:
        raise UsageError(f"the URL has no http://, https://, ws:// or wss:// in front: write {usage}")
    if not is_base_url(url):
        # The message does not repeat the value, because it may contain a password.
        raise UsageError(f"write {usage}, or the same with https, ws or wss, without user, query or fragment")
    return to_http_url(url.rstrip("/"))


def _parse_provider_budget(text: str) -> tuple[str, float]:
    """Read a budget: "PROVIDER=USD", or "USD" for all providers together, which has the name ""."""
    provider, mark, amount = text.rpartition("=")
    try:
        usd = float(amount)
    except ValueError:
        usd = math.nan
    if not math.isfinite(usd) or usd < 0 or (mark and not provider):
        raise UsageError(f"{text!r} is not a budget: write USD or PROVIDER=USD, with a number of at least 0")
    return provider, usd


# The functions below import what they need when a value is read: `--help` does not wait for contracts and rules.
def _parse_target_price(text: str) -> tuple[str, float]:
    from voicegauge.contract.price_computation import parse_price_override

    return parse_price_override(text)


def _parse_provider_credit_price(text: str) -> tuple[str, float]:
    from voicegauge.contract.price_computation import parse_credit_price

    return parse_credit_price(text)


def _parse_allowed_key(text: str) -> str:
    from voicegauge.client.connection import parse_allowed_key

    return parse_allowed_key(text)


def parse_severity(text: str) -> tuple[str, Severity]:
    """Read the severity that the user gives a rule: "RULE=SEVERITY"."""
    from voicegauge.rules.registry import read_severity

    rule, _, severity = text.partition("=")
    return rule, read_severity(rule, severity)


def parse_region(text: str) -> str:
    """Read the name of the region from which a run is measured, and return it unchanged."""
    from voicegauge.bench.run_start import check_region

    check_region(text)
    return text


# Options that several requests have.


def contracts_option() -> Any:
    """Return the declaration of `contracts`: folders and files of the user's own contracts."""
    return option(
        default=(),
        help="Folders or files of your own contracts; they replace bundled ones of the same provider.",
        metavar="DIR",
        value_type=Sequence[Path],
        path=PathKind.EXISTING,
        environment_variable="VOICEGAUGE_CONTRACTS",
        refusal_reason="a contract decides which key is sent where",
    )


def seed_option() -> Any:
    """Return the declaration of `seed`, the seed of everything random."""
    return option(
        default=0,
        help="Seed for everything random.",
        minimum=0,
        maximum=2**32 - 1,
        environment_variable="VOICEGAUGE_SEED",
        found_file=Trust.ANY_VALUE,
    )


def max_wait_option() -> Any:
    """Return the declaration of `max_wait_s`: after how many seconds a request and its job are given up."""
    return option(
        default=None,
        flag="--max-wait",
        help="Give up on a request and its job, or on a WebSocket's handshake or turn, after SECONDS.",
        default_text="as long as the contract documents",
        metavar="SECONDS",
        minimum=0,
        excludes_bounds=True,
        environment_variable="VOICEGAUGE_MAX_WAIT",
        found_file=Trust.ANY_VALUE,
    )


def max_time_option(help_text: str = "Stop after SECONDS, with the result so far and exit status 5.") -> Any:
    """Return the declaration of `max_time_s`: how many seconds a command may take.

    Args:
        help_text: what happens after that, for the help of the command.
    """
    return option(
        default=None,
        flag="--max-time",
        help=help_text,
        default_text="as long as it takes",
        metavar="SECONDS",
        minimum=0,
        excludes_bounds=True,
        environment_variable="VOICEGAUGE_MAX_TIME",
        found_file=Trust.ANY_VALUE,
    )


def prices_option(*, requires: tuple[str, ...] = ()) -> Any:
    """Return the declaration of `prices`, the user's own prices in dollars per request.

    Args:
        requires: fields of the request of which at least one must be given, or the prices have no effect.
    """
    return option(
        default_factory=dict,
        flag="--price",
        help="Dollars per request. For a PROVIDER: where no price in dollars is documented, or 0 for your own server; "
        "for a TARGET or operation: also instead of the documented price.",
        metavar="NAME=USD",
        parse=_parse_target_price,
        requires=requires,
        refusal_reason="a price that is too low exceeds your budget",
    )


def credit_prices_option() -> Any:
    """Return the declaration of `credit_prices_usd`: what a credit costs the user in dollars, by provider."""
    return option(
        default_factory=dict,
        flag="--credit-rate",
        help="What one credit of PROVIDER costs you in dollars, instead of the documented price.",
        metavar="PROVIDER=USD",
        parse=_parse_provider_credit_price,
        refusal_reason="a rate that is too low exceeds your budget",
    )


def base_urls_option(help_text: str) -> Any:
    """Return the declaration of `base_urls`: URLs by the name of a server or provider; "" stands for all servers.

    Args:
        help_text: what the command does with the URLs, for its help.
    """
    return option(
        default_factory=dict,
        flag="--base-url",
        help=help_text,
        metavar="[NAME=]URL",
        parse=parse_server_url,
        refusal_reason="it decides where your key is sent",
    )


def allowed_keys_option() -> Any:
    """Return the declaration of `allowed_keys`: which variable's key the user's contracts may send to which host."""
    return option(
        default=(),
        flag="--allow-key",
        help="Let a contract of your own send the key in VARIABLE to HOST. What bundled contracts do is allowed.",
        metavar="VARIABLE=HOST",
        parse=_parse_allowed_key,
        environment_variable="VOICEGAUGE_ALLOW_KEYS",
        refusal_reason="it decides where your key is sent",
    )


def faults_option(*, requires: tuple[str, ...] = (), excludes: tuple[str, ...] = ()) -> Any:
    """Return the declaration of `faults`: ids of the faults that are injected into the emulator.

    Args:
        requires: fields of the request of which at least one must be given, or the faults have no effect.
        excludes: fields that cannot be given together with faults.
    """
    return option(
        default=(),
        flag="--fault",
        help="Ids of faults to inject into the emulator; `list` prints them.",
        metavar="FAULT",
        completion=Completion.FAULT,
        requires=requires,
        excludes=excludes,
        found_file=Trust.ANY_VALUE,
    )


def names_to_mask_option() -> Any:
    """Return the declaration of `names_to_mask`: further names whose values are masked in recordings."""
    return option(
        default=(),
        flag="--mask",
        help="Mask the field, parameter or header NAME too.",
        metavar="NAME",
        found_file=Trust.ANY_VALUE,
    )


def names_to_keep_option() -> Any:
    """Return the declaration of `names_to_keep`: names whose undocumented values are not masked in recordings."""
    return option(
        default=(),
        flag="--keep",
        help="Do not mask the value of the field, parameter or header NAME, although the contract does not document "
        "it. The name of a media type keeps its texts.",
        metavar="NAME",
        refusal_reason="what it keeps may be secret",
    )


def asr_option() -> Any:
    """Return the declaration of `asr`: the ASR engine that transcribes the audio of a run."""
    return option(
        default="auto",
        help="ASR engine: auto, whisper[:MODEL|FILE], faster-whisper[:MODEL|FOLDER], lexicon, embedded or none. With "
        "auto, Whisper if its official weights are installed, otherwise faster-whisper if that is installed, or "
        "for emulated runs only, the bundled phoneme network with a lexicon.",
        metavar="SPEC",
        environment_variable="VOICEGAUGE_ASR",
        found_file=Trust.PLAIN_NAME,
    )


def predicts_quality_option() -> Any:
    """Return the declaration of `predicts_quality`: whether to predict how listeners would rate the audio."""
    return option(
        default=False,
        flag="--quality",
        help="Also predict how listeners would rate the audio (DNSMOS P.835 and P.808; extra `quality`), in about a "
        "second of a processor for each clip.",
        found_file=Trust.ANY_VALUE,
    )


def voice_encoder_option() -> Any:
    """Return the declaration of `voice_encoder`, which compares the voices of cloning targets with the voice sample."""
    return option(
        default=None,
        flag="--similarity",
        help="Also compare the voice of targets that clone with the voice sample: resemblyzer, whose weights "
        "`pip install --no-deps resemblyzer` installs, or a file like its pretrained.pt. It takes about a tenth of a "
        "second of a processor for each clip.",
        metavar="ENCODER",
        environment_variable="VOICEGAUGE_VOICE_ENCODER",
        refusal_reason="it decides which file is read",
    )


def retry_ambiguous_option(help_text: str) -> Any:
    """Return the declaration of `retry_ambiguous_requests`: whether requests with an unknown outcome are sent again."""
    return option(
        default=False, flag="--retry-ambiguous", help=help_text, requires=("live",), refusal_reason="it pays again"
    )


def new_run_option(help_text: str) -> Any:
    """Return the declaration of `new_run`: whether to start again instead of continuing what was interrupted."""
    return option(
        default=False,
        flag="--new-run",
        help=help_text,
        requires=("live",),
        excludes=("retry_ambiguous_requests",),
        refusal_reason="it pays again",
    )


def progress_keyword() -> Any:
    """Return the declaration of `progress`, the listener that receives progress and notices."""
    return keyword(
        default=None, help="Receives progress and notices; by default, a notebook shows them, and nothing else does."
    )


@request
class LiveOptions:
    """Permission to send billable requests to the providers' own services, and the limits of that permission.

    Nothing is sent to a live service unless a function is given an instance of this class. Keys are read from the
    environment variables that the contracts name.
    """

    base_urls: Mapping[str, str] = base_urls_option(
        "Send to URL instead: a staging server, a proxy, your own server. NAME is a server of the contract; with "
        "several providers, a provider or PROVIDER/SERVER."
    )
    allowed_keys: Sequence[str] = allowed_keys_option()
    allow_insecure_http: bool = option(
        default=False,
        help="Send the key to another machine over http too, where everyone on the way can read it.",
        refusal_reason="it sends your key unencrypted",
    )
    own_server_models: Sequence[str] = option(
        default=(),
        flag="--model",
        help="Models of your own server to use instead of those that it lists. The first one is used for targets whose "
        "model the server does not have.",
        metavar="NAME",
        found_file=Trust.ANY_VALUE,
    )
    own_server_voices: Sequence[str] = option(
        default=(),
        flag="--voice",
        help="Voices of your own server to use instead of those that it lists.",
        metavar="NAME",
        found_file=Trust.ANY_VALUE,
    )
    account_plans: Sequence[str] = option(
        default=(),
        flag="--plan",
        help="Plans of your accounts, for rate limits and prices.",
        default_text="lowest limit and highest price of each provider",
        metavar="NAME",
        refusal_reason="a plan that is not yours exceeds your budget",
    )
    credit_prices_usd: Mapping[str, float] = credit_prices_option()
    max_cost_usd: float | Mapping[str, float] = option(
        default=1.0,
        flag="--max-cost",
        help="Budget in dollars. A request is not sent if its price exceeds what is left.",
        keyword_note="A mapping gives budgets of single providers by provider id, and that of all together as ''.",
        metavar="[PROVIDER=]USD",
        parse=_parse_provider_budget,
        default_text="1; with PROVIDER=USD alone, the sum",
        minimum=0,
        environment_variable="VOICEGAUGE_MAX_COST",
        found_file=Trust.UP_TO_DEFAULT,
    )
    max_cost_per_day_usd: float | None = option(
        default=None,
        flag="--max-cost-per-day",
        help="Budget in dollars for each provider and day (UTC), over all commands of this machine. They note in the "
        "state folder what they spend.",
        default_text="no limit",
        metavar="USD",
        minimum=0,
        environment_variable="VOICEGAUGE_MAX_COST_PER_DAY",
        refusal_reason="a limit that is too high exceeds your budget",
    )
    ledger: Ledger | None = keyword(
        default=None,
        help="Ledger of spending that several calls share; by default a new ledger with the budget `max_cost_usd`.",
    )

    @property
    def total_budget_usd(self) -> float:
        """The budget of all providers together, in dollars."""
        if not isinstance(self.max_cost_usd, Mapping):
            return self.max_cost_usd
        from voicegauge.model.base import sum_usd  # msgspec, which the plugin does not need

        total_usd = self.max_cost_usd.get("")
        return sum_usd(self.max_cost_usd.values()) if total_usd is None else total_usd

    @property
    def budget_usd_by_provider(self) -> dict[str, float]:
        """The budgets of single providers, in dollars, by provider id."""
        if not isinstance(self.max_cost_usd, Mapping):
            return {}
        return {provider: usd for provider, usd in self.max_cost_usd.items() if provider}

    def find_base_urls(self, contract: Contract) -> dict[str, str]:
        """Return the base URLs for one provider by server name; the name "" applies to all servers."""
        provider_id = contract.id.partition("@")[0]  # what follows names another version of the contract
        found: dict[str, str] = {}
        for name, url in self.base_urls.items():
            provider, _, server = name.partition("/")
            if provider == provider_id:
                found[server] = url
            elif not name or name in contract.servers:
                found.setdefault(name, url)
        return found


def live_options_group(
    help_text: str = "Send requests to the services themselves, with your keys; this costs money.",
    *,
    off_flag: str | None = None,
    excludes: tuple[str, ...] = (),
) -> Any:
    """Return the declaration of `live`: the `LiveOptions` of a command, which a settings file cannot set.

    Args:
        help_text: what the option does.
        off_flag: flag of the command line with the opposite effect; `None` if there is none.
        excludes: names of the options that cannot be combined with it.
    """
    return option_group(default=None, flag="--live", help=help_text, off_flag=off_flag, excludes=excludes)

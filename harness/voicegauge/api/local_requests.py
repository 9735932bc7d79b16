"""Declares the requests of the verbs that work on this machine: they read files, or serve on a local port.

This module imports nothing heavy, so that the help of a command is printed quickly.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voicegauge.api.options import (
    allowed_keys_option,
    asr_option,
    base_urls_option,
    contracts_option,
    credit_prices_option,
    names_to_keep_option,
    names_to_mask_option,
    parse_base_url,
    predicts_quality_option,
    progress_keyword,
    seed_option,
    voice_encoder_option,
)
from voicegauge.api.requests import DEFAULT_LISTEN_PORT
from voicegauge.bench import DEFAULT_CHARACTERS_PER_MONTH, DEFAULT_TEXT_LENGTH, MAX_CHARACTERS_PER_MONTH
from voicegauge.errors import UsageError
from voicegauge.options import Completion, PathKind, PathLike, Trust, argument, keyword, option, request

if TYPE_CHECKING:
    from voicegauge.api.progress import ProgressListener
    from voicegauge.api.target_selection import ContractsOrFolders
    from voicegauge.bench.target_summaries import BenchResult
    from voicegauge.conformance.received_callbacks import JudgedCallback
    from voicegauge.drift.drift_report import OfficialComparison
    from voicegauge.model.base import Finding
    from voicegauge.model.run import Run
    from voicegauge.recording.foreign_recordings import ConvertedFile


MAX_TEXT_LENGTH_CHARACTERS = 1_000_000
"""Largest text length for which a price can be stated."""
MAX_TRANSCRIPTION_PROCESSES = 64
"""Largest number of processes that `score` starts."""
_MULTIPLIER_BY_NUMBER_SUFFIX = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
"""The factor that a letter after a number of characters stands for."""


def parse_character_count(text: str) -> int:
    """Read a number of characters, also written with a multiplier: "2M", "500k", "1,500,000"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMbB]?)", text.replace(",", "").replace("_", ""))
    number = 0.0 if found is None else float(found[1]) * _MULTIPLIER_BY_NUMBER_SUFFIX[found[2].lower()]
    if number > MAX_CHARACTERS_PER_MONTH:
        raise UsageError(f"{text!r} is more than {MAX_CHARACTERS_PER_MONTH:,} characters.")
    if number < 1 or number != int(number):
        raise UsageError(f"{text!r} is not a number of characters, such as 2M, 500k or 1500000.")
    return int(number)


def parse_loopback_host(host: str) -> str:
    """Read a loopback address, which other machines cannot reach; "localhost" becomes "127.0.0.1"."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise UsageError(f"{host!r} is not a loopback address, such as 127.0.0.1 or ::1")
    return host


@request
class ChangeThresholds:
    """Which differences of saved runs count."""

    alpha: float = option(
        default=0.01,
        help="Probability that any metric of any target is falsely called a regression; in a history, that a night "
        "without a change raises any alert.",
        minimum=0,
        maximum=1,
        excludes_bounds=True,
        found_file=Trust.ANY_VALUE,
    )
    min_slowdown: float = option(
        default=0.05,
        help="Ignore slowdowns smaller than this fraction, even if statistically significant.",
        minimum=0,
        found_file=Trust.ANY_VALUE,
    )
    min_error_rate_change: float = option(
        default=0.02,
        flag="--min-wer",
        help="Ignore differences of error rates smaller than this; 0.02 is two percentage points.",
        minimum=0,
        found_file=Trust.ANY_VALUE,
    )


@request
class CompareThresholds(ChangeThresholds):
    """Which differences of runs count, and which errors are limited."""

    error_control: Literal["any", "discoveries"] = option(
        default="any",
        help="What --alpha limits: the probability of any false regression, or the share of the regressions found that "
        "are false, which finds more of many.",
        found_file=Trust.ANY_VALUE,
    )
    place: str | None = option(
        default=None,
        help="Compare only what workers at this place measured (`bench --dask`).",
        metavar="NAME",
        found_file=Trust.ANY_VALUE,
    )


@request
class CompareRequest(CompareThresholds):
    """Which run to compare with which earlier runs."""

    baseline: PathLike | Run | BenchResult | Sequence[PathLike | Run | BenchResult] = keyword(
        help="An earlier run, its folder or the result of its benchmark, or several of them. From "
        "five or more, such as those of several nights, the variation of speed is computed, and "
        "`assumed_speed_variation` has no effect.",
        kw_only=False,
    )
    run: PathLike | Run | BenchResult = keyword(
        help="The new run, the path of its folder or the result of its benchmark.", kw_only=False
    )
    assumed_speed_variation: float = option(
        default=0.10,
        flag="--variation",
        help="Relative spread of times between runs without a change of the service, as a standard deviation; assumed "
        "unless the baseline has five runs.",
        minimum=0,
        found_file=Trust.ANY_VALUE,
    )
    seed: int = seed_option()


@request
class CompareTargetsRequest(CompareThresholds):
    """With which target of a run to compare its other targets."""

    run: PathLike | Run | BenchResult = keyword(
        help="A run of at least two targets, the path of its folder or the result of its benchmark.", kw_only=False
    )
    baseline_target: str = option(
        default="",
        flag="--against",
        help="Compare the other targets of one RUN with TARGET, paired by text and session.",
        metavar="TARGET",
        found_file=Trust.ANY_VALUE,
        kw_only=False,
    )
    seed: int = seed_option()


@request
class HistoryRequest(ChangeThresholds):
    """Which saved runs to follow night by night."""

    folder: PathLike = argument(
        kw_only=False, default=Path("reports"), help="The folder that contains the folders of runs, at any depth."
    )
    progress: ProgressListener | None = progress_keyword()


@request
class ScoreRequest:
    """Which saved run to listen to and to transcribe, with which ASR engine, models and workers."""

    run: PathLike = argument(kw_only=False, help="The run's folder, or its run.json.", metavar="RUN")
    asr: str = asr_option()
    workers: int | None = option(
        default=None,
        help="Processes that transcribe, without a Dask cluster.",
        default_text="one per processor, at most 4; one with a GPU",
        metavar="N",
        minimum=1,
        maximum=MAX_TRANSCRIPTION_PROCESSES,
        found_file=Trust.ANY_VALUE,
    )
    predicts_quality: bool = predicts_quality_option()
    voice_encoder: str | None = voice_encoder_option()
    dask_scheduler: str | None = option(
        default=None,
        flag="--dask",
        help="Transcribe on a Dask cluster, such as tcp://HOST:8786, whose workers have voicegauge and the weights. "
        "Official Whisper models use only workers with a GPU, if there are any.",
        metavar="ADDRESS",
        environment_variable="VOICEGAUGE_DASK",
        refusal_reason="the cluster runs code in this process",
    )
    progress: ProgressListener | None = progress_keyword()


@request
class ReportRequest:
    """Which saved runs to summarize, and for which texts and volume prices are stated."""

    runs: PathLike | Sequence[PathLike] = argument(
        kw_only=False, help="Folders of saved runs, or their run.json.", metavar="RUN...", value_type=Sequence[Path]
    )
    text_length: int | None = option(
        default=None,
        help="Text length for which prices per million characters are stated.",
        default_text=f"{DEFAULT_TEXT_LENGTH}",
        metavar="N",
        minimum=1,
        maximum=MAX_TEXT_LENGTH_CHARACTERS,
        found_file=Trust.ANY_VALUE,
    )
    characters_per_month: int | None = option(
        default=None,
        help="Number of characters of the month for which prices are stated, with the cheapest plan, such as 2M.",
        default_text="10M",
        metavar="N",
        minimum=1,
        maximum=MAX_CHARACTERS_PER_MONTH,
        parse=parse_character_count,
        found_file=Trust.ANY_VALUE,
    )
    credit_prices_usd: Mapping[str, float] = credit_prices_option()
    max_clips: int | None = option(
        default=None,
        flag="--clips",
        help="Number of the worst clips of each run to include, besides one at random for each target; they make up "
        "most of a page's size.",
        default_text="24",
        metavar="N",
        minimum=1,
        found_file=Trust.ANY_VALUE,
    )


# Prices and documents.


@request
class ProvidersRequest:
    """Which providers to list."""

    providers: str | Sequence[str] = argument(
        kw_only=False,
        default=(),
        help='Ids of providers, or targets ("acme/voice-1") to see only these; by default all of them.',
        metavar="[PROVIDER]...",
        value_type=Sequence[str],
        completion=Completion.TARGET,
    )
    contracts: ContractsOrFolders = contracts_option()


@request
class CostRequest:
    """Which targets to price, and for which volume."""

    targets: str | Sequence[str] = argument(
        kw_only=False,
        default=(),
        help='Targets ("acme/voice-1") or providers; by default all targets.',
        metavar="[TARGET]...",
        completion=Completion.TARGET,
        value_type=Sequence[str],
    )
    characters_per_month: int = option(
        default=DEFAULT_CHARACTERS_PER_MONTH,
        help="Number of characters of all texts of a month, as Python counts them, such as 2M, 500k or 1500000.",
        default_text="10M",
        metavar="N",
        minimum=1,
        maximum=MAX_CHARACTERS_PER_MONTH,
        parse=parse_character_count,
        found_file=Trust.ANY_VALUE,
    )
    text_length: int = option(
        default=DEFAULT_TEXT_LENGTH,
        help="Number of characters of each text.",
        metavar="N",
        minimum=1,
        maximum=MAX_TEXT_LENGTH_CHARACTERS,
        excludes=("texts",),
        found_file=Trust.ANY_VALUE,
    )
    texts: PathLike | None = option(
        default=None,
        help="Your own texts (.txt, .csv, .jsonl) instead of a length, repeated until they have the characters of the "
        "month: shows what providers count in them.",
        metavar="FILE",
        found_file=Trust.PATH_IN_FOLDER,
    )
    account_plans: Sequence[str] = option(
        default=(), flag="--plan", help="Account plan NAME instead of all.", metavar="NAME", found_file=Trust.ANY_VALUE
    )
    credit_prices_usd: Mapping[str, float] = credit_prices_option()
    contracts: ContractsOrFolders = contracts_option()


@request
class DriftRequest:
    """Which two descriptions or recordings of an API to compare."""

    old: PathLike = keyword(
        help="An OpenAPI document, a HAR file, a folder of HAR files, or the id of a provider.", kw_only=False
    )
    new: PathLike = keyword(
        help="The same kinds of values as for `old`. If traffic is compared with a contract, the traffic counts as "
        "newer.",
        kw_only=False,
    )
    contracts: Sequence[PathLike] = contracts_option()
    client_use_paths: Sequence[PathLike] = option(
        default=(),
        flag="--uses",
        help="If two documents are compared: what your client uses, as recordings of it (HAR, cassettes) or as a YAML "
        "file that declares what it sends and reads; or voicegauge. What it does not use is only noted.",
        metavar="FILE",
        value_type=Sequence[str],
        found_file=Trust.PATH_IN_FOLDER,
    )


@request
class OfficialDriftRequest:
    """Which contracts to compare with the official documents that they were written from."""

    providers: Sequence[str] = keyword(
        default=(),
        help="Ids of providers; by default all whose contract names the URL of an official OpenAPI document.",
        kw_only=False,
    )
    official_document: PathLike | None = option(
        default=None,
        flag="--from",
        help="The official document of exactly one provider, instead of the https URL that its contract names; or a "
        "folder of documents, each named by its provider's id: deepgram.yaml.",
        metavar="FILE|FOLDER|URL",
        value_type=str,
        refusal_reason="it decides which file or URL is read",
    )
    contracts: Sequence[PathLike] = contracts_option()
    on_comparison: Callable[[OfficialComparison], None] = keyword(
        default=lambda _comparison: None, help="Called with every finished comparison."
    )


@request
class ConvertRequest:
    """Which recordings to convert to which format."""

    paths: Sequence[PathLike] = argument(
        kw_only=False,
        help="Recordings, and folders of such files. A file of a folder within a folder gets the name of the inner "
        "folder in front of its own: `FOLDER/tts/speak.yaml` becomes `tts-speak.har`.",
        metavar="FILES...",
        path=PathKind.EXISTING,
    )
    provider: str | None = option(
        default=None,
        help="Provider that was recorded; needed for files of other tools.",
        metavar="ID",
        found_file=Trust.ANY_VALUE,
    )
    output_format: Literal["har", "vcr"] = option(
        default="har",
        flag="--to",
        help="A recording of voicegauge, or a VCR cassette that vcrpy reads.",
        found_file=Trust.ANY_VALUE,
    )
    out: PathLike = option(
        default=Path(),
        help="Folder to write to; files keep their names with another suffix.",
        default_text="the working directory",
        metavar="DIR",
        path=PathKind.OUTPUT_FOLDER,
        found_file=Trust.NEW_OUTPUT,
    )
    names_to_mask: Sequence[str] = names_to_mask_option()
    names_to_keep: Sequence[str] = names_to_keep_option()
    base_urls: Mapping[str, str] = base_urls_option("Where the provider was reached, if not at its own servers.")
    contracts: ContractsOrFolders = contracts_option()
    on_file_converted: Callable[[ConvertedFile], None] | None = keyword(
        default=None, help="Called after each file that was converted."
    )


# Servers on this machine.


def _host_option(reason: str) -> Any:
    return option(
        default="127.0.0.1",
        help=f"A loopback address; other machines are not allowed, because {reason}.",
        parse=parse_loopback_host,
        found_file=Trust.ANY_VALUE,
    )


def port_option(default: int) -> Any:
    """Return the declaration of `port`, a local port; `default` 0 chooses a free one."""
    return option(
        default=default, help="Local port; 0 chooses a free one.", minimum=0, maximum=65535, found_file=Trust.ANY_VALUE
    )


@request
class EmulateRequest:
    """Which providers to emulate, and how the emulator behaves."""

    providers: str | Sequence[str] = argument(
        kw_only=False,
        default=(),
        help="Ids of providers; all by default.",
        metavar="[PROVIDER...]",
        completion=Completion.PROVIDER,
        value_type=Sequence[str],
    )
    faults: Sequence[str] = option(
        default=(),
        flag="--fault",
        help="Fault to inject; --fault list lists them.",
        metavar="FAULT[@PROVIDER[/TARGET]]",
        completion=Completion.FAULT,
        found_file=Trust.ANY_VALUE,
    )
    clock: Literal["real", "virtual", "per-poll"] = option(
        default="real",
        help="Jobs take invented times, wait for /_emulator/clock, or move to the next state with every poll.",
        found_file=Trust.ANY_VALUE,
    )
    time_scale: float = option(
        default=1.0, help="Factor for the invented times.", minimum=0, maximum=1000, found_file=Trust.ANY_VALUE
    )
    allow_webhook_http: bool = option(
        default=False,
        flag="--webhook-http",
        help="Accept webhook URLs with plain http that lead to this machine.",
        found_file=Trust.ANY_VALUE,
    )
    webhook_hosts: Sequence[str] = option(
        default=(),
        flag="--webhook-host",
        help="Send webhooks to this host too; by default only to this machine.",
        metavar="HOST",
        refusal_reason="it decides where webhooks are sent",
    )
    account_plan: str | None = option(
        default=None,
        flag="--plan",
        help="Plan of every account, for rate limits and prices.",
        default_text="the highest of both",
        metavar="NAME",
        found_file=Trust.ANY_VALUE,
    )
    account_credits: float | None = option(
        default=None,
        flag="--credits",
        help="Balance of a new account.",
        default_text="as documented",
        minimum=0,
        found_file=Trust.ANY_VALUE,
    )
    tls: bool = option(
        default=False,
        help="Answer https and wss; clients trust the certificate file that is printed (SSL_CERT_FILE).",
        found_file=Trust.ANY_VALUE,
    )
    enforce_rate_limits: bool = keyword(default=True, help="Whether rate limits are enforced.")
    port: int = port_option(0)
    host: str = _host_option("the emulator does not protect itself")
    seed: int = seed_option()
    contracts: ContractsOrFolders = contracts_option()


@request
class ProxyRequest:
    """Which traffic to judge and to record."""

    provider: str = argument(kw_only=False, help="Id of the provider.", completion=Completion.PROVIDER)
    upstream: str | None = option(
        default=None,
        other_command_flag="--base-url",
        help="Forward to URL (also ws, wss) instead of the contract's servers: an emulator, a staging server, your own "
        "server, which is asked for its models and voices, and where the path of its API is found.",
        metavar="URL",
        parse=parse_base_url,
        refusal_reason="it decides where your key is sent",
    )
    recording_path: PathLike | None = option(
        default=None,
        flag="--record",
        help="Write the exchanges, redacted, to this new .har file, or to a new file in this folder.",
        metavar="PATH",
        found_file=Trust.NEW_OUTPUT,
    )
    names_to_mask: Sequence[str] = names_to_mask_option()
    names_to_keep: Sequence[str] = names_to_keep_option()
    allowed_keys: Sequence[str] = allowed_keys_option()
    allow_insecure_http: bool = option(
        default=False,
        help="Send keys to another machine over http too, where everyone on the way can read them.",
        refusal_reason="it sends your key unencrypted",
    )
    port: int = port_option(0)
    host: str = _host_option("the listener does not encrypt keys")
    contracts: ContractsOrFolders = contracts_option()
    on_finding: Callable[[Finding], None] = keyword(
        default=lambda _finding: None, help="Called with each new finding, in another thread."
    )
    on_missing_response: Callable[[str], None] = keyword(
        default=lambda _reason: None,
        help="Called with each new reason why there was no response of the service, in another thread.",
    )
    on_notice: Callable[[str], None] = keyword(
        default=lambda _message: None,
        help="Called with one line if the contract has values that `voicegauge init` guessed, and with one before "
        "your own server is asked for its models and voices with your key.",
    )


@request
class ListenRequest:
    """Which webhooks to receive, and until when."""

    providers: str | Sequence[str] = argument(
        kw_only=False,
        default=(),
        help="Ids of the providers whose webhooks are expected; all by default.",
        metavar="[PROVIDER...]",
        completion=Completion.PROVIDER,
        value_type=Sequence[str],
    )
    port: int = port_option(DEFAULT_LISTEN_PORT)
    public_url: str | None = option(
        default=None,
        help="https URL of a tunnel to the webhook receiver on this machine.",
        metavar="URL",
        refusal_reason="it decides where webhooks are sent",
    )
    subscribed_events: Literal["any", "terminal", "progress"] = option(
        default="any",
        flag="--mode",
        help="Events subscribed to: with terminal, a progress event is a finding; with progress, a missing one is.",
        found_file=Trust.ANY_VALUE,
    )
    max_webhooks: int | None = option(
        default=None,
        flag="--count",
        help="Stop after N webhooks that fit a contract: they have a job id and a documented state, or a valid body. "
        "Other bodies do not count, also if only one provider is expected.",
        metavar="N",
        minimum=1,
        found_file=Trust.ANY_VALUE,
    )
    timeout_s: float | None = option(
        default=None, flag="--timeout", help="Stop after S seconds.", metavar="S", minimum=0, found_file=Trust.ANY_VALUE
    )
    contracts: ContractsOrFolders = contracts_option()
    on_ready: Callable[[str], None] = keyword(
        default=lambda _url: None,
        help="Called with the webhook URL when the receiver accepts requests. Nobody can guess this URL, and requests "
        "to any other URL get 404.",
    )
    on_webhook: Callable[[JudgedCallback], None] = keyword(
        default=lambda _webhook: None, help="Called with every validated webhook."
    )

"""Declares the parameters of each command, such as `check`, and of the Python function of the same name.

Each such record is called a request; it is not an HTTP request.

This module imports nothing heavy, so that the help of a command is printed quickly. What a value means beyond its own
bounds is checked where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voicegauge.api.options import (
    LiveOptions,
    asr_option,
    contracts_option,
    faults_option,
    live_options_group,
    max_time_option,
    max_wait_option,
    names_to_keep_option,
    names_to_mask_option,
    new_run_option,
    parse_base_url,
    parse_region,
    parse_severity,
    predicts_quality_option,
    prices_option,
    progress_keyword,
    retry_ambiguous_option,
    seed_option,
    voice_encoder_option,
)
from voicegauge.bench import DEFAULT_EQUIVALENCE_MARGIN, DEFAULT_GOAL, DEFAULT_TEXT_LENGTH
from voicegauge.files import RECORDINGS_FOLDER_NAME
from voicegauge.options import Completion, PathKind, PathLike, Trust, argument, keyword, option, request

if TYPE_CHECKING:
    from voicegauge.api.progress import ProgressListener
    from voicegauge.api.target_selection import ContractsOrFolders
    from voicegauge.bench.target_summaries import BenchResult
    from voicegauge.cases.plan import CasePatterns
    from voicegauge.conformance.check_report import CheckReport
    from voicegauge.conformance.recording_updates import ConfirmOverwrite, RecordResult
    from voicegauge.emulator.process import RunningEmulator
    from voicegauge.model.base import Severity
    from voicegauge.profiles.judging import ProfileReport


DEFAULT_LISTEN_PORT = 8090
"""Default port for callbacks of `check` and `listen`, so that one tunnel serves both."""
MAX_CASES_IN_FLIGHT = 64
"""Largest number of cases that a check has in flight."""
MAX_FUZZ_REQUESTS = 100_000
"""Largest number of random requests to one operation."""


@request
class BaseCheckRequest:
    """Parameters that checks share.

    They are the service to send to (the emulator or a live one), its faults and prices, time limits and the seed.
    """

    emulated: bool | RunningEmulator = option(
        default=False,
        help="Send planned requests to the emulator.",
        keyword_note='Also a running emulator; start it with `clock="per-poll"`, `enforce_rate_limits=False` and '
        "enough `account_credits`, so that no limit is reached by chance.",
        found_file=Trust.ANY_VALUE,
    )
    live: LiveOptions | None = live_options_group(excludes=("emulated",))
    faults: Sequence[str] = faults_option(requires=("emulated",))
    prices: Mapping[str, float] = prices_option(requires=("live",))
    max_wait_s: float | None = max_wait_option()
    max_time_s: float | None = max_time_option()
    seed: int = seed_option()
    contracts: ContractsOrFolders = contracts_option()
    progress: ProgressListener | None = progress_keyword()


@request
class CheckRequest(BaseCheckRequest):
    """What to check, what to send, and how to judge it."""

    targets: str | Sequence[str] = argument(
        kw_only=False,
        default=(),
        help='Providers ("acme") or targets ("acme/voice-1"); all of them by default. For a target, requests are sent '
        "only to the operations that it needs; for a provider, to all of its operations.",
        metavar="[TARGET]...",
        completion=Completion.TARGET,
    )
    max_calls: int | None = option(
        default=None,
        help="Largest number of billable requests, most informative first. Requests that should be rejected are free; "
        "if the service accepts one beyond this number, no more are sent. A case over a WebSocket counts once.",
        metavar="N",
        minimum=0,
        requires=("emulated", "live"),
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    every_valid_request: bool = option(
        default=False,
        flag="--full",
        help="Send every valid request of the plan to a live service; each one is charged. Always done if they are "
        "free; otherwise one delivery per target is sent, and one voice or the like is created and deleted for each "
        "operation that creates one.",
        requires=("live",),
        refusal_reason="it sends more billable requests",
    )
    large_uploads: bool = option(
        default=False,
        help="Upload tens of megabytes to a live service, just below and above each limit. The emulator always gets "
        "such uploads.",
        requires=("live",),
        refusal_reason="it sends more billable requests",
    )
    concurrency: int | None = option(
        default=None,
        help="Number of cases in flight; the results are the same, in the order of the plan. With a largest number of "
        "billable requests, one case is sent at a time.",
        default_text="4 at the emulator, 1 with faults or a live service",
        metavar="N",
        minimum=1,
        maximum=MAX_CASES_IN_FLIGHT,
        requires=("emulated", "live"),
        found_file=Trust.ANY_VALUE,
    )
    case_ids: Sequence[str] | CasePatterns = option(
        default=(),
        flag="--case",
        help="Send only the case with this id, as a finding names it, of all that can be planned.",
        keyword_note="Also patterns of ids.",
        metavar="ID",
        requires=("emulated", "live"),
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    fuzz_request_count: int = option(
        default=0,
        flag="--fuzz",
        help="Number of random requests to each operation, in addition to the plan and its largest number of requests.",
        metavar="N",
        minimum=0,
        maximum=MAX_FUZZ_REQUESTS,
        requires=("emulated", "live"),
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    failures_folder: PathLike | None = option(
        default=None,
        flag="--failures",
        help="Folder in which failing random requests are saved, so that the next check tries them first.",
        metavar="DIR",
        requires=("fuzz_request_count",),
        refusal_reason="it decides where files are written",
    )
    public_url: str | None = option(
        default=None,
        help="https URL of a tunnel to the webhook receiver on this machine; needed to check webhooks of live "
        "services.",
        metavar="URL",
        requires=("live",),
        refusal_reason="it decides where webhooks are sent",
    )
    listen_port: int = option(
        default=DEFAULT_LISTEN_PORT,
        help="Local port that the tunnel leads to.",
        minimum=0,
        maximum=65535,
        requires=("public_url",),
        found_file=Trust.ANY_VALUE,
    )
    retry_ambiguous_requests: bool = retry_ambiguous_option(
        "Pay again for requests that earlier checks of these targets sent without a result. By default they are listed "
        "and not sent."
    )
    new_run: bool = new_run_option(
        "Send every case again. By default a check goes on where one of these targets ended early up to a day ago, and "
        "sends nothing more to a target that charged more than its price."
    )
    select: Sequence[str] = option(
        default=(), help="Apply only this rule.", metavar="RULE", completion=Completion.RULE, found_file=Trust.ANY_VALUE
    )
    ignore: Sequence[str] = option(
        default=(),
        help="Do not apply this rule.",
        metavar="RULE",
        completion=Completion.RULE,
        found_file=Trust.ANY_VALUE,
    )
    severities: Mapping[str, Severity] = option(
        default_factory=dict,
        flag="--severity",
        help="Severity of a rule: error, warning or info.",
        metavar="RULE=SEVERITY",
        completion=Completion.RULE,
        parse=parse_severity,
        found_file=Trust.ANY_VALUE,
    )
    recordings: Sequence[PathLike] = option(
        default=(),
        help="HAR files, or folders of them, to check instead of ./fixtures/PROVIDER and the bundled ones, if nothing "
        "is sent.",
        metavar="PATH",
        path=PathKind.EXISTING,
        excludes=("emulated", "live"),
        found_file=Trust.PATH_IN_FOLDER,
    )
    stale_recordings_fail: bool = keyword(
        default=False, help="Whether a recording older than its provider's age limit is an error instead of a warning."
    )
    on_report: Callable[[CheckReport], None] | None = keyword(
        default=None,
        help="Called with the report before the check counts as ended. Until it returns, what a live check has spent "
        "counts towards the budget of the next check of these targets, even if the process is killed.",
    )


@request
class ProfileRequest:
    """Which server to judge, by which published profile."""

    profile: str = option(
        default="",
        help="Judge the server at --base-url by a published list of requirements, such as openai-speech@2026-11.",
        metavar="ID",
        requires=("emulated", "live"),
        found_file=Trust.ANY_VALUE,
        hides_live_run=True,
        kw_only=False,
    )
    emulated: bool = option(default=False, help="Judge an emulator of the profile's contract.")
    live: LiveOptions | None = live_options_group("The base URL of the server.")
    key_env: str | None = option(
        default=None,
        help="Environment variable with the key of the server.",
        default_text="no key, unless that of the profile's contract is set",
        metavar="NAME",
        requires=("profile",),
        refusal_reason="it decides which secret is sent",
    )
    capabilities: Sequence[str] = option(
        default=(),
        flag="--capability",
        help="Count the optional requirements of a capability as required.",
        metavar="NAME",
        requires=("profile",),
        found_file=Trust.ANY_VALUE,
    )
    faults: Sequence[str] = faults_option(requires=("emulated",))
    seed: int = seed_option()
    max_wait_s: float | None = max_wait_option()
    max_time_s: float | None = max_time_option()
    on_report: Callable[[ProfileReport], None] | None = keyword(
        default=None, help="Called with the report before the check counts as ended, see `check`."
    )
    progress: ProgressListener | None = progress_keyword()


# Requests of `benchmark` and `record`.


MAX_REQUESTS_IN_FLIGHT = 64
"""Largest number of requests that a benchmark has in flight."""


@request
class BenchRequest:
    """What to measure, how often, under which load, and against what."""

    targets: str | Sequence[str] = argument(
        kw_only=False,
        default=(),
        help='Providers ("acme") or targets ("acme/voice-1"); by default all targets that synthesize speech. '
        "Operations that take audio, such as transcription, are measured only if they are named.",
        metavar="[TARGET]...",
        completion=Completion.TARGET,
    )
    live: LiveOptions | None = live_options_group(
        "Measure the live services, which costs money; by default the emulator.", off_flag="--emulated"
    )
    suite: str = option(
        default="smoke",
        help="A bundled suite of texts, or a YAML file.",
        completion=Completion.SUITE,
        excludes=("texts",),
        found_file=Trust.PATH_IN_FOLDER,
        raises_cost=True,
    )
    texts: PathLike | None = option(
        default=None,
        help="Your own texts instead of a suite: one per line (.txt), a table (.csv) or one JSON object per line "
        "(.jsonl).",
        keyword_note="A row has `text` and optionally `id`, `language` and `category`. Without a language, texts are "
        "in that of `languages` if it has one, else in English.",
        metavar="FILE",
        found_file=Trust.PATH_IN_FOLDER,
        raises_cost=True,
    )
    languages: Sequence[str] = option(
        default=(), flag="--language", help="Only texts in this language.", found_file=Trust.ANY_VALUE
    )
    categories: Sequence[str] = option(
        default=(), flag="--category", help="Only texts of this category of the suite.", found_file=Trust.ANY_VALUE
    )
    max_texts: int | None = option(
        default=None,
        flag="--limit",
        help="Only the first N texts of each language.",
        metavar="N",
        minimum=1,
        found_file=Trust.ANY_VALUE,
    )
    sessions: int = option(
        default=1,
        help="Passes over the texts, each with new connections.",
        minimum=1,
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    repetitions: int = option(
        default=1, help="Requests for each text per session.", minimum=1, found_file=Trust.ANY_VALUE, raises_cost=True
    )
    warmup: int = option(
        default=1,
        help="Unmeasured requests per target at the start of a session.",
        minimum=0,
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    concurrency: int = option(
        default=16,
        help="Requests in flight, of all targets together; slow targets have more of them than fast ones.",
        minimum=1,
        maximum=MAX_REQUESTS_IN_FLIGHT,
        excludes=("ramp", "rate"),
        found_file=Trust.ANY_VALUE,
    )
    rate: float | None = option(
        default=None,
        help="Requests per second to each target, however many are in flight.",
        metavar="N",
        minimum=0,
        excludes_bounds=True,
        excludes=("ramp",),
        found_file=Trust.ANY_VALUE,
    )
    arrivals: Literal["constant", "poisson"] = option(
        default="constant",
        help="Intervals between the requests of a rate: equal, or those of a Poisson process.",
        requires=("rate", "ramp"),
        found_file=Trust.ANY_VALUE,
    )
    ramp: Literal["concurrency", "rate"] | None = option(
        default=None,
        help="Search the highest concurrency or rate at which one target meets the goal, within the budget and the "
        "limits of the account's plan. The texts are repeated as often as that takes.",
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    goal: str = option(
        default=DEFAULT_GOAL,
        help="Conditions separated by commas, such as success>=0.99,ttfa:p95<=500ms,rtf:p95<=1.",
        metavar="CONDITIONS",
        requires=("ramp",),
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    stop_when_decided: bool = option(
        default=False,
        help="Stop when every target is known to be faster or slower than the first one, or as fast within the margin.",
        keyword_note="The confidence interval behind this decision stays valid although it is computed again and "
        "again, with a probability of 1% of any wrong decision.",
        excludes=("ramp",),
        found_file=Trust.ANY_VALUE,
    )
    equivalence_margin: float = option(
        default=DEFAULT_EQUIVALENCE_MARGIN,
        flag="--margin",
        help="Relative difference of total latency that does not matter.",
        metavar="SHARE",
        minimum=0,
        excludes_bounds=True,
        requires=("stop_when_decided",),
        found_file=Trust.ANY_VALUE,
    )
    text_pieces_per_s: float | None = option(
        default=None,
        flag="--text-rate",
        help="Send texts over WebSockets in pieces, N per second, as a language model writes them; by default whole.",
        metavar="N",
        minimum=0,
        excludes_bounds=True,
        maximum=10_000,
        found_file=Trust.ANY_VALUE,
    )
    text_burst: int = option(
        default=1,
        help="Number of pieces that are sent together.",
        metavar="N",
        minimum=1,
        maximum=1000,
        requires=("text_pieces_per_s",),
        found_file=Trust.ANY_VALUE,
    )
    flushes_text: bool = option(
        default=False,
        flag="--flush",
        help="Flush each text over a WebSocket where that is documented, and time the first audio from there too.",
        found_file=Trust.ANY_VALUE,
    )
    interrupts: bool = option(
        default=False,
        flag="--interrupt",
        help="Interrupt each text over a WebSocket at its first audio, then speak it again; both are charged.",
        excludes=("ramp", "stop_when_decided"),
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    http2: bool = option(default=False, help="Use HTTP/2 with servers that support it.", found_file=Trust.ANY_VALUE)
    prices: Mapping[str, float] = prices_option()
    voice_sample: PathLike | None = option(
        default=None,
        help="Audio file (or its URL) for targets that clone a voice.",
        metavar="FILE",
        value_type=str,
        default_text="a bundled recording",
        found_file=Trust.PATH_IN_FOLDER,
        raises_cost=True,
    )
    faults: Sequence[str] = faults_option(excludes=("live",))
    baseline_target: str | None = option(
        default=None,
        flag="--against",
        help="Compare with this target, which is measured in the same run, first in each round.",
        metavar="TARGET",
        excludes=("baseline_url", "baseline_contract"),
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    baseline_url: str | None = option(
        default=None,
        flag="--against-url",
        help="Compare the target with itself at another base URL, in the same run. It gets the key too.",
        metavar="URL",
        parse=parse_base_url,
        requires=("live",),
        excludes=("baseline_contract",),
        refusal_reason="it decides where your key is sent",
    )
    baseline_contract: PathLike | None = option(
        default=None,
        flag="--against-contract",
        help="Compare the target with itself as another version of its contract describes it, in the same run.",
        metavar="FILE",
        path=PathKind.EXISTING_FILE,
        refusal_reason="a contract decides which key is sent where",
    )
    dask_scheduler: str | None = option(
        default=None,
        flag="--dask",
        help="Send the requests from the workers of a Dask cluster, such as tcp://HOST:8786. Each has voicegauge, the "
        "keys in its own environment, and the name of its place.",
        metavar="ADDRESS",
        excludes=("region", "baseline_url", "baseline_contract"),
        refusal_reason="the cluster runs code in this process and pays with its workers' keys",
    )
    region: str | None = option(
        default=None,
        help="Name of the region that you measure from, such as eu-central.",
        metavar="NAME",
        parse=parse_region,
        environment_variable="VOICEGAUGE_REGION",
        found_file=Trust.ANY_VALUE,
    )
    asr: str = asr_option()
    listens: bool = option(
        default=True,
        flag="--no-listening",
        help="Do not judge whether the audio says its text. It takes about 20 ms of a processor for a second of audio; "
        "`voicegauge score` does it later.",
        found_file=Trust.ANY_VALUE,
        hides_live_run=True,
    )
    predicts_quality: bool = predicts_quality_option()
    voice_encoder: str | None = voice_encoder_option()
    text_length: int = option(
        default=DEFAULT_TEXT_LENGTH,
        help="Text length for which prices per million characters are stated.",
        minimum=1,
        found_file=Trust.ANY_VALUE,
    )
    out: PathLike = option(
        default=Path("reports"),
        help="Folder in which the run's folder is created.",
        path=PathKind.LATER_FOLDER,
        found_file=Trust.NEW_OUTPUT,
    )
    write_html_report: bool = option(
        default=True,
        flag="--no-report",
        help="Do not write the HTML report into the run's folder.",
        found_file=Trust.ANY_VALUE,
    )
    retry_ambiguous_requests: bool = retry_ambiguous_option(
        "Continue the last such run, and pay again for the requests that it sent without a result. By default they are "
        "listed and never repeated."
    )
    new_run: bool = new_run_option(
        "Pay for a new run. By default an interrupted run of the same plan is continued, and nothing is sent after a "
        "run with a request that may have been charged without a result."
    )
    max_wait_s: float | None = max_wait_option()
    max_time_s: float | None = max_time_option()
    seed: int = seed_option()
    contracts: ContractsOrFolders = contracts_option()
    on_result: Callable[[BenchResult], None] | None = keyword(
        default=None,
        help="Called with the result before a complete run is marked as finished. Until it returns, the same call "
        "continues the run and sends nothing again, even if the process is killed.",
    )
    progress: ProgressListener | None = progress_keyword()


@request
class RecordRequest:
    """What to record, where to, and which recordings to replace."""

    targets: str | Sequence[str] = argument(
        kw_only=False,
        help='Providers ("acme") or targets ("acme/voice-1").',
        metavar="TARGET...",
        value_type=Sequence[str],
    )
    live: LiveOptions | None = live_options_group(
        "Record the service itself, with your key; this costs money.", excludes=("emulated",)
    )
    emulated: bool = option(default=False, help="Record the emulator.", found_file=Trust.ANY_VALUE)
    out: PathLike = option(
        default=Path(RECORDINGS_FOLDER_NAME),
        help="Folder of recordings; files are DIR/PROVIDER/TARGET.har.",
        metavar="DIR",
        path=PathKind.OUTPUT_FOLDER,
        found_file=Trust.NEW_OUTPUT,
    )
    refresh: Literal["stale", "all"] = option(
        default="stale",
        help="Record what is missing or stale, or everything.",
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    record_every_rejection: bool = option(
        default=False,
        flag="--full",
        help="Record every rejection that a check plans, not one of each kind.",
        found_file=Trust.ANY_VALUE,
        raises_cost=True,
    )
    names_to_mask: Sequence[str] = names_to_mask_option()
    names_to_keep: Sequence[str] = names_to_keep_option()
    overwrite: bool | ConfirmOverwrite = option(
        default=False,
        flag="--yes",
        help="Overwrite recordings without asking.",
        keyword_note="Or a function that decides this for each file whose content changes. If it is false and a file "
        "would be replaced, an error is raised before anything is sent.",
        refusal_reason="it overwrites files",
    )
    retry_ambiguous_requests: bool = retry_ambiguous_option(
        "Pay again for requests of earlier recordings into the folder that were sent without a result. By default they "
        "are listed and not sent."
    )
    new_run: bool = new_run_option(
        "Send also what earlier recordings into the folder lost, and more to a target that charged above its price. "
        "By default neither is sent."
    )
    prices: Mapping[str, float] = prices_option(requires=("live",))
    max_wait_s: float | None = max_wait_option()
    max_time_s: float | None = max_time_option()
    seed: int = seed_option()
    contracts: ContractsOrFolders = contracts_option()
    on_result: Callable[[RecordResult], None] | None = keyword(
        default=None,
        help="Called with the result before the recording counts as ended. Until it returns, what a live recording has "
        "spent counts towards the budget of the next one, even if the process is killed.",
    )
    progress: ProgressListener | None = progress_keyword()

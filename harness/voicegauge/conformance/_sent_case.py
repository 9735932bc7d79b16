"""What was sent and received for one case, what rules judge of it, and the judgement that a resumed check reuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from voicegauge.cases.audio_input_cases import choose_recorded_sentence, find_uploaded_audio
from voicegauge.cases.case import (
    ApiKeyValidity,
    ConformanceCase,
    expect_acceptance,
    explain_rejected_account,
)
from voicegauge.cases.valid_requests import add_required_fields
from voicegauge.client.audio_download import fetch_response_audio
from voicegauge.client.client import Client
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.keys import list_secrets, remove_credentials
from voicegauge.client.speech_request import build_audio_input_request
from voicegauge.conformance.coverage import CoverageCounts
from voicegauge.contract.contract import AudioInputTarget, Contract, Target
from voicegauge.contract.extension.jobs import JobState
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.operation import Operation
from voicegauge.errors import BudgetError, TransportError
from voicegauge.formats.bodies import (
    UnreadableBodyError,
    decode_base64,
    is_subtitles_or_json_or_table,
    read_finite_number,
)
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Finding, Provenance, Record, SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Interruption, StateObservation
from voicegauge.recording.masking import INVALID_API_KEY, mask_record
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject
from voicegauge.rules.delivery_groups import DeliveryMeasurements
from voicegauge.rules.subjects import AudioInputCall, JobHistory, SpeechDelivery
from voicegauge.speech.spoken_text import is_ordinary_text

API_KEY_BY_VALIDITY: Mapping[ApiKeyValidity, ApiKeyOrSentinel] = {
    "valid": USE_CLIENT_KEY,
    "missing": None,
    "wrong": INVALID_API_KEY,
}
"""The key that is sent for each value of `ConformanceCase.api_key_validity`."""


# Keeps what was judged of a case, so that a check that ended early goes on without sending the case again.
#
# A judgement has everything that a case adds to the report of its check. It is used again only for the same case,
# judged by the same contract, rules and account, and not for longer than a day.


MAX_JUDGEMENT_AGE_S = 24 * 3600.0
"""Age in seconds up to which a judgement is used again. A service may be another one on another day."""


class SavedDelivery(Record, frozen=True, kw_only=True):
    """A delivery with which later deliveries are compared: its audio, and the request without credentials."""

    target_name: str
    """Name of the target within the provider."""
    speech_request: SpeechRequest
    delivery: Delivery
    """The delivery with its audio. Of its exchanges, the submit and the one with the audio are kept, without bodies."""
    is_successful: bool
    """Value of `SpeechDelivery.is_successful`."""
    has_ordinary_text: bool
    """Value of `SpeechDelivery.has_ordinary_text`."""

    def restore(self, contract: Contract) -> SpeechDelivery | None:
        """Return the delivery as rules compare it; `None` if the contract has no such target any more."""
        target = contract.targets.get(self.target_name)
        if target is None:
            return None
        return SpeechDelivery(target, self.speech_request, self.delivery, self.is_successful, self.has_ordinary_text)


def convert_to_saved_delivery(speech_delivery: SpeechDelivery, key: str | None) -> SavedDelivery | None:
    """Return what the comparison with later deliveries needs of a delivery; `None` if its request or audio has the key.

    The journal is a file, and a key must never be written. `key` is `None` if requests are sent without one.
    """
    delivery, secrets = speech_delivery.delivery, list_secrets(key)
    named = (delivery.submit_exchange_index, delivery.audio_exchange_index)
    indices = sorted({index for index in named if index is not None})
    exchanges = tuple(_remove_key_and_body(delivery.exchanges[index], speech_delivery.target, key) for index in indices)
    # Bodies are not masked, because that would change what is compared. One that has the key is rare: it echoes it.
    bodies = [one.request.body for one in exchanges] + [delivery.audio or b""]
    if any(secret.encode() in body for secret in secrets for body in bodies):
        return None
    positions = {index: position for position, index in enumerate(indices)}
    short = msgspec.structs.replace(
        delivery,
        exchanges=exchanges,
        job=None,
        submit_exchange_index=None if named[0] is None else positions[named[0]],
        audio_exchange_index=None if named[1] is None else positions[named[1]],
    )
    return SavedDelivery(
        target_name=speech_delivery.target.name,
        speech_request=speech_delivery.speech_request,
        delivery=mask_record(short, secrets),
        is_successful=speech_delivery.is_successful,
        has_ordinary_text=speech_delivery.has_ordinary_text,
    )


def _remove_key_and_body(exchange: Exchange, target: Target, key: str | None) -> Exchange:
    """Return an exchange without credentials and without the body of its response, which only repeats the audio.

    Args:
        exchange: an exchange of the delivery.
        target: the target that was requested.
        key: the API key to remove; `None` if the request was sent without one.
    """
    request = exchange.request
    if key is not None:
        request = remove_credentials(request, target.operation, key)
    return msgspec.structs.replace(
        exchange, request=request, response=msgspec.structs.replace(exchange.response, body=b"")
    )


class CaseJudgement(Record, frozen=True, kw_only=True):
    """What one case adds to the report of its check."""

    basis: str
    """The digest of everything that the judgement depends on, see `judgement_keeper.JudgingBasis`."""
    judged_at: str
    """Time of the judgement: UTC, ISO 8601."""
    findings: tuple[Finding, ...] = ()
    """The findings in the case, masked."""
    status: int | None = None
    """HTTP status of the response that was judged; `None` if no response was judged."""
    no_verdict_reason: str | None = None
    """Why the case has no verdict; `None` if it has one."""
    has_no_result: bool = False
    """Whether a network error ended the case before any part of it could be judged."""
    addressed_target_name: str | None = None
    """Name of the target that the request addresses; `None` if it addresses none, or if there are no findings."""
    billable_request_count: int = 0
    """Number of billable requests of the case that were or may have been charged."""
    operations_by_provenance: Mapping[Provenance, tuple[str, ...]] = {}
    """Operations of the judged exchanges, one for each exchange, by the provenance of the exchanges."""
    coverage: CoverageCounts = CoverageCounts()
    """What the case adds to the coverage of its check."""
    unjudged_words_count_by_reason: Mapping[str, int] = {}
    """Number of deliveries of which it was not judged whether they say their text, by the reason."""
    unjudged_sound_count_by_reason: Mapping[str, int] = {}
    """Number of deliveries whose sound a rule could not judge, by rule and reason."""
    measurements: tuple[DeliveryMeasurements, ...] = ()
    """Measurements of the deliveries of the case, with which later deliveries of any case are compared."""
    delivery: SavedDelivery | None = None
    """The delivery, kept if later cases are compared with it; otherwise `None`."""

    def is_usable(self, basis: str, now: datetime) -> bool:
        """Whether the judgement has the same basis, and is not older than `MAX_JUDGEMENT_AGE_S`."""
        return self.basis == basis and (now - datetime.fromisoformat(self.judged_at)).total_seconds() <= (
            MAX_JUDGEMENT_AGE_S
        )

    def iterate_exchanges(self) -> Iterator[tuple[Provenance, str]]:
        """Yield the provenance of each judged exchange, and the id of its operation."""
        for provenance, operations in self.operations_by_provenance.items():
            for operation in operations:
                yield Provenance(provenance), operation


# Defines what was sent and received for one case, before it is judged.


@dataclass
class SentCase:
    """What was sent and received for one case. It is filled while the case is sent."""

    case: ConformanceCase
    """The case as it was planned."""
    exchanges: list[Exchange] = field(default_factory=list)
    """All complete exchanges, in the order of sending."""
    incomplete_exchanges: Sequence[Exchange] = ()
    """One exchange, without a body, for each attempt whose response was incomplete. They may have been charged."""
    subjects: list[CheckSubject] = field(default_factory=list)
    """The subjects that the rules judge."""
    status: int | None = None
    """HTTP status of the response that is judged; `None` if no response is judged."""
    no_verdict_reason: str | None = None
    """Why there is no verdict; `None` if there is one."""
    judged_exchange: Exchange | None = None
    """The exchange that is judged; `None` if the case is not a single call."""
    no_response_error: TransportError | None = None
    """The error of the last attempt, if no complete response (of a delivery: none at all) arrived; else `None`."""
    error: BaseException | None = None
    """What ended the case early: an error of the tool or of the network, or a cancellation; `None` if nothing did."""
    spent_usd: float = 0.0
    """Dollars that were charged to the budget."""
    is_skipped: bool = False
    """Whether the case was not sent at all; `no_verdict_reason` says why."""
    interruptions: Sequence[Interruption] = ()
    """How the service reacted to each interruption of the case."""
    earlier_judgement: CaseJudgement | None = None
    """What an earlier check judged of the case, which is then not sent again; `None` if none has judged it."""

    @property
    def calls(self) -> list[Call]:
        """The subjects that are calls: single requests with their responses."""
        return [subject for subject in self.subjects if isinstance(subject, Call)]

    @property
    def has_verdict(self) -> bool:
        """Whether the case came to its end, and everything that was received can be judged."""
        return self.no_verdict_reason is None and self.error is None

    @property
    def exceeds_budget(self) -> bool:
        """Whether nothing was sent because less is left of the budget than the case costs."""
        return isinstance(self.error, BudgetError) and not self.exchanges


# Makes what rules judge from the exchanges of a delivery, or from one response with audio.


_GENERIC_MEDIA_TYPES = ("", "application/octet-stream", "binary/octet-stream")
"""Media types that may declare audio without naming its format."""


def read_response_delivery(call: Call, *, has_documented_text: bool = True) -> SpeechDelivery | None:
    """Return the audio in an accepted response as a delivery; `None` if the response contains no audio to judge.

    A response with a job or a link contains no audio: further requests would fetch it. Raw PCM with an undocumented
    sample rate is only judged in complete deliveries.

    Args:
        call: the call.
        has_documented_text: whether the documents say that the text of this request is spoken. If they do not, the
            duration of the audio is not judged.
    """
    target = call.target
    location = target.response.audio if target is not None else None
    if target is None or location is None or not call.is_accepted:
        return None
    audio = _read_audio_of_call(call, location)
    speech = read_speech_request(call, target)
    if not audio or not any(character.isalnum() for character in speech.text):
        return None  # such a text contains nothing to speak, and no document says whether there should be audio
    media_type = call.exchange.response.media_type or None if location.delivery_method == "bytes" else None
    delivery = Delivery(
        target=target.id,
        exchanges=(call.exchange,),
        submit_count=1,
        audio=audio,
        media_type=media_type,
        audio_exchange_index=0,
        submit_exchange_index=0,
    )
    delivered = SpeechDelivery(
        target, speech, delivery, has_ordinary_text=has_documented_text and is_ordinary_text(speech.text)
    )
    return None if delivered.has_unknown_sample_rate else delivered


def _read_audio_of_call(call: Call, response_audio: ResponseAudio) -> bytes:
    if response_audio.delivery_method == "stream":
        return read_streamed_audio(call)
    if response_audio.delivery_method == "base64":
        return read_inline_audio(call, response_audio)
    media_type = call.exchange.response.media_type
    is_audio = response_audio.delivery_method == "bytes" and (
        media_type.startswith("audio/") or media_type in _GENERIC_MEDIA_TYPES
    )
    return call.exchange.response.body if is_audio else b""


def read_inline_audio(call: Call, response_audio: ResponseAudio) -> bytes:
    """Return the base64 audio in a JSON response; empty if there is none, for a data URL, and if it is not valid."""
    text = call.read_response_value(response_audio.location)
    if not isinstance(text, str) or text.startswith("data:"):
        return b""
    try:
        return decode_base64(text)
    except ValueError:
        return b""


def read_streamed_audio(call: Call) -> bytes:
    """Return the audio of a stream that ended without an error.

    The result is empty for a stream that broke off, failed or cannot be read, which other rules report.
    """
    if call.event_stream is None or not call.event_stream.is_complete or call.event_stream.has_failed:
        return b""
    try:
        return b"".join(chunk for _, chunk in call.event_stream.iterate_audio_events())
    except UnreadableBodyError:
        return b""


def read_speech_request(submit_call: Call, target: Target) -> SpeechRequest:
    """Return the speech that a request asks for, in provider-independent terms."""
    values = {
        name: submit_call.read_request(target.speech.request_fields[name].location)
        for name in ("text", "language", "format", "speed")
        if name in target.speech.request_fields
    }
    text = values.get("text", MISSING)
    speed = values.get("speed", MISSING)
    return SpeechRequest(
        text=target.speech.request_fields["text"].remove_template(text) if isinstance(text, str) else "",
        # Values of a wrong type, which some cases send on purpose, say nothing about the speech.
        language=language if isinstance(language := values.get("language"), str) else None,
        format=format_name if isinstance(format_name := values.get("format"), str) else None,
        speed=read_finite_number(speed),
    )


def iterate_delivery_subjects(
    target: Target, speech_request: SpeechRequest, delivery: Delivery, polls_after_end: Sequence[Exchange] = ()
) -> Iterator[CheckSubject]:
    """Yield the subjects of one delivery: its calls with their outcomes, its job, and the audio.

    Args:
        target: the target of the delivery.
        speech_request: the requested speech.
        delivery: the delivery, successful or not.
        polls_after_end: polls that were sent after the job had ended.
    """
    contract, status = target.contract, target.job_operation
    index = delivery.submit_exchange_index
    submit = None if index is None else Call(target.operation, delivery.exchanges[index], target)
    polls: list[Call] = []
    for exchange in (*delivery.exchanges, *polls_after_end):
        operation = contract.operations.get(exchange.operation)
        if operation is None or (submit is not None and exchange is submit.exchange):
            continue
        call = Call(operation, exchange, target, submit_call=submit)
        polls += [call] if operation is status else []
        yield call
        if operation is not target.operation:  # of repeated submits only the last one must be accepted
            yield from _iterate_outcomes_of_call(call)
    if submit is not None:
        yield submit
        yield from _iterate_outcomes_of_call(submit)
        if status is not None and submit.is_accepted:
            observations = delivery.job.observations if delivery.job is not None else ()
            timed_out = _has_exceeded_documented_time(observations, status)
            yield JobHistory(submit, tuple(polls), status, is_timed_out=timed_out, state_observations=observations)
    if delivery.exchanges and not (delivery.failure is not None and delivery.failure.kind == "interrupted"):
        # If success was only reported after the client had stopped waiting for it, no audio is expected.
        before_end = polls[: len(polls) - len(polls_after_end)]
        yield SpeechDelivery(
            target, speech_request, delivery, is_successful=_is_audio_reported_ready(submit, before_end, status)
        )


def _has_exceeded_documented_time(observations: Sequence[StateObservation], status_operation: Operation) -> bool:
    """Whether the job was still unfinished in a poll after its documented maximum time.

    The result is false if waiting ended earlier, for example because of a shorter limit that the user set.
    """
    if not observations or status_operation.job is None:
        return False
    last = observations[-1]
    state = status_operation.job.states.get(last.state)
    return last.response_began_ms >= status_operation.job.poll_schedule.job_timeout_s * 1000 and (
        state is None or state.terminal_outcome is None
    )


def _iterate_outcomes_of_call(call: Call) -> Iterator[CaseOutcome]:
    """Yield the outcome of a call that should be accepted; yield nothing if its status proves nothing."""
    # The client has repeated the request as often as the contract asks for; a service that is still busy is not wrong.
    is_temporary = call.status in call.contract.provider.retry_policy.retried_statuses
    if is_temporary or explain_rejected_account(call.operation, call.status) is not None:
        return
    is_submit = call.operation.speech is not None
    description = "a valid request" if is_submit else f"{call.operation.id} for a job that was accepted"
    yield CaseOutcome(call, expect_acceptance(description, call.operation.pointer))


def _is_audio_reported_ready(
    submit_call: Call | None, poll_calls: Sequence[Call], status_operation: Operation | None
) -> bool:
    """Whether the service reports that the audio is ready: by the success of the job or, without jobs, of the submit.

    Args:
        submit_call: the call that requested the audio; `None` if it was not observed.
        poll_calls: the status requests about the job.
        status_operation: the operation of the status requests; `None` if the target has no jobs.
    """
    if status_operation is None or status_operation.job is None:
        return (
            submit_call is not None
            and submit_call.is_accepted
            and not (submit_call.event_stream is not None and submit_call.event_stream.has_failed)
        )
    return any(
        state.terminal_outcome == "success"
        for state in _iterate_documented_states(submit_call, poll_calls, status_operation)
    )


def _iterate_documented_states(
    submit_call: Call | None, poll_calls: Sequence[Call], status_operation: Operation
) -> Iterator[JobState]:
    """Yield the documented states that were reported for a job, by polls or by the response to its submit.

    Args:
        submit_call: the call that submitted the job; `None` if it was not observed.
        poll_calls: the status requests about the job.
        status_operation: the operation of the status requests.
    """
    job = status_operation.job
    assert job is not None, "only called for status operations"
    reports = [(poll, job.read_state) for poll in poll_calls]
    if submit_call is not None:
        reports.insert(0, (submit_call, job.read_submit_state))
    for call, read_state in reports:
        state = job.states.get(str(read_state(call.read_response_value))) if call.is_accepted else None
        if state is not None:
            yield state


# Fetches the audio that the response to an accepted upload of audio contains or links to.


async def fetch_audio_of_call(
    client: Client, target: AudioInputTarget, case: ConformanceCase, call: Call
) -> tuple[AudioInputCall, list[Exchange]]:
    """Return an accepted `call` with the audio of its response, and the exchanges that downloaded the audio."""
    sentence = choose_recorded_sentence(target)
    response_files = await fetch_response_audio(client, target, call.exchange)
    # Other uploads are too long, too short or damaged, so it is not known what a recognizer should find in them.
    is_known = find_uploaded_audio(target, case) == sentence.file.data
    subject = AudioInputCall(
        target.operation,
        call.exchange,
        request_intent=call.request_intent,
        audio_input_target=target,
        reference_transcript=sentence.text if is_known and not _selects_other_format(target, case, call) else None,
        response_audio_files=response_files.audio_files,
        download_error=response_files.failure.message if response_files.failure else None,
    )
    return subject, list(response_files.exchanges)


def _selects_other_format(target: AudioInputTarget, case: ConformanceCase, call: Call) -> bool:
    """Whether a case sends more than the target needs, and got subtitles or JSON in place of the transcript itself.

    A parameter that the target does not describe may select the format of a plain body.
    """
    use, request = target.transcription, case.request
    if use is None or use.response.subtitle_format is not None or use.response.text_location.pointer_tokens:
        return False
    needed = add_required_fields(
        target.operation, build_audio_input_request(target, choose_recorded_sentence(target).file)
    )
    sends_more = request is not None and (
        set(request.query_parameters) > set(needed.query_parameters)
        or (isinstance(request.body, dict) and set(request.body) > set(needed.body or ()))
    )
    return sends_more and is_subtitles_or_json_or_table(call.exchange.response.body.decode(errors="replace"))

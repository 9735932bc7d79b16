"""Plans what is more than one response: deliveries and pairs of them, webhooks, and turns on WebSockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from voicegauge.cases.case import (
    ApiKeyValidity,
    CallbackUrlParameter,
    ConformanceCase,
    DeliveryComparison,
    SkippedCase,
    SocketScenario,
    build_case,
    expect_acceptance,
    find_rejection_statuses,
)
from voicegauge.cases.valid_requests import add_headers, is_valid_body, load_spoken_sentence, set_body_value
from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.contract import BaseSocketTarget, Contract, SocketTarget, Target, TranscriptionSocketTarget
from voicegauge.contract.extension.jobs import CallbackTiming
from voicegauge.contract.operation import Operation
from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.errors import UsageError
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import TRAILING_SILENCE_S
from voicegauge.rules.call import ExpectedResponse, find_documented_default, find_request_schema
from voicegauge.rules.delivery_groups import MIN_COMPARED_SPEED_CHANGE
from voicegauge.rules.subjects import ComparedParameter


def build_delivery_case(
    target: Target,
    speech_request: SpeechRequest,
    description: str,
    *,
    expects_job_failure: bool = False,
    comparison: DeliveryComparison | None = None,
    companion_request: SpeechRequest | None = None,
) -> ConformanceCase:
    """Return the case of a delivery, whose price is that of both texts if it has a companion.

    Args:
        target: the target.
        speech_request: the speech to request.
        description: what is special about the delivery.
        expects_job_failure: whether the job or the stream should end in failure.
        comparison: the delivery to compare with; `None` for no comparison.
        companion_request: the speech that is requested at the same moment; `None` for none.
    """
    return build_case(
        target.operation,
        expect_acceptance(description, target.pointer),
        target_name=target.name,
        id_prefix=target.id,
        speech_request=speech_request,
        expects_job_failure=expects_job_failure,
        comparison=comparison,
        companion_request=companion_request,
        text_character_count=sum(
            target.count_charged_characters(request.text)
            for request in (speech_request, companion_request)
            if request is not None
        ),
    )


def plan_failing_deliveries(target: Target, speech_request: SpeechRequest) -> Iterator[ConformanceCase]:
    """Yield one delivery for each documented failure, with which the emulator ends the delivery on demand."""
    job = target.job_operation.job if target.job_operation else None
    states = job.states if job else {}
    events = target.stream.events if target.stream else {}
    failures = [
        (name, f"a job that ends as {name}") for name, state in states.items() if state.terminal_outcome == "failure"
    ]
    failures += [
        (name, f"a stream that ends in {name}") for name, event in events.items() if event.terminal_outcome == "failure"
    ]
    for name, description in failures:
        extra = {**speech_request.extra, f"header.{SCENARIO_HEADER}": f"state:{name}"}
        yield build_delivery_case(
            target, msgspec.structs.replace(speech_request, extra=extra), description, expects_job_failure=True
        )


def plan_compared_deliveries(
    target: Target, speech: SpeechRequest, base_case_id: str, *, includes_companion: bool
) -> Iterator[ConformanceCase]:
    """Yield the deliveries that are compared with that of `base_case_id`: one for each format and changed parameter."""
    for name in target.target_spec.supported_formats if "format" in target.speech.request_fields else ():
        in_format = msgspec.structs.replace(speech, format=name)
        comparison = DeliveryComparison(
            compared_parameter="format", base_case_id=base_case_id, base_value=speech.format, changed_value=name
        )
        yield build_delivery_case(target, in_format, f"a full delivery as {name}", comparison=comparison)
    companion = _plan_delivery_with_companion(target, speech) if includes_companion else None
    for related in (*plan_related_deliveries(target, speech), *([companion] if companion is not None else [])):
        base = f"{base_case_id} with {related.base_description}" if related.base_description else base_case_id
        comparison = DeliveryComparison(
            compared_parameter=related.compared_parameter,
            base_case_id=base,
            base_value=related.base_value,
            changed_value=related.changed_value,
        )
        yield build_delivery_case(
            target,
            related.speech_request,
            f"a full delivery with {related.description}",
            comparison=comparison,
            companion_request=related.companion_request,
        )


# Chooses what differs between two compared deliveries.


ASSUMED_DEFAULT_SPEED = 1.0
"""The assumed default speed if no default is documented. Speeds are factors."""
_PREFERRED_SPEEDS = (2.0, 1.5, 0.5)
"""Speeds to try, in this order. Speech is still natural at these speeds, but often not at the bounds of a range."""
_MARKUP_TAGS_WITHOUT_EFFECT = ('<prosody rate="medium">', "</prosody>")
"""An opening and a closing tag of SSML 1.0 that can be nested, and ask for the normal speaking rate (section 3.2.4)."""
_MARKUP_TAG_PAIR_COUNT = 4
"""Number of nested pairs of `_MARKUP_TAGS_WITHOUT_EFFECT` around the text."""
_CANDIDATE_SEEDS = (12345, 1)
"""Seeds to send. The first one that is valid and not the default is sent."""
MAX_LANGUAGES_TRIED = 3
"""Maximum number of other languages for which a valid request is searched. Only one language is sent."""
_LATIN_SCRIPT_LANGUAGES = ("en", "fr", "de", "es", "it", "pt", "nl", "pl")
"""Languages that are written in the Latin script. A text in another script cannot be detected as one of them."""
_OTHER_SCRIPT_LANGUAGES = ("zh", "ja", "ko", "ru", "ar", "hi", "el", "he", "th")
"""Languages that are not written in the Latin script. A Latin text cannot be detected as one of them."""
_LANGUAGE_DETECTION_VALUE = "auto"
"""A value that some services list among their languages: it asks the service to detect the language of the text."""


class RelatedDelivery(NamedTuple):
    """A delivery with one changed or repeated parameter, which is compared with an earlier delivery.

    The earlier delivery is the plain one, of the unchanged request, unless `base_description` names another one.
    """

    compared_parameter: ComparedParameter
    speech_request: SpeechRequest
    """The speech to request, in which the parameter is changed."""
    base_value: Any
    """Value of the parameter in the unchanged request, or the documented default; `None` if neither is known."""
    changed_value: Any
    """Value of the parameter in `speech_request`."""
    description: str
    """The change in words, such as "speed 2"."""
    base_description: str | None = None
    """Description of the earlier related delivery to compare with; `None` for the plain delivery."""
    companion_request: SpeechRequest | None = None
    """The speech of a second delivery, the companion, requested at the same moment; `None` without one."""


def plan_related_deliveries(target: Target, speech_request: SpeechRequest) -> Iterator[RelatedDelivery]:
    """Yield the deliveries that are compared with the plain delivery of a request.

    Those that show most faults come first.
    """
    text = speech_request.text
    for found in (
        _plan_changed_speed(target, speech_request),
        _plan_changed_voice(target, speech_request),
        RelatedDelivery(
            "text", msgspec.structs.replace(speech_request, text=f"{text} {text}"), 1, 2, description="the text twice"
        ),
        _plan_omitted_format(target, speech_request),
        _plan_added_markup(target, speech_request),
        _plan_changed_language(target, speech_request),
        _plan_changed_seed(target, speech_request),
        _repeat_delivery_with_changed_seed(target, speech_request),
    ):
        if found is not None and _is_valid_request(target, found.speech_request):
            yield found


def _plan_delivery_with_companion(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return a plan to send `speech_request` at the same time as a companion, which has its words in reverse order.

    A service that confuses requests in flight delivers the audio of one for the other. The companion's text costs as
    much, and a comparison of spectra tells both apart. The result is `None` if the reversed text is equal or not valid.
    """
    other = msgspec.structs.replace(speech_request, text=" ".join(reversed(speech_request.text.split())))
    if other.text == " ".join(speech_request.text.split()) or not _is_valid_request(target, other):
        return None
    return RelatedDelivery(
        "companion", speech_request, None, other.text, "another text in flight", companion_request=other
    )


def _is_valid_request(target: Target, speech_request: SpeechRequest) -> bool:
    try:
        return is_valid_body(target.operation, map_speech_request(target, speech_request))
    except UsageError:
        return False


def _plan_changed_speed(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return a delivery at another speed; `None` if no documented speed differs enough from the default."""
    mapping = target.speech.request_fields.get("speed")
    if mapping is None:
        return None
    schema = find_request_schema(target.operation, mapping.location, target.target_spec.request_media_type)
    default = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    base = float(default) if isinstance(default, int | float) and default > 0 else ASSUMED_DEFAULT_SPEED
    low, high = schema.get("minimum", 0), schema.get("maximum", 0)
    for speed in _PREFERRED_SPEEDS:
        # Without a documented bound, a speed could be rejected as too high, which would be no finding about its effect.
        is_allowed = low <= speed <= high if high else False
        if is_allowed and max(speed / base, base / speed) >= MIN_COMPARED_SPEED_CHANGE:
            changed = msgspec.structs.replace(speech_request, speed=speed)
            return RelatedDelivery("speed", changed, base, speed, f"speed {speed:g}")
    return None


def _plan_changed_voice(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return a delivery with another voice; `None` if no other one is known, or if the voice is that of a sample."""
    mapping = target.speech.request_fields.get("voice")
    used = target.target_spec.default_voice
    if (
        mapping is None
        or used is None
        or speech_request.voice_sample is not None
        or target.target_spec.default_voice_sample_url is not None
    ):
        return None
    schema = find_request_schema(target.operation, mapping.location, target.target_spec.request_media_type)
    # A voice whose name ends with the same language mark as the used one, such as "[EN]", is tried first.
    named = sorted(schema.get("enum", ()), key=lambda name: str(name)[-4:] != used[-4:])
    known = (
        *named,
        *schema.get("examples", ()),
        *_iterate_voices_in_examples(target, mapping.location),
        *target.target_spec.default_voice_by_language.values(),
    )
    voice = next((name for name in known if name != used), None)
    if not isinstance(voice, str):
        return None
    return RelatedDelivery(
        "voice", msgspec.structs.replace(speech_request, voice=voice), used, voice, f"the voice {voice}"
    )


def _iterate_voices_in_examples(target: Target, voice_location: Location) -> Iterator[Any]:
    """Yield the voices in the documented requests of the contract that address the model of `target`."""
    constants = {
        location.pointer_tokens[-1]: value
        for location, value in target.target_spec.request_constants.items()
        if location.pointer_tokens
    }
    if voice_location.message_part != "body" or not constants:
        return
    for operation in target.contract.operations.values():
        for media in operation.request_media.values():
            for example in media.examples:
                for item in _iterate_nested_objects(example.value):
                    if voice_location.pointer_tokens[-1] in item and constants.items() <= item.items():
                        yield item[voice_location.pointer_tokens[-1]]


def _iterate_nested_objects(json_value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a JSON value, the value itself first if it is an object."""
    if isinstance(json_value, dict):
        yield json_value
    for inner in (
        json_value.values() if isinstance(json_value, dict) else json_value if isinstance(json_value, list) else ()
    ):
        yield from _iterate_nested_objects(inner)


def _plan_omitted_format(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return the same delivery without a format, which should have audio in the documented default format.

    The result is `None` unless other requests to the target name a format, a default format is documented, and the
    audio is downloaded from a URL. For audio that is in a response, the cases that combine fields test the default
    format: they leave out the format too, but download nothing.
    """
    mapping, response_audio = target.speech.request_fields.get("format"), target.response_audio
    used = speech_request.format or target.target_spec.default_format
    if mapping is None or used is None or response_audio is None or response_audio.delivery_method != "url":
        return None
    default = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    if default is MISSING:
        return None
    changed = msgspec.structs.replace(speech_request, format=None, leaves_out_format=True)
    return RelatedDelivery("format", changed, used, default, "the default format")


def _plan_added_markup(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return a delivery with tags in the text that do not change the speech; `None` if the field takes no markup."""
    mapping = target.speech.request_fields["text"]
    if mapping.markup_language is None:
        return None
    escaped = mapping.fill_template(speech_request.text)
    before, _, after = mapping.text_template.partition("{}")
    inner = escaped[len(before) : len(escaped) - len(after)]
    opening, closing = (tag * _MARKUP_TAG_PAIR_COUNT for tag in _MARKUP_TAGS_WITHOUT_EFFECT)
    marked = f"{before}{opening}{inner}{closing}{after}"
    changed = msgspec.structs.replace(speech_request, extra={**speech_request.extra, str(mapping.location): marked})
    return RelatedDelivery(
        "markup", changed, None, _MARKUP_TAGS_WITHOUT_EFFECT[0], f"{_MARKUP_TAG_PAIR_COUNT} tags that change nothing"
    )


def _plan_changed_language(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return a delivery of the same text in another language; `None` if no other one is documented and valid."""
    if "language" not in target.speech.request_fields or len(target.target_spec.supported_languages) < 2:
        return None
    used = target.target_spec.default_language
    # Without a language, the service may detect that of the text, so only one that it cannot detect is another one.
    if used is None or used == _LANGUAGE_DETECTION_VALUE:
        others = [
            name
            for name in target.target_spec.supported_languages
            if _is_written_in_other_script(_get_primary_language(name), speech_request.text)
        ]
    else:
        others = [
            name
            for name in target.target_spec.supported_languages
            if _get_primary_language(name) not in (_get_primary_language(used), _LANGUAGE_DETECTION_VALUE)
        ]
    for language in others[:MAX_LANGUAGES_TRIED]:
        changed = msgspec.structs.replace(speech_request, language=language)
        if _is_valid_request(target, changed):
            return RelatedDelivery(
                "language", changed, target.target_spec.default_language, language, f"the language {language}"
            )
    return None


def _is_written_in_other_script(language: str, text: str) -> bool:
    """Whether `text` is in a script in which `language` is not written, so that detection cannot yield `language`."""
    is_latin = sum(character.isascii() for character in text) > len(text) / 2
    return language in (_OTHER_SCRIPT_LANGUAGES if is_latin else _LATIN_SCRIPT_LANGUAGES)


def _get_primary_language(language: str) -> str:
    """Return the primary subtag of a language tag, such as "en" for "en-US"."""
    return language.lower().replace("_", "-").partition("-")[0]


def _plan_changed_seed(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return a delivery with a seed other than the default; `None` if no such seed is valid."""
    mapping = target.speech.request_fields.get("seed")
    if mapping is None:
        return None
    default = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    base = None if default is MISSING else default
    for seed in _CANDIDATE_SEEDS:
        changed = msgspec.structs.replace(speech_request, seed=seed)
        if seed != base and _is_valid_request(target, changed):
            return RelatedDelivery("seed", changed, base, seed, f"the seed {seed}")
    return None


def _repeat_delivery_with_changed_seed(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return a second delivery with the same changed seed; `None` if a seed does not promise the same audio."""
    first = _plan_changed_seed(target, speech_request)
    if first is None or not target.speech.request_fields["seed"].is_seed_reproducible:
        return None
    return first._replace(
        compared_parameter="repetition",
        base_value=first.changed_value,
        description=f"{first.description} again",
        base_description=first.description,
    )


# Adds webhooks to the first delivery of an operation.


UNENCRYPTED_CALLBACK_URL = "http://webhook.invalid/plain"
"""A webhook URL without TLS. Names in .invalid never resolve (RFC 6761), so no callback is delivered if a service
accepts the URL by mistake."""


def add_webhook_cases(
    cases: Iterable[ConformanceCase | SkippedCase], contracts: Mapping[str, Contract]
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield `cases`, and for each operation with `x-webhook` further cases that contain a webhook URL.

    The further cases follow the first delivery, or representative case, of the operation and differ only in the URL.

    Args:
        cases: the planned cases.
        contracts: the contracts of the providers of `cases`, by provider id.
    """
    seen: set[tuple[str, str]] = set()
    for case in cases:
        yield case
        if isinstance(case, SkippedCase) or case.expects_job_failure:
            continue
        if case.speech_request is None and not case.is_in_every_plan:
            continue
        operation = contracts[case.provider].find_operation(case.operation)
        if operation.webhook is not None and (case.provider, case.operation) not in seen:
            seen.add((case.provider, case.operation))
            yield from _iterate_webhook_cases(case, operation)


def _iterate_webhook_cases(base_case: ConformanceCase, operation: Operation) -> Iterator[ConformanceCase]:
    """Yield `base_case` with a webhook URL in each documented mode, and with an http URL if https is required."""
    assert operation.webhook is not None
    name = base_case.id.partition(":")[0]
    for index, url in enumerate(operation.webhook.url_fields):
        # Without a mode field, services send a callback about the end only.
        modes: Iterable[tuple[str | None, CallbackTiming]] = (
            [(None, "terminal")] if url.mode_field is None else url.mode_field.timing_by_value.items()
        )
        for mode, callback_timing in modes:
            description = f"a webhook at {url.location}{f' in mode {mode}' if mode else ''}"
            expected = expect_acceptance(description, f"{operation.pointer}/x-webhook/url_fields/{index}")
            case = (
                base_case
                if url.mode_field is None or mode is None
                else set_value_in_case_request(base_case, url.mode_field.location, mode)
            )
            yield msgspec.structs.replace(
                case,
                id=f"{name}: {description}",
                expected_response=expected,
                callback_url_parameter=CallbackUrlParameter(location=url.location, callback_timing=callback_timing),
                is_in_every_plan=False,
            )
        if operation.webhook.requires_https:
            yield _build_plain_http_case(base_case, operation, name, url.location)


def _build_plain_http_case(
    base_case: ConformanceCase, operation: Operation, case_name: str, location: Location
) -> ConformanceCase:
    """Return the request of `base_case` with an http URL, as a single call: no job follows a rejection."""
    expected = ExpectedResponse(
        acceptance="rejected",
        statuses=find_rejection_statuses(operation, "invalid"),
        case_kind="plain-http",
        description=f"a webhook with plain http at {location}",
        contract_pointer=f"{operation.pointer}/x-webhook/requires_https",
    )
    case = set_value_in_case_request(base_case, location, UNENCRYPTED_CALLBACK_URL)
    request = case.request
    if case.speech_request is not None:
        target = operation.contract.find_target_by_name(case.target_name or "")
        request = map_speech_request(target, case.speech_request)
    return msgspec.structs.replace(
        base_case,
        id=f"{case_name}: {expected.description}",
        expected_response=expected,
        request=request,
        speech_request=None,
        is_in_every_plan=False,
    )


def set_value_in_case_request(case: ConformanceCase, location: Location, value: str) -> ConformanceCase:
    """Return `case` with `value` at a location of its request."""
    if case.speech_request is not None:
        speech = msgspec.structs.replace(case.speech_request, extra={**case.speech_request.extra, str(location): value})
        return msgspec.structs.replace(case, speech_request=speech)
    assert case.request is not None, "a case has speech or a request"
    if location.message_part == "header":
        request = add_headers(case.request, {location.name: value})
    elif location.message_part == "body":
        request = set_body_value(case.request, location.pointer_tokens, value)
    else:
        request = msgspec.structs.replace(
            case.request, query_parameters={**case.request.query_parameters, location.name: value}
        )
    return msgspec.structs.replace(case, request=request)


# Plans turns, interruptions and wrong keys on WebSockets.


TEXT_LANGUAGE = "en"
"""Language of the texts of all turns."""
TURN_TEXT = "Good morning. This is a short test of a long story. We will begin with seven small boats."
"""The text of most turns: three sentences, so that a service begins before the end."""
SIMULTANEOUS_TURN_TEXT = "Please remember the yellow umbrella. Nobody saw where the old piano went."
"""Text of a turn that is spoken at the same time as another turn."""
LONG_TEXT = (
    "The train to the coast leaves from platform nine every morning. It stops in four villages on the way. "
    "Passengers with bicycles should board the last carriage. The journey takes about two hours in good weather."
)
"""Text of a turn that is interrupted."""
ANSWER_TEXT = "Of course, I will wait here."
"""Text of the turn after an interruption."""
INTERRUPTION_COUNT = 20
"""Number of interrupted turns in one case at the emulator, each followed by another turn."""
STREAMED_TURN_COUNT = 2
"""Number of recordings that are streamed one after the other on one connection."""
_LIVE_INTERRUPTION_COUNT = 3
"""Number of interrupted turns in one case at a live service, which charges for each turn."""


def plan_socket_cases(
    target: SocketTarget, *, is_emulated: bool, include_all_billable_cases: bool
) -> Iterator[ConformanceCase]:
    """Yield the cases of a target that is reached over a WebSocket.

    Args:
        target: the target.
        is_emulated: whether the emulator responds, at which nothing is charged.
        include_all_billable_cases: whether every case that costs money is planned, instead of only one connection with
            a few turns.
    """
    spec = target.spec
    if target.needs_key or spec.sends_key_in_message:
        yield _build_key_case(target, "missing")
        yield _build_key_case(target, "wrong")
    # Whole, in pieces and, if that exists, with a flush: one case, because each turn is compared with the first.
    turns = 2 + ("flush" in spec.client_messages and spec.turn.ends_with != "flush-end")
    yield _build_socket_case(target, SocketScenario(kind="turns", turn_count=turns), "turns", TURN_TEXT * turns)
    if not include_all_billable_cases:
        return
    if spec.has_contexts:
        text = (TURN_TEXT + SIMULTANEOUS_TURN_TEXT) * 2
        yield _build_socket_case(target, SocketScenario(kind="parallel", turn_count=4), "two turns at once", text)
    default = next(iter(target.target_spec.formats))
    for name in target.target_spec.formats:
        if name != default:
            scenario = SocketScenario(kind="format", format_name=name, turn_count=2)
            yield _build_socket_case(target, scenario, f"a turn as {name}", TURN_TEXT * 2)
    if target.can_be_interrupted:
        count = INTERRUPTION_COUNT if is_emulated else _LIVE_INTERRUPTION_COUNT
        scenario = SocketScenario(kind="interruptions", interruption_count=count, turn_count=1 + 2 * count)
        text = ANSWER_TEXT + (LONG_TEXT + ANSWER_TEXT) * count
        yield _build_socket_case(target, scenario, f"{count} interruptions", text)
    if spec.limits.contexts is not None and spec.limits.contexts.close_code is not None and is_emulated:
        yield _build_socket_case(target, SocketScenario(kind="contexts"), "more contexts than allowed", "")


def plan_transcription_cases(
    target: TranscriptionSocketTarget, *, include_all_billable_cases: bool
) -> Iterator[ConformanceCase]:
    """Yield the cases of a target that transcribes.

    Args:
        target: the target.
        include_all_billable_cases: whether every documented format is streamed, not only the first.
    """
    if target.needs_key or target.spec.sends_key_in_message:
        yield _build_key_case(target, "missing")
        yield _build_key_case(target, "wrong")
    sentence = load_spoken_sentence()
    for number, name in enumerate(target.target_spec.formats):
        if number and not include_all_billable_cases:
            break
        turns = 1 if number else STREAMED_TURN_COUNT
        description = f"a recording as {name}" if number else "recordings"
        yield build_case(
            target.operation,
            expect_acceptance(description, f"{target.operation.pointer}/x-socket"),
            target_name=target.name,
            id_prefix=target.id,
            socket_scenario=SocketScenario(kind="transcription", format_name=name, turn_count=turns),
            audio_duration_s=turns * (sentence.audio_duration_s + TRAILING_SILENCE_S),
            is_in_every_plan=not number,
        )


def _build_socket_case(target: SocketTarget, scenario: SocketScenario, description: str, text: str) -> ConformanceCase:
    return build_case(
        target.operation,
        expect_acceptance(description, f"{target.operation.pointer}/x-socket"),
        target_name=target.name,
        id_prefix=target.id,
        socket_scenario=scenario,
        text_character_count=target.count_charged_characters(text),
        is_in_every_plan=scenario.kind == "turns",
    )


def _build_key_case(target: BaseSocketTarget, validity: ApiKeyValidity) -> ConformanceCase:
    description = "no API key" if validity == "missing" else "a wrong API key"
    expected = ExpectedResponse(
        acceptance="rejected",
        statuses=find_rejection_statuses(target.operation, "unauthorized"),
        case_kind="authentication",
        description=description,
        contract_pointer=target.operation.pointer,
    )
    return build_case(
        target.operation,
        expected,
        target_name=target.name,
        id_prefix=target.id,
        api_key_validity=validity,
        socket_scenario=SocketScenario(kind="key"),
    )

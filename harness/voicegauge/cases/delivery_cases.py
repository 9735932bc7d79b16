"""Plans deliveries: plain ones, those that fail on demand, and those that are compared with a plain one.

Each compared pair costs one further request, because the plain delivery, with which it is compared, is planned for
every target in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from voicegauge.cases.case import ConformanceCase, DeliveryComparison, build_case, expect_acceptance
from voicegauge.cases.valid_requests import is_valid_body
from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.contract import Target
from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.errors import UsageError
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import SpeechRequest
from voicegauge.rules.call import find_documented_default, find_request_schema
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
    """Yield the deliveries that are compared with the plain one: in each other format, and related ones."""
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
MIN_COMPARED_SPEED_RATIO = 1.4
"""Smallest factor between two compared speeds. A smaller difference is lost in the variation between two syntheses."""
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
    base_value: Any
    """Value of the parameter in the unchanged request, or the documented default; `None` if neither is known."""
    changed_value: Any
    description: str
    base_description: str | None = None
    """Description of the earlier related delivery to compare with; `None` for the plain delivery."""
    companion_request: SpeechRequest | None = None
    """The speech of the companion, which is requested at the same moment; `None` if the delivery has no companion."""


def plan_related_deliveries(target: Target, speech_request: SpeechRequest) -> Iterator[RelatedDelivery]:
    """Yield the deliveries that are compared with the plain delivery of a request.

    Those that show most faults come first.
    """
    for found in (
        _plan_changed_speed(target, speech_request),
        _plan_changed_voice(target, speech_request),
        _plan_repeated_text(target, speech_request),
        _plan_omitted_format(target, speech_request),
        _plan_added_markup(target, speech_request),
        _plan_changed_language(target, speech_request),
        _plan_changed_seed(target, speech_request),
        _repeat_delivery_with_changed_seed(target, speech_request),
    ):
        if found is not None and _is_valid_request(target, found.speech_request):
            yield found


def _plan_delivery_with_companion(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    """Return the unchanged delivery, with a companion whose text has the same words in reverse order.

    The companion's text costs as much, and a comparison of spectra tells both apart. The result is `None` if the
    reversed text is equal or not valid.
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
    mapping = target.speech.request_fields.get("speed")
    if mapping is None:
        return None
    schema = find_request_schema(target.operation, mapping.location, target.target_spec.request_media_type)
    default = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    base = float(default) if isinstance(default, int | float) and default > 0 else ASSUMED_DEFAULT_SPEED
    low, high = schema.get("minimum", 0), schema.get("maximum", 0)
    for speed in _PREFERRED_SPEEDS:
        is_allowed = low <= speed <= high if high else False
        if is_allowed and max(speed / base, base / speed) >= MIN_COMPARED_SPEED_RATIO:
            changed = msgspec.structs.replace(speech_request, speed=speed)
            return RelatedDelivery("speed", changed, base, speed, f"speed {speed:g}")
    return None


def _plan_changed_voice(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
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
    """Yield every object in a JSON value."""
    if isinstance(json_value, dict):
        yield json_value
    for inner in (
        json_value.values() if isinstance(json_value, dict) else json_value if isinstance(json_value, list) else ()
    ):
        yield from _iterate_nested_objects(inner)


def _plan_repeated_text(target: Target, speech_request: SpeechRequest) -> RelatedDelivery | None:
    del target
    twice = f"{speech_request.text} {speech_request.text}"
    return RelatedDelivery("text", msgspec.structs.replace(speech_request, text=twice), 1, 2, "the text twice")


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
    if "language" not in target.speech.request_fields or len(target.target_spec.supported_languages) < 2:
        return None
    used = target.target_spec.default_language
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

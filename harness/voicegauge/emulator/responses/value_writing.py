"""Writes the values of a request, a job or audio into the documented body of a response."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from voicegauge.contract import MISSING, MediaType, Target
from voicegauge.contract.extension import JobSpec, ResponseAudio
from voicegauge.emulator.audio import choose_media_type, find_format
from voicegauge.emulator.http import (
    can_have_value_at,
    format_time_like_example,
    iterate_schemas_at,
    read_value_at,
    write_value_at,
)
from voicegauge.emulator.responses.response import EmulatedResponse
from voicegauge.emulator.state import EmulatedJob
from voicegauge.formats import Location
from voicegauge.speech.audio import find_media_type_of_format

FILE_EXTENSION_BY_FORMAT = {"pcm_s16le": "pcm", "mulaw": "ulaw"}
"""File name extensions of the formats whose extension differs from the format name."""

LocationFilter = Callable[[MediaType | None, Any, Location], bool]
"""Function (documented media type, body, location) that returns whether a value is written at the location."""


def write_values(
    response: EmulatedResponse,
    values_by_location: Mapping[Location, Any],
    location_filter: LocationFilter | None = None,
) -> None:
    """Write `values_by_location` into the body, each at its location if `location_filter` accepts the location."""
    for location, value in values_by_location.items():
        if not location.is_in_body or not response.is_body_text_or_json:
            continue
        if location_filter is None or location_filter(response.documented_media_type, response.body, location):
            response.body = write_value_at(response.body, location, copy.deepcopy(value))


def write_audio(
    response: EmulatedResponse,
    response_audio: ResponseAudio,
    format_name: str,
    audio_url: str,
    audio_bytes: bytes | None,
) -> None:
    """Write audio, or its URL, where the contract documents it, together with its media type."""
    if response_audio.delivery_method == "stream":
        response.body = audio_bytes or b""
        documented = response.response_spec.media_types if response.response_spec is not None else {}
        stream_spec = response.target.stream if isinstance(response.target, Target) else None
        response.media_type = stream_spec.response_media_type if stream_spec is not None else None
        response.documented_media_type = documented.get(response.media_type or "")
        return
    if response_audio.delivery_method == "bytes":
        response.body = audio_bytes or b""
        set_audio_media_type(response, format_name)
        return
    value = audio_url if response_audio.delivery_method == "url" else base64.b64encode(audio_bytes or b"").decode()
    write_values(response, {response_audio.location: value})
    if (
        response_audio.media_type_location is not None
        and response_audio.media_type_location not in _get_target_constants(response)
    ):
        shown = _choose_reported_format(response, response_audio.media_type_location, format_name)
        write_values(response, {response_audio.media_type_location: shown})


def set_audio_media_type(response: EmulatedResponse, format_name: str) -> None:
    """Set the Content-Type of a response whose body is audio to the documented media type that fits best."""
    documented = response.response_spec.media_types if response.response_spec is not None else {}
    response.media_type = choose_media_type(format_name, documented) or find_media_type_of_format(format_name)
    response.documented_media_type = documented.get(response.media_type)


def _choose_reported_format(response: EmulatedResponse, location: Location, format_name: str) -> str:
    """Return the value with which a body reports a format: a documented value, else one in the example's style."""
    documented = list(_list_enumerated_texts(response, location))
    by_media_type = {value.partition(";")[0].strip().lower(): value for value in documented if "/" in value}
    found = choose_media_type(format_name, by_media_type)
    if found in by_media_type:
        return by_media_type[found]
    for value in documented:
        if find_format(value) == format_name:
            return value
    shown = read_value_at(response.body, location)
    is_short_name = isinstance(shown, str) and shown != "" and "/" not in shown
    return (
        FILE_EXTENSION_BY_FORMAT.get(format_name, format_name)
        if is_short_name
        else find_media_type_of_format(format_name)
    )


def _list_enumerated_texts(response: EmulatedResponse, location: Location) -> Iterator[str]:
    if response.documented_media_type is None:
        return
    for schema in iterate_schemas_at(
        response.documented_media_type.schemas, response.documented_media_type.schema, location.pointer_tokens
    ):
        yield from (value for value in (*schema.get("enum", ()), schema.get("const")) if isinstance(value, str))


def write_charges_and_balances(
    response: EmulatedResponse, amounts_by_location: Mapping[Location | None, float | None]
) -> None:
    """Write amounts of money or credits at their locations in the body or the headers; `None` is not written."""
    for location, amount in amounts_by_location.items():
        if location is None or amount is None:
            continue
        if location.message_part == "header":
            response.headers[location.name] = f"{amount:g}" if amount < 1e6 else str(amount)
        elif response.documented_media_type is not None:
            write_values(response, {location: _round_like_example(response, location, amount)}, can_have_value_at)


def _round_like_example(response: EmulatedResponse, location: Location, amount: float) -> int | float:
    """Return `amount` with the precision that the contract documents.

    It is rounded to an integer if the schema requires one, else to 6 decimal places. A whole number is returned as an
    integer if the example shows one.
    """
    assert response.documented_media_type is not None
    schemas = iterate_schemas_at(
        response.documented_media_type.schemas, response.documented_media_type.schema, location.pointer_tokens
    )
    if any(schema.get("type") == "integer" for schema in schemas):
        return round(amount)
    shown = read_value_at(response.body, location)
    exact = round(amount, 6)
    return int(exact) if isinstance(shown, int) and float(exact).is_integer() else exact


def write_job_times(response: EmulatedResponse, job_spec: JobSpec, job: EmulatedJob) -> None:
    """Write the times of a job, in the format of the documented examples."""
    state = job_spec.states.get(job.state)
    required = state.required_locations if state is not None else ()
    times = {
        job_spec.creation_time_location: job.created_at_s,
        job_spec.update_time_location: job.state_start_times_s[-1],
    }
    if state is not None and state.terminal_outcome is not None:
        times[job_spec.end_time_location] = job.state_start_times_s[-1]
    for location, at in times.items():
        if location is None or response.documented_media_type is None:
            continue
        shown = read_value_at(response.body, location)
        if shown not in (MISSING, None) or location in required:
            style = _find_time_format_example(response.documented_media_type, location, shown)
            write_values(response, {location: format_time_like_example(at, style)})


def _find_time_format_example(media_spec: MediaType, location: Location, current_value: Any) -> Any:
    """Return the value whose timestamp format is to be copied: the one in the body, else one in any example."""
    if current_value not in (MISSING, None):
        return current_value
    values = (read_value_at(example.value, location) for example in media_spec.examples)
    return next((value for value in values if value not in (MISSING, None)), None)


def _get_target_constants(response: EmulatedResponse) -> Mapping[Location, Any]:
    """Return the fixed values of the response's target."""
    return response.target.target_spec.emulation.response_constants if response.target is not None else {}

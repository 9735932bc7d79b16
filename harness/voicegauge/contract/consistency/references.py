"""What one part of a document says of another must be true: references, sources, places, states."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import Any, get_args

from voicegauge.contract.contract import Contract, MediaType, Operation
from voicegauge.contract.extension import (
    JobSpec,
    PriceSpec,
    RejectionReason,
    ResponseAudio,
    SourceReference,
    SpeechField,
    SpeechSpec,
    TargetSpec,
    TranscriptionSpec,
)
from voicegauge.contract.record_reader import convert_record
from voicegauge.contract.schema import Schemas, allows_location
from voicegauge.contract.targets import AudioInputSpec, Target
from voicegauge.contract.walking import walk_objects
from voicegauge.formats import Document, Location, LocationKind, escape, is_form, is_json

_SITUATIONS = get_args(RejectionReason)
_DEFAULTS: tuple[SpeechField, ...] = ("voice", "voice_description", "voice_sample_url", "language", "format")
"""Words for which a target may name a default."""
_PARAMETER = re.compile(r"/parameters/\d+$")
_NAMES_DOCUMENT = re.compile(r"/(x-source|source|disputed/\d+)$")
_RAW = ("pcm", "mulaw", "alaw", "ulaw")
"""Audio without a header: nothing but the contract tells its sample rate."""


def check_objects(schemas: Schemas, document: Document) -> None:
    """References must lead somewhere and not back to themselves; an operation id stands once.

    Raises:
        ContractError: names the line of the first object that is wrong.
    """
    leads: dict[str, list[str]] = {}
    operations: set[str] = set()
    for pointer, node in walk_objects(document.data):
        leads[pointer] = [f"{pointer}/{key}" for key in ("if", "then", "else", "not") if key in node]
        if isinstance(node.get("$ref"), str):
            found, at = schemas.resolve({"$ref": node["$ref"]}, f"{pointer}/$ref")
            leads[pointer].append(at)
            if _PARAMETER.search(pointer) and not (isinstance(found, dict) and {"name", "in"} <= found.keys()):
                raise document.error(f"{pointer}/$ref", f"$ref {node['$ref']!r} leads to no parameter")
        for key in ("allOf", "anyOf", "oneOf"):
            branches = node.get(key)
            leads[pointer] += [
                f"{pointer}/{key}/{i}" for i in range(len(branches) if isinstance(branches, list) else 0)
            ]
        name = node.get("operationId") if "responses" in node else None
        if isinstance(name, str):
            if name in operations:
                raise document.error(f"{pointer}/operationId", f"operationId {name!r} stands twice")
            operations.add(name)
    try:
        TopologicalSorter(leads).prepare()
    except CycleError as error:
        raise document.error(error.args[1][0], "the schema leads back to itself without an end") from error


def check_schemas(schemas: Schemas, document: Document) -> None:
    """A schema that cannot be used is refused here, not in the middle of a check.

    Raises:
        ContractError: names the line of the first one.
    """
    for pointer, _ in walk_objects(document.data):
        parent, _, key = pointer.rpartition("/")
        if key == "schema" or parent == "/components/schemas":
            schemas.check(pointer)


def check_consistency(contract: Contract) -> None:
    """Refuse what does not hold together.

    Raises:
        ContractError: names the line of the first part that leads nowhere.
    """
    _check_sources(contract)
    for operation in contract.operations.values():
        _check_security(operation)
        _check_responses(operation)
        if operation.speech is not None:
            _check_answer(operation, operation.speech)
        if operation.audio_input is not None:
            _check_intake(operation, operation.audio_input)
        if operation.job is not None:
            _check_job(operation, operation.job)
        _check_price(contract, f"{operation.pointer}/x-pricing", operation.pricing)
    for target in contract.targets.values():
        _check_target(target, target.spec)
        _check_price(contract, f"{target.pointer}/pricing", target.spec.pricing)
    for intake in contract.audio_input_targets.values():
        _check_price(contract, f"{intake.pointer}/pricing", intake.spec.pricing)


def _check_sources(contract: Contract) -> None:
    document, sources = contract.document, contract.provider.sources
    for pointer, node in walk_objects(document.data):
        if "x-source" in node:
            convert_record(document, node["x-source"], f"{pointer}/x-source", SourceReference)
        if "x-advice" in node and not isinstance(node["x-advice"], dict):
            raise document.error(f"{pointer}/x-advice", "x-advice must be a mapping of JSON Schema keywords")
        named = node.get("document")
        if _NAMES_DOCUMENT.search(pointer) and isinstance(named, str) and named not in sources:
            known = ", ".join(sources)
            raise document.error(f"{pointer}/document", f"{named!r} is not among x-provider.sources: {known}")


def _check_security(operation: Operation) -> None:
    schemes = operation.contract.security_schemes
    own = "security" in operation.data
    for index, alternative in enumerate(operation.security):
        for name in alternative:
            at = f"{operation.pointer if own else ''}/security/{index}/{escape(name)}"
            if name not in schemes:
                known = ", ".join(schemes) or "none"
                raise operation.contract.document.error(at, f"{name!r} is no security scheme; known: {known}")
            if (operation.speech or operation.job or operation.audio_input) and not _can_send(schemes[name]):
                reason = f"the security scheme {name!r} must be apiKey or http"
                raise operation.contract.document.error(at, reason)


def _can_send(scheme: dict[str, Any]) -> bool:
    """The key alone, or behind a word: bearer, basic, or one of the provider's own such as "Token"."""
    return scheme.get("type") in ("apiKey", "http")


def _check_responses(operation: Operation) -> None:
    contract = operation.contract
    asked = {example.name for media in operation.request_media.values() for example in media.examples}
    for response in operation.responses.values():
        for name, link in response.links.items():
            leads_to = link.get("operationId")
            if leads_to is not None and leads_to not in contract.operations:
                at = f"{response.pointer}/links/{escape(name)}"
                raise contract.document.error(at, f"the link leads to {leads_to!r}, which is no operation")
        for media in response.media.values():
            for example in media.examples:
                if (
                    example.rejection_reason is not None
                    and str(example.rejection_reason).partition(":")[0] not in _SITUATIONS
                ):
                    reason = (
                        f"x-rejection-reason must be one of {', '.join(_SITUATIONS)}, not {example.rejection_reason!r}"
                    )
                    raise contract.document.error(f"{example.pointer}/x-rejection-reason", reason)
                if example.request is not None and str(example.request) not in asked:
                    reason = f"x-request names {example.request!r}, which is no example of the request"
                    raise contract.document.error(f"{example.pointer}/x-request", reason)


def _check_answer(operation: Operation, speech: SpeechSpec) -> None:
    contract, at = operation.contract, f"{operation.pointer}/x-speech"
    if "text" not in speech.request:
        raise contract.document.error(f"{at}/request", "x-speech.request must say where the text goes")
    for word, slot in speech.request.items():
        check_request_location(operation, f"{at}/request/{word}", slot.at)
        if "{}" not in slot.template:
            raise contract.document.error(f"{at}/request/{word}", f"the template of {word} has no {{}} for the value")
    answer = speech.response
    if (answer.job is None) == (answer.audio is None):
        raise contract.document.error(f"{at}/response", "x-speech.response must have either job or audio")
    if answer.job is not None:
        status = contract.operations.get(answer.job)
        if status is None or status.job is None:
            raise contract.document.error(f"{at}/response/job", f"{answer.job!r} is no operation with x-job")
        submit = status.job.submit
        for key, place in (("id", submit.id), ("state", submit.state), ("url", submit.url)):
            check_response_location(operation, f"{status.pointer}/x-job/submit/{key}", place)
    if answer.audio is not None:
        _check_audio(operation, f"{at}/response/audio", answer.audio)
    for key in ("charged", "balance"):
        check_response_location(operation, f"{at}/response/{key}", getattr(answer, key))


def _check_intake(operation: Operation, intake: AudioInputSpec) -> None:
    key = "x-transcription" if isinstance(intake, TranscriptionSpec) else "x-conversion"
    at, document = f"{operation.pointer}/{key}", operation.contract.document
    if "x-transcription" in operation.data and "x-conversion" in operation.data:
        raise document.error(at, "an operation has either x-transcription or x-conversion")
    if "audio" not in intake.request:
        raise document.error(f"{at}/request", f"{key}.request must say where the audio goes")
    for word, slot in intake.request.items():
        check_request_location(operation, f"{at}/request/{word}", slot.at)
    for name, spec in intake.targets.items():
        for place in spec.constants:
            check_request_location(operation, f"{at}/targets/{escape(name)}/constants/{escape(str(place))}", place)
    places: dict[str, Location | None] = {"charged": intake.response.charged}
    if isinstance(intake, TranscriptionSpec):
        places |= {key: getattr(intake.response, key) for key in ("text", "language", "audio_s", "segments")}
    else:
        places |= {f"facts/{fact}": place for fact, place in intake.response.facts.items()}
        if intake.response.stems is not None:
            places["stems/at"] = intake.response.stems.at
            check_operation(operation, f"{at}/response/stems/download", intake.response.stems.download)
        if intake.response.audio is not None:
            _check_audio(operation, f"{at}/response/audio", intake.response.audio)
    for name, answered in places.items():
        check_response_location(operation, f"{at}/response/{name}", answered)


def _check_audio(operation: Operation, at: str, audio: ResponseAudio) -> None:
    document = operation.contract.document
    if audio.delivered in ("bytes", "stream") and audio.at != Location("body"):
        raise document.error(at, f"audio delivered as {audio.delivered} is at body, not at {audio.at}")
    check_response_location(operation, f"{at}/at", audio.at)
    check_response_location(operation, f"{at}/media_type", audio.media_type)
    check_operation(operation, f"{at}/download", audio.download)
    if audio.format is not None and audio.format.startswith(_RAW) and audio.sample_rate_hz is None:
        raise document.error(at, f"raw audio ({audio.format}) needs its sample_rate_hz")


def _check_job(operation: Operation, job: JobSpec) -> None:
    document, at = operation.contract.document, f"{operation.pointer}/x-job"
    _check_states(operation, job)
    for key in ("state", "id", "reason", "model", "created", "updated", "completed", "charged"):
        check_response_location(operation, f"{at}/{key}", getattr(job, key))
    for name, state in job.states.items():
        for index, place in enumerate(state.required):
            check_response_location(operation, f"{at}/states/{escape(name)}/required/{index}", place)
    check_operation(operation, f"{at}/result", job.result)
    _check_end_of_asking(operation, job)
    _check_audio(operation.contract.operation(job.result) if job.result else operation, f"{at}/audio", job.audio)
    if job.poll.min_s > job.poll.max_s:
        raise document.error(f"{at}/poll", f"poll.min_s ({job.poll.min_s:g}) is more than max_s ({job.poll.max_s:g})")


def _check_end_of_asking(operation: Operation, job: JobSpec) -> None:
    """Of a job that is cancelled, or too old to be asked for."""
    document, at = operation.contract.document, f"{operation.pointer}/x-job"
    if job.cancel is not None:
        check_operation(operation, f"{at}/cancel/operation", job.cancel.operation)
        state = job.states.get(job.cancel.state)
        if state is None or state.end != "failure":
            reason = f"{job.cancel.state!r} is no state of this job that ends in failure"
            raise document.error(f"{at}/cancel/state", reason)
    if job.expires_s is not None and job.expires_s <= 0:
        raise document.error(f"{at}/expires_s", f"expires_s must be more than 0, not {job.expires_s:g}")


def _check_states(operation: Operation, job: JobSpec) -> None:
    document, at = operation.contract.document, f"{operation.pointer}/x-job/states"
    for name, state in job.states.items():
        for following in state.next:
            if following not in job.states:
                raise document.error(f"{at}/{escape(name)}/next", f"{following!r} is no state of this job")
        if bool(state.next) == bool(state.end):
            reason = f"state {name!r} must have either next or end: success | failure"
            raise document.error(f"{at}/{escape(name)}", reason)
    if not any(state.end == "success" for state in job.states.values()):
        raise document.error(at, "no state ends in success")
    reached = [next(iter(job.states))]
    for name in reached:  # grows while it is walked
        reached += [following for following in job.states[name].next if following not in reached]
    for name in job.states:
        if name not in reached:
            raise document.error(f"{at}/{escape(name)}", f"no way leads from {reached[0]!r} to {name!r}")


def _check_price(contract: Contract, at: str, price: PriceSpec | None) -> None:
    readings = (price, *price.alternatives) if price else ()
    if readings and all(reading.usd is None and reading.credits is None for reading in readings):
        raise contract.document.error(at, "a price needs usd, credits or alternatives that have them")


def _check_target(target: Target, spec: TargetSpec) -> None:
    operation, document = target.operation, target.contract.document
    words = target.speech.request
    if spec.media_type is not None and spec.media_type not in operation.request_media:
        known = ", ".join(operation.request_media) or "none"
        reason = f"{spec.media_type!r} is no media type of the request; known: {known}"
        raise document.error(f"{target.pointer}/media_type", reason)
    for key in spec.required_fields:
        if key not in words:
            raise document.error(
                f"{target.pointer}/required_fields", f"requires {key}, but x-speech.request has no location for it"
            )
    for key in _DEFAULTS:
        if (getattr(spec, key) is not None or (key == "voice" and spec.voices)) and key not in words:
            reason = f"has a default {key}, but x-speech.request has no location for it"
            raise document.error(f"{target.pointer}/{key}", reason)
    for place in spec.constants:
        check_request_location(operation, f"{target.pointer}/constants/{escape(str(place))}", place)
    _check_body(target, [*spec.constants, *(slot.at for slot in words.values())])
    for place in spec.emulation.constants:
        _parse(operation, f"{target.pointer}/emulation/constants", place, ("body", "header"))
    for index, pattern in enumerate(spec.emulation.unspoken_patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            at = f"{target.pointer}/emulation/unspoken_patterns/{index}"
            raise document.error(at, f"{pattern!r} is not a valid regular expression: {error}") from error


def _check_body(target: Target, locations: list[Location]) -> None:
    """All of a target's words must fit into one body."""
    body: Any = None
    for location in locations:
        if location.in_body:
            try:
                body = location.write_body(body, "text")
            except ValueError as error:
                reason = f"{location} does not fit into one body with the other places: {error}"
                raise target.contract.document.error(target.pointer, reason) from error


def check_operation(operation: Operation, at: str, name: str | None) -> None:
    """Refuse a `name` that is no operation of the document."""
    if name is not None and name not in operation.contract.operations:
        raise operation.contract.document.error(at, f"{name!r} is no operation of this document")


def _parse(operation: Operation, at: str, location: Location, kinds: tuple[LocationKind, ...]) -> None:
    if location.kind not in kinds:
        reason = f"{str(location)!r} must be in the {' or the '.join(kinds)}"
        raise operation.contract.document.error(at, reason)


def check_request_location(operation: Operation, at: str, location: Location) -> None:
    """Raise where no request to `operation` has the location."""
    _parse(operation, at, location, ("body", "query", "path", "header"))
    if location.kind == "path" and f"{{{location.name}}}" not in operation.path:
        reason = f"{str(location)!r}: the path {operation.path} has no {{{location.name}}}"
        raise operation.contract.document.error(at, reason)
    if location.in_body:
        _check_listed(operation, at, location, list(operation.request_media.values()), "request")


def check_response_location(operation: Operation, at: str, location: Location | None) -> None:
    """Raise where no response of `operation` has the location."""
    if location is None:
        return
    _parse(operation, at, location, ("body", "header"))
    if location.in_body and location.tokens:
        successes = [r for status, r in operation.responses.items() if status.startswith("2")]
        media = [media for response in successes for media in response.media.values()]
        _check_listed(operation, at, location, media, "answer")


def _check_listed(operation: Operation, at: str, location: Location, media: list[MediaType], what: str) -> None:
    """Some documented body must leave room for `tokens`; one without a schema says nothing."""
    structured = [m for m in media if is_json(m.name) or is_form(m.name) or m.name == "*/*"]
    if not any(allows_location(m.contract.schemas, m.schema, location.tokens) for m in structured):
        reason = f"{str(location)!r} is not in the documented {what} of {operation.id}"
        raise operation.contract.document.error(at, reason)

"""Cases that send audio to be transcribed or converted, and what is judged of their answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from voicegauge.checks import AudioInputCall, Call, ExpectedResponse
from voicegauge.client import Client, RequestParts, audio_input_request, fetch_response_audio
from voicegauge.conformance.cases.case import ConformanceCase, SkippedCase
from voicegauge.conformance.cases.valid_requests import SpokenSentence, spoken_sentence, voice_sample, with_required
from voicegauge.conformance.target_matching import place_reader
from voicegauge.contract import AudioInputTarget, Operation
from voicegauge.contract.extension import AudioInputField
from voicegauge.model import Exchange, UploadedFile

Word = tuple[AudioInputField, object]


def intake_cases(
    operation: Operation, cases: Iterable[ConformanceCase | SkippedCase]
) -> Iterator[ConformanceCase | SkippedCase]:
    """The `cases` of an operation that is sent audio, each with the intake that it means, and a whole request to each.

    Args:
        operation: with `x-transcription` or `x-conversion`.
        cases: as for any operation with a body.
    """
    intakes = [intake for intake in operation.contract.audio_input_targets.values() if intake.operation is operation]
    for case in cases:
        yield case if isinstance(case, SkippedCase) else _meant(case, intakes)
    for intake in intakes:
        for words in _asked(intake):
            yield _whole(intake, words)


def _asked(intake: AudioInputTarget) -> Iterator[tuple[Word, ...]]:
    """The words of whole requests: none, then whatever changes what the answer must hold."""
    yield ()
    if intake.transcription is not None:
        flags: tuple[AudioInputField, ...] = ("timestamps", "diarize")
        yield tuple((word, True) for word in flags if word in intake.audio_input.request)


def _whole(intake: AudioInputTarget, words: tuple[Word, ...]) -> ConformanceCase:
    named = " and ".join(word for word, _ in words)
    description = f"a recording is taken in{' with ' + named if named else ''}"
    return ConformanceCase(
        id=f"{intake.id}: {description}",
        provider=intake.contract.id,
        operation=intake.operation.id,
        target=intake.name,
        expected=ExpectedResponse(
            verdict="accepted", kind="valid", description=description, contract_pointer=intake.pointer
        ),
        wire=with_required(intake.operation, audio_input_request(intake, _sentence(intake).file, dict(words))),
        audio_s=_sentence(intake).audio_s,
        whole=not words,
    )


def _meant(case: ConformanceCase, intakes: list[AudioInputTarget]) -> ConformanceCase:
    """`case` with the intake that its request means: the one whose constants it holds, else the first."""
    read = place_reader(case.wire or RequestParts())
    named = next((i for i in intakes if all(read(at) == value for at, value in i.spec.constants.items())), intakes[0])
    sentence, wire = _sentence(named), case.wire
    if wire is not None and _uploaded(named, case) == voice_sample().data:
        field = named.audio_input.request["audio"].at.tokens[0]
        wire = msgspec.structs.replace(wire, body={**wire.body, field: sentence.file})
    return msgspec.structs.replace(case, target=named.name, wire=wire, audio_s=sentence.audio_s)


def _sentence(intake: AudioInputTarget) -> SpokenSentence:
    """The recording that is sent, in a format that the operation takes."""
    field = intake.audio_input.request["audio"].at.tokens[0]
    limits = intake.operation.limits.uploads.get(field)
    formats = limits.formats if limits is not None else ()
    return spoken_sentence("mp3" if not formats or "mp3" in formats else formats[0])


async def taken_in(
    client: Client, intake: AudioInputTarget, case: ConformanceCase, call: Call
) -> tuple[AudioInputCall, list[Exchange]]:
    """An accepted `call` with the audio that it leads to, and the exchanges that fetched that."""
    sentence = _sentence(intake)
    fetched = await fetch_response_audio(client, intake, call.exchange)
    taken = AudioInputCall(
        intake.operation,
        call.exchange,
        request_origin=call.request_origin,
        intake=intake,
        reference=sentence.text if _uploaded(intake, case) == sentence.file.data else None,
        fetched=fetched.files,
        failure=fetched.failure.message if fetched.failure else None,
    )
    return taken, list(fetched.exchanges)


def _uploaded(intake: AudioInputTarget, case: ConformanceCase) -> bytes | None:
    """The recording that a case sends."""
    body = case.wire.body if case.wire is not None else None
    field = intake.audio_input.request["audio"].at.tokens[0]
    file = body.get(field) if isinstance(body, dict) else None
    return file.data if isinstance(file, UploadedFile) else None

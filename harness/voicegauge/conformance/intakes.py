"""Cases that send audio to be transcribed or converted, and what is judged of their answers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import msgspec

from voicegauge.checks import Call, Expected, TakenIn
from voicegauge.client import Client, WireRequest, fetch_made, intake_wire
from voicegauge.conformance.cases import Case, Skipped
from voicegauge.conformance.matching import place_reader
from voicegauge.conformance.requests import voice_sample, voice_text
from voicegauge.contract import Intake, Operation, parse_place
from voicegauge.contract.extension import IntakeWord
from voicegauge.model import Exchange, UploadedFile

Word = tuple[IntakeWord, object]


def intake_cases(operation: Operation, cases: Iterable[Case | Skipped]) -> Iterator[Case | Skipped]:
    """The `cases` of an operation that is sent audio, each with the intake that it means, and a whole request to each.

    Args:
        operation: with `x-transcription` or `x-conversion`.
        cases: as for any operation with a body.
    """
    intakes = [intake for intake in operation.contract.intakes.values() if intake.operation is operation]
    for case in cases:
        yield case if isinstance(case, Skipped) else _meant(case, intakes)
    for intake in intakes:
        for words in _asked(intake):
            yield _whole(intake, words)


def _asked(intake: Intake) -> Iterator[tuple[Word, ...]]:
    """The words of whole requests: none, then whatever changes what the answer must hold."""
    yield ()
    if intake.transcription is not None:
        flags: tuple[IntakeWord, ...] = ("timestamps", "diarize")
        yield tuple((word, True) for word in flags if word in intake.use.request)


def _whole(intake: Intake, words: tuple[Word, ...]) -> Case:
    named = " and ".join(word for word, _ in words)
    says = f"a recording is taken in{' with ' + named if named else ''}"
    return Case(
        id=f"{intake.id}: {says}",
        provider=intake.contract.id,
        operation=intake.operation.id,
        target=intake.name,
        expected=Expected(verdict="accepted", why="valid", says=says, at=intake.pointer),
        wire=intake_wire(intake, _recording(), dict(words)),
        audio_s=_recording_s(),
        whole=not words,
    )


def _meant(case: Case, intakes: list[Intake]) -> Case:
    """`case` with the intake that its request means: the one whose constants it holds, else the first."""
    read = place_reader(case.wire or WireRequest())
    named = next((i for i in intakes if all(read(at) == value for at, value in i.spec.set.items())), intakes[0])
    return msgspec.structs.replace(case, target=named.name, audio_s=_recording_s())


@functools.cache
def _recording_s() -> float:
    from voicegauge.speech.audio import decode

    return decode(_recording().data).audio_s


def _recording() -> UploadedFile:
    voice = voice_sample()
    return UploadedFile(filename=voice.filename, media_type=voice.media_type, data=voice.data or b"")


async def taken_in(client: Client, intake: Intake, case: Case, call: Call) -> tuple[TakenIn, list[Exchange]]:
    """An accepted `call` with the audio that it leads to, and the exchanges that fetched that."""
    fetched = await fetch_made(client, intake, call.exchange)
    taken = TakenIn(
        intake.operation,
        call.exchange,
        request_origin=call.request_origin,
        intake=intake,
        said=voice_text() if _sends_the_recording(intake, case) else None,
        fetched=fetched.pieces,
        failure=fetched.failure.message if fetched.failure else None,
    )
    return taken, list(fetched.exchanges)


def _sends_the_recording(intake: Intake, case: Case) -> bool:
    """Whether what is spoken in the upload is known: it is the bundled recording."""
    body = case.wire.body if case.wire is not None else None
    field = parse_place(intake.use.request["audio"].at).tokens[0]
    file = body.get(field) if isinstance(body, dict) else None
    return isinstance(file, UploadedFile) and file.data == _recording().data

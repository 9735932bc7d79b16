"""How each operation is played, in words."""

from __future__ import annotations

from voicegauge.contract import Operation
from voicegauge.contract.extension import ConversionSpec, TranscriptionSpec

_PURPOSES = {
    "voice": "shifts the pitch of what it hears, by the voice asked for",
    "translate": "transcribes, and answers a translation that says it is emulated",
    "style": "changes pitch and speed of what it hears",
    "enhance": "filters what it hears",
    "separate": "splits what it hears by frequency",
    "dereverb": "filters what it hears",
    "analyse": "estimates the key and the tempo of what it hears",
    "convert": "converts format, sample rate and channels",
}


def describe_emulation(operation: Operation) -> str:
    """What the emulator does when `operation` is called."""
    own = _keeping(operation) or _speech(operation) or _hearing(operation) or _following(operation)
    if own is not None:
        return own
    filters = any(parameter.place == "query" for parameter in operation.parameters)
    return "answers as documented, filtered as asked" if filters else "answers as documented"


def _speech(operation: Operation) -> str | None:
    if operation.batch is not None:
        return "takes on every item as a job of its own"
    if operation.speech is None:
        return None
    if operation.stream is not None:
        return "speaks, piece by piece"
    return "takes on a job that speaks" if operation.speech.answer.job else "speaks"


def _hearing(operation: Operation) -> str | None:
    if isinstance(operation.intake, TranscriptionSpec):
        return "transcribes what it hears"
    return _PURPOSES[operation.intake.does] if operation.intake is not None else None


def _following(operation: Operation) -> str | None:
    """What comes after a request that made something."""
    if operation.job is not None:
        return "tells the state of a job, and where its audio is"
    for other in operation.contract.operations.values():
        if operation.id in _downloads(other):
            return "gives audio that was made before"
        if other.job is not None and operation.id == other.job.result:
            return "gives the result of a job"
        if other.job is not None and other.job.cancel is not None and operation.id == other.job.cancel.operation:
            return "ends a job"
    return None


def _downloads(operation: Operation) -> set[str | None]:
    """The operations that URLs in the answers of `operation` lead to."""
    locations = [operation.speech.answer.audio] if operation.speech else []
    locations += [operation.job.audio] if operation.job else []
    found = {location.download for location in locations if location is not None}
    if isinstance(operation.intake, ConversionSpec):
        answer = operation.intake.answer
        found |= {part.download for part in (answer.audio, answer.stems) if part is not None}
    return found


def _keeping(operation: Operation) -> str | None:
    if operation.chat is not None:
        return "answers with a count of turns and what was said before, in words and in speech"
    for maker in operation.contract.operations.values():
        resource = maker.resource
        if resource is None:
            continue
        if maker is operation:
            return f"makes a {resource.name}, kept for its account"
        if resource.list is not None and resource.list.operation == operation.id:
            return f"lists what the account has of it: {resource.name}"
        if resource.delete is not None and resource.delete.operation == operation.id:
            return f"deletes a {resource.name}"
        for setting in resource.set:
            if setting.operation == operation.id:
                return f"makes a {resource.name} {setting.state}"
    return None

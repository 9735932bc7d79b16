"""Which target a request means."""

from __future__ import annotations

from voicegauge.contract import MISSING, Target
from voicegauge.contract.extension import ResponseAudio
from voicegauge.emulator.audio import Utterance, read_word
from voicegauge.emulator.http import Call, Refusal
from voicegauge.formats import parse_location


def choose_target(call: Call, *, strict: bool = True) -> Target:
    """The target that a request means, by its constants, the words it needs and its language.

    Raises:
        Refusal: the request names a model, or whatever tells targets apart, that no target has,
            and the contract documents what is then answered.
    """
    targets = [t for t in call.operation.contract.targets.values() if t.operation is call.operation]
    scored = [(score, target) for target in targets if (score := _likeness(call, target)) is not None]
    if scored:
        return max(scored, key=lambda pair: pair[0])[1]
    errors = (media for spec in call.operation.responses.values() for media in spec.media.values())
    if strict and any(example.when == "not-found" for media in errors for example in media.examples):
        place = parse_location(next(place for target in targets for place in target.spec.set))
        raise Refusal("not-found", place.tokens[0] if place.kind == "body" else place.key, "no such model")
    return targets[0]


def _likeness(call: Call, target: Target) -> tuple[int, bool] | None:
    """How much of what makes a target a request shows; `None` where something speaks against it."""
    score = 0
    for place, constant in target.spec.set.items():
        value = call.read(place)
        if value is not MISSING and value != constant:
            return None
        score += 2 * (value == constant)
    for word in target.spec.needs:
        score += -1 if call.read(target.speech.request[word].at) is MISSING else 1
    language = read_word(call, target, "language")
    return score, language is MISSING or not target.spec.languages or language in target.spec.languages


def count_characters(call: Call, target: Target, wanted: Utterance) -> int:
    """The length of the text that is paid for."""
    text = read_word(call, target, "text")
    return len(text) if isinstance(text, str) else len(wanted.text)


def audio_place(target: Target) -> ResponseAudio:
    """Where the audio of a target is answered, now or by its job."""
    if target.answer.audio is not None:
        return target.answer.audio
    assert target.job_operation is not None
    assert target.job_operation.job is not None
    return target.job_operation.job.audio

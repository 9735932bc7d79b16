"""Chats: what is said is answered in words and in speech, as `x-chat` says; nobody thinks here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from voicegauge.contract import MISSING, Target
from voicegauge.contract.extension import ChatSpec
from voicegauge.emulator.audio import default_value_at
from voicegauge.emulator.http import ParsedRequest, Rejection
from voicegauge.formats import Location
from voicegauge.model import UploadedFile

QUOTED = 200
"""Characters of what was said that an answer repeats."""


def recording_of(request: ParsedRequest, chat: ChatSpec) -> UploadedFile | None:
    """What is said as a recording; `None` where it is said as text."""
    given = request.read(chat.audio) if chat.audio is not None else MISSING
    return given if isinstance(given, UploadedFile) else None


def text_of(request: ParsedRequest, chat: ChatSpec) -> str:
    """What is said as text.

    Raises:
        Refusal: nothing is said.
    """
    text = request.read(chat.text)
    if not isinstance(text, str) or not text.strip():
        raise Rejection("invalid", chat.text.tokens[-1], "nothing is said")
    return text


def emulated_answer(said: Sequence[str]) -> str:
    """The answer to the last of what was `said`: it counts turns and remembers the one before."""
    answer = f"This is an emulated answer, turn {len(said)}. You said: {said[-1][:QUOTED]}"
    return answer if len(said) < 2 else f"{answer} Before that, you said: {said[-2][:QUOTED]}"


def spoken_by(request: ParsedRequest, target: Target, text: str, voice: Location | None) -> ParsedRequest:
    """The request to `target` that would speak `text`, in the voice asked for at the place `voice`."""
    words: dict[str, Any] = {"text": text}
    if voice is not None:
        given = request.read(voice)
        words["voice"] = default_value_at(request, voice) if given is MISSING else given
    body: Any = None
    for word, value in words.items():
        slot = target.speech.request.get(word)  # type: ignore[call-overload]  # both are words
        if slot is not None and isinstance(value, str):
            body = slot.at.write_body(body, value)
    media = next(iter(target.operation.request_media.values()))
    return replace(request, operation=target.operation, body=body, media=media)

"""Audio that was sent and taken in, with what came back for it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicegauge.checks.subjects.call import Call
from voicegauge.contract import MISSING, AudioInputTarget
from voicegauge.contract.extension import AudioInputField
from voicegauge.model import UploadedFile

if TYPE_CHECKING:
    from voicegauge.speech.audio import DecodedAudio


@dataclass(frozen=True, eq=False, kw_only=True)
class AudioInputCall(Call):
    """A call that carried audio and was accepted, with the audio that its answer leads to."""

    intake: AudioInputTarget
    said: str | None = None
    """What is spoken in the upload, where that is known and the speech is clean."""
    fetched: tuple[bytes, ...] = ()
    """Audio that the answer carries or leads to, in its order."""
    failure: str | None = None
    """Why a piece of it could not be had."""

    @functools.cached_property
    def uploaded(self) -> DecodedAudio | None:
        """The upload as samples; `None` where it is no audio."""
        file = self._file()
        return _upload(file.data) if file is not None else None

    def _file(self) -> UploadedFile | None:
        field = self.intake.use.request["audio"].at.tokens[0]
        return self.form.files.get(field) if self.form is not None else None

    @functools.cached_property
    def received(self) -> tuple[DecodedAudio | None, ...]:
        """Each piece of audio of the answer as samples; `None` for what cannot be decoded."""
        return tuple(_decoded(piece) for piece in self.fetched)

    def word(self, name: AudioInputField) -> Any:
        """What the request asks for by a neutral word; `None` where it leaves the word out."""
        slot = self.intake.use.request.get(name)
        value = self.read_request(slot.at) if slot is not None else MISSING
        if slot is None or value is MISSING:
            return None
        return next((neutral for neutral, theirs in slot.map.items() if theirs == value), value)

    @property
    def key(self) -> str:
        """Where the contract says what the operation takes and answers."""
        kind = "x-conversion" if self.intake.conversion else "x-transcription"
        return f"{self.operation.pointer}/{kind}"


@functools.lru_cache(maxsize=4)
def _upload(data: bytes) -> DecodedAudio | None:
    """As `_decoded`: the cases of a plan upload few recordings again and again."""
    return _decoded(data)


def _decoded(data: bytes) -> DecodedAudio | None:
    from voicegauge.speech.audio import EncodedAudio

    return EncodedAudio(data).decoded

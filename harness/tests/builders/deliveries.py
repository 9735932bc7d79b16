"""A delivery of the sample contract, as a check hands it to the rules."""

from __future__ import annotations

import json
from typing import Any

from voicegauge.contract.contract import Contract
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Request, Response
from voicegauge.rules.subjects import SpeechDelivery


def build_wav_delivery(
    acme: Contract, audio: bytes, speech: SpeechRequest, *, body_fields: dict[str, Any] | None = None, **facts: Any
) -> SpeechDelivery:
    """Return the delivery of a WAV file in the response to the submit.

    Args:
        acme: the sample contract.
        audio: the file.
        speech: what was asked for.
        body_fields: further fields of the request's body.
        facts: further fields of the `SpeechDelivery`.
    """
    request = Request(
        method="POST",
        url="https://api.acme.example/speak",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps({"text": speech.text, **(body_fields or {})}).encode(),
    )
    response = Response(status=200, headers=(("Content-Type", "audio/wav"),), body=audio)
    delivery = Delivery(
        target="acme/voice-1",
        exchanges=(Exchange(provider="acme", operation="speak", request=request, response=response),),
        submit_count=1,
        audio=audio,
        media_type="audio/wav",
        audio_exchange_index=0,
        submit_exchange_index=0,
    )
    return SpeechDelivery(acme.find_target_by_name("voice-1"), speech, delivery, **facts)

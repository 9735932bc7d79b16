"""Fetches the audio that the response to an accepted upload of audio contains or links to."""

from __future__ import annotations

from voicegauge.checks import AudioInputCall, Call
from voicegauge.client import Client, fetch_response_audio
from voicegauge.conformance.cases import ConformanceCase, choose_recorded_sentence, find_uploaded_audio
from voicegauge.contract import AudioInputTarget
from voicegauge.model import Exchange


async def fetch_audio_of_call(
    client: Client, target: AudioInputTarget, case: ConformanceCase, call: Call
) -> tuple[AudioInputCall, list[Exchange]]:
    """Return an accepted `call` with the audio of its response, and the exchanges that downloaded the audio."""
    sentence = choose_recorded_sentence(target)
    response_files = await fetch_response_audio(client, target, call.exchange)
    subject = AudioInputCall(
        target.operation,
        call.exchange,
        request_intent=call.request_intent,
        audio_input_target=target,
        # Other uploads are too long, too short or damaged, so it is not known what a recognizer should find in them.
        reference_transcript=sentence.text if find_uploaded_audio(target, case) == sentence.file.data else None,
        response_audio_files=response_files.audio_files,
        download_error=response_files.failure.message if response_files.failure else None,
    )
    return subject, list(response_files.exchanges)

"""Reads transcripts from responses, as a contract describes them."""

from __future__ import annotations

from voicegauge.contract.extension.audio_input import TranscriptionResponse
from voicegauge.contract.parsed_exchange import ParsedExchange
from voicegauge.formats.locations import EVERY_ITEM, read_pointer_values
from voicegauge.formats.subtitles import Cue, read_subtitles

JOINED_TEXT_SEPARATOR = " "
"""What separates the texts of several places, when they are joined to one transcript."""


def read_transcript(exchange: ParsedExchange, response: TranscriptionResponse) -> str | None:
    """Return the transcript in a response: of subtitles, the text of all cues; `None` if the response has none.

    Raises:
        UnreadableSubtitlesError: the subtitles do not have the documented format.
    """
    cues = read_cues(exchange, response)
    if cues is not None:
        return JOINED_TEXT_SEPARATOR.join(cue.text for cue in cues if cue.text)
    location = response.text_location
    if EVERY_ITEM in location.pointer_tokens:
        texts = [
            text
            for text in read_pointer_values(exchange.response_json, location.pointer_tokens)
            if isinstance(text, str)
        ]
        return JOINED_TEXT_SEPARATOR.join(text.strip() for text in texts) if texts else None
    text = exchange.read_response_value(location)
    return text if isinstance(text, str) else None


def read_cues(exchange: ParsedExchange, response: TranscriptionResponse) -> list[Cue] | None:
    """Return the cues of a response that is documented as subtitles; `None` for any other response.

    Raises:
        UnreadableSubtitlesError: the subtitles do not have the documented format.
    """
    text = exchange.read_response_value(response.text_location)
    if response.subtitle_format is None or not isinstance(text, str):
        return None
    return read_subtitles(text, response.subtitle_format)

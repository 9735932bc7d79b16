"""Reads times that are written as text: timestamps, dates in headers, and the cues of subtitles (SRT, WebVTT)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

MAX_UNIX_TIME_S = 1e11
"""Largest Unix time that is read as seconds; larger numbers are read as milliseconds. As seconds, this value is in the
year 5138, as milliseconds, in 1973."""


def parse_timestamp(value: Any) -> datetime | None:
    """Parse a timestamp in a response, which is an ISO 8601 text or a Unix time; `None` if `value` is neither.

    A text without a time zone is read as UTC.
    """
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > MAX_UNIX_TIME_S else value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_http_date(text: str) -> datetime | None:
    """Parse an HTTP date in any of its three forms, in UTC (RFC 9110, section 5.6.7); `None` for other texts."""
    try:
        date = parsedate_to_datetime(text.strip())
        # The asctime form has no zone and means GMT.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


SubtitleFormat = Literal["srt", "vtt"]
"""Subtitle formats: SubRip, and WebVTT (https://www.w3.org/TR/webvtt1/)."""
_VTT_SIGNATURE = "WEBVTT"
_VTT_BLOCKS_WITHOUT_CUES = ("NOTE", "STYLE", "REGION")
_TIME_REGEX_BY_FORMAT = {
    "srt": r"(\d{2,}):([0-5]\d):([0-5]\d),(\d{3})",
    "vtt": r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})",
}
_TIMING_PATTERNS = {
    name: re.compile(rf"\s*{time}[ \t]+-->[ \t]+{time}(?:[ \t].*)?") for name, time in _TIME_REGEX_BY_FORMAT.items()
}
_TAG_PATTERN = re.compile(r"</?[a-zA-Z][^<>]*>|<[0-9:.]+>")


class Cue(NamedTuple):
    """A subtitle and the time for which it is shown, in seconds from the start of the audio."""

    start_s: float
    end_s: float
    text: str


class UnreadableSubtitlesError(ValueError):
    """Raised for a text that violates its subtitle format; the error message says where."""


_OTHER_FORMAT_PATTERN = re.compile(r"\s*(?:WEBVTT\b|\d+\s*\n[\d:,.]+ --> |[{\[]\s*[\"{]|start\tend\ttext)")


def is_other_transcript_format(text: str) -> bool:
    """Whether `text` is subtitles, JSON or a table of cues, and not a transcript."""
    return _OTHER_FORMAT_PATTERN.match(text) is not None


def read_subtitles(text: str, subtitle_format: SubtitleFormat) -> list[Cue]:
    """Return the cues of subtitles in their order; tags in their texts are removed.

    Raises:
        UnreadableSubtitlesError: the text does not have the format.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if subtitle_format == "vtt":
        header, _, text = text.partition("\n")
        if not re.fullmatch(rf"{_VTT_SIGNATURE}(?:[ \t].*)?", header):
            raise UnreadableSubtitlesError(f"it begins with {header[:40]!r}, not with {_VTT_SIGNATURE}")
    blocks = [block for block in re.split(r"\n[ \t]*\n", text) if block.strip()]
    if subtitle_format == "vtt":
        blocks = [block for block in blocks if not block.lstrip().startswith(_VTT_BLOCKS_WITHOUT_CUES)]
        if blocks and "-->" not in blocks[0]:  # the rest of the header
            blocks = blocks[1:]
    return [_read_cue(block.strip("\n"), subtitle_format) for block in blocks]


def _read_cue(block: str, subtitle_format: SubtitleFormat) -> Cue:
    lines = block.split("\n")
    index = 0 if "-->" in lines[0] else 1  # a cue may have a number or a name
    found = _TIMING_PATTERNS[subtitle_format].fullmatch(lines[index]) if index < len(lines) else None
    if found is None:
        raise UnreadableSubtitlesError(f"a cue has no times: {lines[min(index, len(lines) - 1)][:60]!r}")
    numbers = [int(group or 0) for group in found.groups()]
    start_s, end_s = (
        hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
        for hours, minutes, seconds, milliseconds in (numbers[:4], numbers[4:])
    )
    return Cue(start_s, end_s, _TAG_PATTERN.sub("", " ".join(lines[index + 1 :])).strip())

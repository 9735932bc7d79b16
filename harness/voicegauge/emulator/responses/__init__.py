"""Responses of the emulator: bodies, headers, streams and webhook payloads, built from the contract."""

from voicegauge.emulator.responses.bodies import STATUSES, error_reply, get, known, plain_draft, put, success_reply
from voicegauge.emulator.responses.builder import Answers
from voicegauge.emulator.responses.headers import dress
from voicegauge.emulator.responses.reply import Reply
from voicegauge.emulator.responses.streams import (
    STATE_SCENARIO,
    Beat,
    Pacing,
    length_s,
    pace_of,
    send_beats,
    wanted_end,
)
from voicegauge.emulator.responses.webhook_payloads import Post, Subscription, named_url, post_of, wanted_posts

__all__ = [
    "STATE_SCENARIO",
    "STATUSES",
    "Answers",
    "Beat",
    "Pacing",
    "Post",
    "Reply",
    "Subscription",
    "dress",
    "error_reply",
    "get",
    "known",
    "length_s",
    "named_url",
    "pace_of",
    "plain_draft",
    "post_of",
    "put",
    "send_beats",
    "success_reply",
    "wanted_end",
    "wanted_posts",
]

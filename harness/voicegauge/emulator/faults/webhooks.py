"""Faults of webhooks: which POSTs go out, and what they hold."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

from voicegauge.contract import Target, callback_media
from voicegauge.emulator.faults.bodies import broken
from voicegauge.emulator.http import format_timestamp, read_at, write_at
from voicegauge.emulator.responses import EmulatedCallback
from voicegauge.emulator.state import EPOCH_S


def never(post: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Nothing is sent."""
    yield replace(post, due=False)


def twice(post: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """The end is told again, with another time."""
    yield post
    if post.ended:
        location = post.completed or "body#/again"
        yield replace(
            post,
            body=write_at(copy.deepcopy(post.body), location, format_timestamp(EPOCH_S, read_at(post.body, location))),
        )


def early(post: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Progress is told to whoever asked for the end alone."""
    yield replace(post, due=True)


def wrong_shape(post: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """A field is gone."""
    yield replace(post, body=broken(post.media, post.body, lambda parent, key: parent.pop(key), post.essential_fields))


def has_webhook(target: Target) -> bool:
    """Whether a request to the target may name a URL."""
    return target.operation.webhook is not None


def can_be_early(target: Target) -> bool:
    """Whether what is sent can tell of a job that has not ended."""
    return target.operation.webhook is not None and target.operation.webhook.body is None


def can_break(target: Target) -> bool:
    """Whether what is sent has a shape that is documented."""
    return has_webhook(target) and callback_media(target.operation).schema_pointer is not None


def needs_https(target: Target) -> bool:
    """Whether plain http is to be refused."""
    return target.operation.webhook is not None and target.operation.webhook.https

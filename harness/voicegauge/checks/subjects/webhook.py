"""What was told to the URL that a request named, as rules look at it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.checks.subjects.call import Call
from voicegauge.contract import (
    MISSING,
    Contract,
    MediaType,
    Operation,
    Target,
    callback_media,
    given_id,
    status_of,
)
from voicegauge.contract.extension import CallbackTiming, JobState, WebhookSpec
from voicegauge.formats import Location, UnreadableBodyError, read_json
from voicegauge.model import Exchange, ReceivedWebhook, Response

Meaning = Literal["success", "failure", "going"]
"""Of a state: how a job ended, or that it has not."""


@dataclass(frozen=True, eq=False)
class Callback:
    """What a provider sends to a URL of the user's, as it is documented."""

    media: MediaType
    """The documented body of the callback."""
    exchange: Exchange
    operation: Operation
    """An operation that leads to it; any of the contract's for a webhook that stands alone."""
    target: Target | None = None

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.media.contract

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return (self.media.pointer,)


@dataclass(frozen=True, eq=False)
class RequestCallbacks:
    """All that was told of one request, in the order it came."""

    operation: Operation
    """The one whose request named the URL."""
    received: tuple[ReceivedWebhook, ...]
    posts: CallbackTiming
    """What was asked for."""
    submit: Call | None = None
    """`None` where nobody saw the request."""
    polls: tuple[Call, ...] = ()
    """Status answers about its job."""
    complete: bool = False
    """Whether all that should come has had its time."""

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.operation.contract

    @property
    def webhook(self) -> WebhookSpec:
        """What the contract says of it."""
        assert self.operation.webhook is not None, "made for operations with x-webhook alone"
        return self.operation.webhook

    @property
    def target(self) -> Target | None:
        """What was asked for."""
        return self.submit.target if self.submit is not None else None

    @property
    def exchange(self) -> Exchange:
        """The request that named the URL; the first that came of it where nobody saw that."""
        return self.submit.exchange if self.submit is not None else self.callbacks[0].exchange

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return (f"{self.operation.pointer}/x-webhook", self.operation.pointer)

    @functools.cached_property
    def media(self) -> MediaType:
        """The documented body."""
        return callback_media(self.operation)

    @functools.cached_property
    def callbacks(self) -> tuple[Callback, ...]:
        """Each of them, to be judged by its shape."""
        return tuple(
            Callback(
                self.media,
                Exchange(
                    provider=self.contract.id,
                    operation=self.webhook.callback,
                    request=one.request,
                    response=Response(status=200),
                ),
                self.operation,
                self.target,
            )
            for one in self.received
        )

    @functools.cached_property
    def values(self) -> tuple[Any, ...]:
        """The bodies; `MISSING` for one that is no JSON."""
        return tuple(_json(one) for one in self.received)

    def id_of(self, value: Any) -> Any:
        """The id that a body carries, or `MISSING`."""
        body = self.webhook.body
        status = status_of(self.operation)
        place = body.id if body is not None else status.job.id if status is not None and status.job else None
        return _at(value, place)

    def state_of(self, value: Any) -> str | None:
        """The state that a body tells; `None` where it tells none."""
        body, status = self.webhook.body, status_of(self.operation)
        place = body.state if body is not None else status.job.state if status is not None and status.job else None
        found = _at(value, place)
        return found if isinstance(found, str) else None

    def meaning_of(self, value: Any) -> Meaning | None:
        """What the state in a body means; `None` for one that no document names."""
        state, body = self.state_of(value), self.webhook.body
        if body is not None:
            return body.states.get(state or "")
        return _meaning(self._states.get(state or ""))

    @property
    def ends(self) -> list[Any]:
        """The bodies that tell of the end."""
        return [value for value in self.values if self.meaning_of(value) in ("success", "failure")]

    @property
    def given_id(self) -> Any:
        """The id that the request was answered with, or `MISSING`."""
        return self.submit.read_response(given_id(self.operation)) if self.submit is not None else MISSING

    def asked(self) -> Iterator[tuple[Call, str, Meaning]]:
        """The answers to polls that tell a known state, with that state and its meaning."""
        status = status_of(self.operation)
        for poll in self.polls:
            value = poll.read_response(status.job.state) if status is not None and status.job and poll.ok else None
            meaning = _meaning(self._states.get(value)) if isinstance(value, str) else None
            if meaning is not None:
                yield poll, str(value), meaning

    @property
    def end(self) -> tuple[str, Meaning] | None:
        """How the request ended, by its answer or by polls; `None` where nobody saw that."""
        if status_of(self.operation) is None:
            return ("success", "success") if self.submit is not None and self.submit.ok else None
        return next(((state, meaning) for _, state, meaning in self.asked() if meaning != "going"), None)

    @property
    def _states(self) -> dict[str, JobState]:
        status = status_of(self.operation)
        return status.job.states if status is not None and status.job is not None else {}


def _meaning(state: JobState | None) -> Meaning | None:
    return None if state is None else state.end or "going"


def _at(value: Any, place: Location | None) -> Any:
    return MISSING if place is None else place.read_body(value)


def _json(received: ReceivedWebhook) -> Any:
    try:
        return read_json(received.request.body)
    except UnreadableBodyError:
        return MISSING

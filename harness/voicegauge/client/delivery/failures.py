"""Why no audio was delivered, in one line."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.errors import TimedOutError, TransportError
from voicegauge.model import Failure, FailureKind, Response
from voicegauge.recording import mask_credentials

_EXCERPT = 200
"""Characters that a message quotes."""
_READ = 4_096
"""Characters that are looked at for them."""


class DeliveryFailedError(Exception):
    """Ends the course of an utterance without audio."""

    def __init__(self, failure: Failure) -> None:
        """`failure` says why."""
        super().__init__(failure.message)
        self.failure = failure


def kind_of_status(status: int) -> FailureKind:
    """What a status other than 2xx means for a request for speech."""
    if status == 429:
        return "rate_limited"
    if status == 402:
        return "credit"
    if 400 <= status < 500:
        return "refused"
    return "server" if status >= 500 else "protocol"


def kind_of_error(error: TransportError) -> FailureKind:
    """What a failed connection means for a request for speech."""
    return "timeout" if isinstance(error, TimedOutError) else "network"


def refusal(response: Response, secrets: Sequence[str], doing: str = "") -> Failure:
    """The failure that an answer other than 2xx means.

    Args:
        response: the answer.
        secrets: masked in its excerpt: some providers echo the key.
        doing: what was asked, where it was not the submit.
    """
    message = f"{doing + ': ' if doing else ''}{describe(response, secrets)}"
    return Failure(kind=kind_of_status(response.status), message=message, status=response.status)


def describe(response: Response, secrets: Sequence[str]) -> str:
    """The status and the beginning of the body, as `excerpt` shows it."""
    words = excerpt(response.body[: 4 * _READ + 4].decode(errors="replace"), secrets)
    return f"HTTP {response.status}: {words}" if words else f"HTTP {response.status} with an empty body"


def excerpt(text: str, secrets: Sequence[str]) -> str:
    """The beginning of what a provider says, on one line, masked before it is cut."""
    shown = mask_credentials(text[:_READ], secrets)
    if len(text) > _READ:
        shown = shown[: -max(map(len, secrets), default=1)]  # no half of a secret at the end
    words = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    return f"{words[:_EXCERPT]}{'...' if len(words) > _EXCERPT else ''}"

"""Describes in one line, without secrets, why a delivery has no audio."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.errors import TimedOutError, TransportError
from voicegauge.model import Failure, FailureKind, Response
from voicegauge.recording import mask_credentials

_MAX_EXCERPT_CHARACTERS = 200
"""Maximum length of an excerpt: two to three lines of a terminal."""
_MAX_CHARACTERS_TO_MASK = 4_096
"""Length of the beginning of a text in which secrets are masked before the excerpt is cut from it. It is larger than
the excerpt, because runs of white space are shortened before the cut."""


class DeliveryFailedError(Exception):
    """Ends a delivery without audio. Caught inside the client, which returns the failure."""

    def __init__(self, failure: Failure, *, is_temporary: bool = False) -> None:
        """End the delivery with `failure`.

        Args:
            failure: why there is no audio.
            is_temporary: whether the failed step costs nothing and may succeed later.
        """
        super().__init__(failure.message)
        self.failure, self.is_temporary = failure, is_temporary


def get_failure_kind_of_status(http_status: int) -> FailureKind:
    """Return the kind of failure for an HTTP status other than 2xx."""
    if http_status == 429:
        return "rate_limited"
    if http_status == 402:
        return "no_credit"
    if 400 <= http_status < 500:
        return "rejected"
    return "server_error" if http_status >= 500 else "protocol"


def get_failure_kind_of_error(transport_error: TransportError) -> FailureKind:
    """Return the kind of failure for a connection error."""
    return "timeout" if isinstance(transport_error, TimedOutError) else "network"


def build_rejection_failure(response: Response, secrets: Sequence[str], request_purpose: str = "") -> Failure:
    """Return the failure for a response other than 2xx.

    Args:
        response: the response.
        secrets: texts to mask in the message, because some providers echo the key.
        request_purpose: what was requested, if it was not the submit, such as "downloading the audio".
    """
    message = f"{request_purpose + ': ' if request_purpose else ''}{describe_response(response, secrets)}"
    return Failure(kind=get_failure_kind_of_status(response.status), message=message, http_status=response.status)


def describe_response(response: Response, secrets: Sequence[str]) -> str:
    """Return the status and an excerpt of the body."""
    if not response.media_type.startswith("text/") and b"\0" in response.body[:_MAX_CHARACTERS_TO_MASK]:
        return f"HTTP {response.status}: {len(response.body)} bytes of {response.media_type or 'unknown type'}"
    # A character of UTF-8 has at most four bytes. One more is read, so that
    # `build_masked_excerpt` sees whether the text continues.
    text = build_masked_excerpt(response.body[: 4 * _MAX_CHARACTERS_TO_MASK + 4].decode(errors="replace"), secrets)
    return f"HTTP {response.status}: {text}" if text else f"HTTP {response.status} with an empty body"


def build_masked_excerpt(text: str, secrets: Sequence[str]) -> str:
    """Return the beginning of a provider's text on one line. Secrets are masked before the text is cut."""
    shown = mask_credentials(text[:_MAX_CHARACTERS_TO_MASK], secrets)
    if len(text) > _MAX_CHARACTERS_TO_MASK:
        # The cut may have split a secret, which is then not recognized: drop as many characters as it could have.
        shown = shown[: -max(map(len, secrets), default=1)]
    line = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    return f"{line[:_MAX_EXCERPT_CHARACTERS]}{'...' if len(line) > _MAX_EXCERPT_CHARACTERS else ''}"

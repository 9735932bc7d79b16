"""The reasons for which a delivery fails, and its deadline."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.client.connection import ProviderConnection
from voicegauge.errors import TimedOutError, TransportError
from voicegauge.model.exchange import Response
from voicegauge.model.job import Failure, FailureKind
from voicegauge.recording.credentials import mask_credentials

# Describes in one line, without secrets, why a delivery has no audio.


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


# Limits the time of one delivery, however slowly the service responds.


MAX_SUBMIT_AND_DOWNLOAD_S = 300.0
"""Maximum time of a submit with its retries and of a download, in seconds. The documented maximum time of the job is
added."""


class Deadline:
    """The time at which a delivery must end, on the clock of its client. No request is sent later."""

    def __init__(self, connection: ProviderConnection, *, max_job_duration_s: float = 0.0) -> None:
        """Start the time limit.

        Args:
            connection: the connection of the delivery, whose `max_wait_s` is respected.
            max_job_duration_s: the documented maximum time of the job in seconds; 0 if there is no job.
        """
        documented_s, set_s = MAX_SUBMIT_AND_DOWNLOAD_S + max_job_duration_s, connection.max_wait_s
        self.limit_s = documented_s if set_s is None else min(documented_s, set_s)
        self._clock = connection.clock
        self._ends_at_s = self._clock.monotonic() + self.limit_s

    @property
    def remaining_s(self) -> float:
        """Number of seconds until the deadline; 0 after it."""
        return max(self._ends_at_s - self._clock.monotonic(), 0.0)

    def extend(self, seconds: float) -> None:
        """Move the deadline later by `seconds`, in which the delivery did not wait for the service."""
        self._ends_at_s += seconds

    def require_time(self, incomplete_reason: str, *, needed_s: float = 0.0) -> None:
        """Check that more than `needed_s` seconds are left.

        Args:
            incomplete_reason: why the delivery is not complete yet, for the message.
            needed_s: time in seconds until the next request can be sent.

        Raises:
            DeliveryFailedError: the delivery would exceed its deadline.
        """
        if self.remaining_s > needed_s:
            return
        wait = f", and the next attempt is due in {needed_s:.3g} s" if needed_s else ""
        message = f"{incomplete_reason}; a delivery may take {self.limit_s:g} s{wait}"
        raise DeliveryFailedError(Failure(kind="timeout", message=message), is_temporary=True)

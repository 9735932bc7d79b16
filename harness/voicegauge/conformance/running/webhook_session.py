"""Collects the callbacks that a service sends for one case."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from voicegauge.checks import Call, RequestCallbacks
from voicegauge.conformance.cases import ConformanceCase, set_value_in_case_request
from voicegauge.contract import Operation, compute_signature, find_status_operation
from voicegauge.emulator import EMULATED_WEBHOOK_SECRET
from voicegauge.errors import UsageError
from voicegauge.model import Provenance, ReceivedCallback
from voicegauge.receiver import Receiver, run_receiver

CALLBACK_TIMEOUT_S = 60.0
"""Seconds to wait for the callback of a job after a response reported the end. No document states a limit."""
EMULATED_CALLBACK_TIMEOUT_S = 1.0
"""Seconds to wait for a callback of the emulator. The emulator sends it before it reports the same state in a response,
so it arrives at once."""
REPEATED_CALLBACK_WAIT_S = 3.0
"""Seconds to listen after the last expected callback, because it may be sent twice."""


def read_webhook_secret(operation: Operation, *, is_emulated: bool) -> str | None:
    """Return the secret with which the provider signs callbacks, from the environment; `None` if it is not known.

    Raises:
        UsageError: the secret is not base64, although the contract says so.
    """
    signature = operation.webhook.signature if operation.webhook is not None else None
    if signature is None:
        return None
    secret = os.environ.get(signature.secret_variable, "").strip() or (EMULATED_WEBHOOK_SECRET if is_emulated else None)
    if secret is not None:
        try:
            compute_signature(signature, secret, b"", callback_id="", timestamp="")
        except ValueError as error:
            raise UsageError(str(error)) from None
    return secret


@contextmanager
def open_receiver_for_cases(
    cases: Sequence[ConformanceCase], user_receiver: Receiver | None, provenance: Provenance
) -> Iterator[Receiver | None]:
    """Yield the receiver for the callbacks of `cases`: `user_receiver`, or a local one for callbacks of the emulator.

    Yield `None` if there is no `user_receiver` and no local one is needed or would be reachable.
    """
    is_local = (
        user_receiver is None
        and provenance is Provenance.EMULATED
        and any(case.callback_url_parameter for case in cases)
    )
    if not is_local:
        yield user_receiver
        return
    with run_receiver() as receiver:
        yield receiver


class WebhookSession:
    """One case with a webhook URL that no other case uses."""

    def __init__(self, case: ConformanceCase, callback_receiver: Receiver | None, *, is_emulated: bool) -> None:
        """Create a webhook URL for `case`.

        Raises:
            UsageError: there is no receiver.
        """
        if callback_receiver is None:
            raise UsageError("no receiver for webhooks: name the tunnel to this machine with --public-url")
        assert case.callback_url_parameter is not None
        self._case, self._receiver, self._emulated = case, callback_receiver, is_emulated
        self._url, self._parameter = callback_receiver.create_url(), case.callback_url_parameter

    @property
    def case(self) -> ConformanceCase:
        """The case to send, which is the planned case with the webhook URL in its request."""
        return msgspec.structs.replace(
            set_value_in_case_request(self._case, self._parameter.location, self._url), callback_url_parameter=None
        )

    async def collect_callbacks(
        self, operation: Operation, calls: Sequence[Call], max_wait_s: float | None = None
    ) -> RequestCallbacks | None:
        """Wait for the callbacks and return them; `None` if the request was not accepted.

        Args:
            operation: the operation that was called.
            calls: all calls of the case.
            max_wait_s: limit of the user for the wait, in seconds; `None` for no such limit.
        """
        submits = [call for call in calls if call.operation is operation]
        submit = submits[-1] if submits else None
        if submit is None or not submit.is_accepted:
            return None
        status = find_status_operation(operation)
        polls = tuple(call for call in calls if status is not None and call.operation is status)

        secret = read_webhook_secret(operation, is_emulated=self._emulated)

        def build_callbacks(
            received_callbacks: Sequence[ReceivedCallback], *, is_complete: bool = False
        ) -> RequestCallbacks:
            return RequestCallbacks(
                operation,
                tuple(received_callbacks),
                self._parameter.callback_timing,
                submit,
                polls,
                has_waited_long_enough=is_complete,
                webhook_secret=secret,
            )

        if build_callbacks(()).final_state is not None:
            timeout_s = EMULATED_CALLBACK_TIMEOUT_S if self._emulated else CALLBACK_TIMEOUT_S
            timeout_s = timeout_s if max_wait_s is None else min(timeout_s, max_wait_s)
            await self._receiver.wait_for_callbacks(
                self._url,
                lambda callback: bool(build_callbacks((callback,)).final_callback_bodies),
                timeout_s=timeout_s,
            )
            await asyncio.sleep(0 if self._emulated else REPEATED_CALLBACK_WAIT_S)
        return build_callbacks(self._receiver.list_callbacks_to(self._url), is_complete=True)

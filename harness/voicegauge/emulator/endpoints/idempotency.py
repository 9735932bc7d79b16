"""Remembers responses by the idempotency key of their request, so that a repeated request is performed once."""

from __future__ import annotations

import copy
import dataclasses
import math

from voicegauge.contract import Operation
from voicegauge.emulator.http import IncomingRequest
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.state import EmulatedAccount

MAX_REMEMBERED_RESPONSES = 1_000
"""Maximum number of remembered responses; older ones are forgotten, so that memory stays bounded."""

_AccountOperationAndKey = tuple[str, str, str]
"""The name of the account, the id of the operation and the idempotency key of a request."""


class IdempotentResponses:
    """The accepted responses of one provider to requests with an idempotency key (`x-idempotency`)."""

    def __init__(self) -> None:
        """Start without responses."""
        self._responses: dict[_AccountOperationAndKey, tuple[float, EmulatedResponse]] = {}

    def find_response(
        self, request: IncomingRequest, operation: Operation, account: EmulatedAccount, now_s: float
    ) -> EmulatedResponse | None:
        """Return a copy of the response to the first request with the same key; `None` if this request is the first."""
        key = _find_account_operation_and_key(request, operation, account)
        saved_at, response = self._responses.get(key, (math.inf, None)) if key is not None else (math.inf, None)
        valid_s = operation.idempotency.key_lifetime_s if operation.idempotency is not None else None
        if response is None or now_s - saved_at >= (valid_s or math.inf):
            return None
        return _copy_response(response)

    def save_response(
        self,
        request: IncomingRequest,
        operation: Operation,
        account: EmulatedAccount,
        now_s: float,
        response: EmulatedResponse,
    ) -> None:
        """Remember an accepted response, if the request has an idempotency key."""
        key = _find_account_operation_and_key(request, operation, account)
        if key is None or not 200 <= response.status < 300:
            return
        self._responses[key] = (now_s, _copy_response(response))
        if len(self._responses) > MAX_REMEMBERED_RESPONSES:
            del self._responses[next(iter(self._responses))]


def _find_account_operation_and_key(
    request: IncomingRequest, operation: Operation, account: EmulatedAccount
) -> _AccountOperationAndKey | None:
    value = request.find_header(operation.idempotency.header_name) if operation.idempotency is not None else None
    return (account.name, operation.id, value) if value else None


def _copy_response(response: EmulatedResponse) -> EmulatedResponse:
    """Return a copy whose body and headers can be changed. The copy refers to the same job as `response`."""
    return dataclasses.replace(response, body=copy.deepcopy(response.body), headers=dict(response.headers))

"""Signs callbacks as the contract documents."""

from __future__ import annotations

import os
import time
import uuid

from voicegauge.contract import build_signature_headers, compute_signature
from voicegauge.contract.extension import WebhookSignature
from voicegauge.emulator.responses import EmulatedCallback
from voicegauge.emulator.settings import EMULATED_WEBHOOK_SECRET

_WRONG_SECRET = "d3Jvbmctc2VjcmV0"  # noqa: S105 - what a forger would use


def sign_callback(signature_spec: WebhookSignature, callback: EmulatedCallback, payload: bytes) -> dict[str, str]:
    """Return the headers that sign a callback.

    The signed time is real even with an emulated clock, because the receiver compares it with its own clock. The
    secret comes from the environment. If it is invalid, `EMULATED_WEBHOOK_SECRET` signs instead: the receiver rejects
    that signature, so that the mistake is noticed.
    """
    secret = os.environ.get(signature_spec.secret_variable, "").strip() or EMULATED_WEBHOOK_SECRET
    callback_id, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time() - callback.signature_age_s))
    parts = {"callback_id": callback_id, "timestamp": timestamp}
    try:
        signature = compute_signature(
            signature_spec, _WRONG_SECRET if callback.has_forged_signature else secret, payload, **parts
        )
    except ValueError:
        signature = compute_signature(signature_spec, EMULATED_WEBHOOK_SECRET, payload, **parts)
    return build_signature_headers(signature_spec, signature, **parts)

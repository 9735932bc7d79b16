"""Signs requests by AWS Signature Version 4."""

from __future__ import annotations

import httpx
import msgspec

from voicegauge.errors import MissingExtraError
from voicegauge.model import Request


def sign_for_aws(request: Request, *, access_key_id: str, secret_key: str, region: str, service: str) -> Request:
    """Return `request` with an Authorization header that signs it, dated at the present time.

    Raises:
        MissingExtraError: httpx-auth is not installed.
    """
    try:
        from httpx_auth import AWS4Auth
    except ImportError:
        raise MissingExtraError("signing requests for AWS", "aws") from None
    kept = [(name, value) for name, value in request.headers if name.lower() != "authorization"]
    unsigned = httpx.Request(request.method, request.url, headers=kept, content=request.sent_body)
    names_before = {name.lower() for name, _ in kept}
    signed = next(AWS4Auth(access_key_id, secret_key, region, service).auth_flow(unsigned))
    new_names = ("x-amz-date", "x-amz-content-sha256", "authorization")
    added = [(name, signed.headers[name]) for name in new_names if name not in names_before]
    return msgspec.structs.replace(request, headers=(*kept, *added))

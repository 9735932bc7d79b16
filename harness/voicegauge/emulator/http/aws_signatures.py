"""Verifies AWS Signature Version 4 as documented by AWS, without the code that signs the requests of voicegauge."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote, urlsplit

from voicegauge.contract.extension import AwsSignature
from voicegauge.emulator.http.request import IncomingRequest

_AUTHORIZATION_PATTERN = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_HEADERS_THAT_MUST_BE_SIGNED = {"host", "x-amz-date"}


def has_valid_signature(incoming_request: IncomingRequest, aws_signature_spec: AwsSignature, secret_key: str) -> bool:
    """Whether a request was signed with `secret_key` for the region and service of the contract."""
    found = _AUTHORIZATION_PATTERN.fullmatch(incoming_request.find_header("authorization") or "")
    date = incoming_request.find_header("x-amz-date") or ""
    if (
        not found
        or (found["region"], found["service"]) != (aws_signature_spec.region, aws_signature_spec.service)
        or not date.startswith(found["day"])
    ):
        return False
    names = found["names"].split(";")
    payload_digest = hashlib.sha256(incoming_request.body).hexdigest()
    is_other_body = incoming_request.find_header("x-amz-content-sha256") not in (None, payload_digest)
    if is_other_body or not date.startswith(found["day"]) or not set(names) >= _HEADERS_THAT_MUST_BE_SIGNED:
        return False
    headers = "".join(f"{name}:{' '.join((incoming_request.find_header(name) or '').split())}\n" for name in names)
    path = urlsplit(incoming_request.base_url).path + incoming_request.path
    canonical = "\n".join(
        (
            incoming_request.method,
            quote(path, safe="/-_.~"),  # encoded twice, for every service but S3
            _build_canonical_query(incoming_request),
            headers,
            found["names"],
            payload_digest,
        )
    )
    scope = f"{found['day']}/{aws_signature_spec.region}/{aws_signature_spec.service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signing_key = f"AWS4{secret_key}".encode()
    for part in (found["day"], aws_signature_spec.region, aws_signature_spec.service, "aws4_request"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(signing_key, text.encode(), "sha256").hex(), found["signature"])


def _build_canonical_query(incoming_request: IncomingRequest) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(incoming_request.raw_query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in pairs)

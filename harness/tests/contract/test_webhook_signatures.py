"""Signatures of webhooks, with published examples of three forms."""

from __future__ import annotations

import pytest

from voicegauge.contract.extension.provider import WebhookSignature

STANDARD = WebhookSignature(
    signature_header_name="webhook-signature",
    signature_header_template="v1,{signature}",
    id_header_name="webhook-id",
    timestamp_header_name="webhook-timestamp",
    signed_text_template="{id}.{timestamp}.{body}",
    signature_encoding="base64",
    secret_variable="ACME_SECRET",
    secret_prefix="whsec_",
    secret_encoding="base64",
)
IN_ONE_HEADER = WebhookSignature(
    signature_header_name="ElevenLabs-Signature",
    signature_header_template="t={timestamp},v0={signature}",
    signed_text_template="{timestamp}.{body}",
    secret_variable="ACME_SECRET",
)
BODY_ONLY = WebhookSignature(
    signature_header_name="X-Hub-Signature-256",
    signature_header_template="sha256={signature}",
    secret_variable="ACME_SECRET",
)


def test_the_example_of_standard_webhooks() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    parts = {"callback_id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": "1614265330"}
    assert STANDARD.compute_signature(secret, body, **parts) == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_github() -> None:
    signature = BODY_ONLY.compute_signature(
        "It's a Secret to Everybody", b"Hello, World!", callback_id="", timestamp=""
    )
    assert signature == "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


@pytest.mark.parametrize("spec", [STANDARD, IN_ONE_HEADER, BODY_ONLY])
def test_what_is_written_is_read(spec: WebhookSignature) -> None:
    headers = spec.build_headers("c2ln", callback_id="m1", timestamp="17")
    parts = spec.read_headers(headers.get)
    assert parts == (
        ("c2ln",),
        "m1" if spec.id_header_name else "",
        "17" if "{timestamp}" in spec.signed_text_template else "",
    )


def test_several_signatures_are_read() -> None:
    headers = {"webhook-signature": "v1,YQ== v1,Yg== v1a,Yw==", "webhook-id": "m", "webhook-timestamp": "1"}
    assert STANDARD.read_headers(headers.get).signatures == ("YQ==", "Yg==")


def test_a_secret_that_is_not_base64_names_its_variable() -> None:
    with pytest.raises(ValueError, match="ACME_SECRET is not base64"):
        STANDARD.compute_signature("whsec_?", b"", callback_id="", timestamp="")

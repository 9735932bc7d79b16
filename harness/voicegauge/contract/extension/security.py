"""Defines `x-key` on a security scheme, and the signature of webhooks: keys of requests in both directions."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from voicegauge.model import Record

EnvironmentVariable = Annotated[str, Meta(pattern=r"^[A-Z_][A-Z0-9_]*$(?!\n)")]
"""Name of an environment variable in capital letters: it becomes part of shell commands."""


class AwsSignature(Record, frozen=True, kw_only=True):
    """The region and the service for which AWS Signature Version 4 signs requests."""

    region: str
    service: str


class KeySpec(Record, frozen=True, kw_only=True):
    """`x-key` on a security scheme."""

    key_variable: EnvironmentVariable | None = msgspec.field(default=None, name="env")
    """Name of the environment variable with what this scheme sends, such as a user id; by default that of
    `x-provider.key_env`."""
    key_prefix: Annotated[str, Meta(pattern=r"^[ -~]{0,40}$(?!\n)")] = msgspec.field(default="", name="prefix")
    """Text before the key in the header, query parameter or cookie, such as "Token "."""
    id_variable: EnvironmentVariable | None = msgspec.field(default=None, name="id_env")
    """Name of the environment variable with the id that belongs to a secret key: the OAuth 2 client id, or the AWS
    access key id."""
    aws_signature: AwsSignature | None = msgspec.field(default=None, name="aws")
    """How requests are signed with the key by AWS Signature Version 4; `None` if the key itself is sent."""


class WebhookSignature(Record, frozen=True, kw_only=True):
    """`signature` of `x-webhook`: how a provider signs its callbacks with an HMAC."""

    signature_header_name: str = msgspec.field(name="header")
    """Name of the header with the signature. The header may contain several signatures, one for each secret."""
    signature_header_template: str = msgspec.field(default="{signature}", name="format")
    """Content of the signature header for one signature, in which "{signature}" and "{timestamp}" are replaced."""
    signed_text_template: str = msgspec.field(default="{body}", name="signed")
    """Text that is signed, in which "{body}", "{timestamp}" and "{id}" are replaced by the values of the callback."""
    id_header_name: str | None = msgspec.field(default=None, name="id")
    """Name of the header with the id of the callback; `None` if no header has it."""
    timestamp_header_name: str | None = msgspec.field(default=None, name="timestamp")
    """Name of the header with the Unix time, in seconds, at which the callback was sent; `None` if the signature header
    has the time, or no time is sent."""
    hash_algorithm: Literal["sha1", "sha256", "sha512"] = msgspec.field(default="sha256", name="digest")
    signature_encoding: Literal["hex", "base64"] = msgspec.field(default="hex", name="encoding")
    """How the signature is written."""
    secret_variable: EnvironmentVariable = msgspec.field(name="secret_env")
    """Environment variable with the secret that the provider and the receiver share."""
    secret_prefix: str = ""
    """Text before the secret that is not part of it."""
    secret_encoding: Literal["text", "base64"] = "text"  # noqa: S105 - not a secret
    timestamp_tolerance_s: Annotated[float, Meta(gt=0)] = msgspec.field(default=300.0, name="tolerance_s")
    """Maximum difference between the timestamp and the time of arrival, in seconds."""

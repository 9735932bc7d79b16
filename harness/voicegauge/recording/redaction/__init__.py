"""Removes secrets and machine-specific URLs from recorded traffic."""

from voicegauge.recording.redaction.body_masking import bare_media_type, mask_body, multipart_fields
from voicegauge.recording.redaction.credentials import BAD_KEY, MASK, mask_credentials
from voicegauge.recording.redaction.record_masking import mask_record
from voicegauge.recording.redaction.redactor import Redactor
from voicegauge.recording.redaction.secret_search import find_secret
from voicegauge.recording.redaction.url_rewriting import (
    OTHER_HOSTS_PREFIX,
    UrlCanonicalizer,
    UrlRewriter,
    build_url_rewriter,
    relative_path,
    rewrite_response_urls,
)

__all__ = [
    "BAD_KEY",
    "MASK",
    "OTHER_HOSTS_PREFIX",
    "Redactor",
    "UrlCanonicalizer",
    "UrlRewriter",
    "bare_media_type",
    "build_url_rewriter",
    "find_secret",
    "mask_body",
    "mask_credentials",
    "mask_record",
    "multipart_fields",
    "relative_path",
    "rewrite_response_urls",
]

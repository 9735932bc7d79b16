"""Keeping secrets and machine-specific URLs out of recordings."""

from voicegauge.recording.redaction.credentials import BAD_KEY, MASK, find_secret, mask_credentials
from voicegauge.recording.redaction.redactor import Redactor
from voicegauge.recording.redaction.url_rewriting import (
    OTHER_HOSTS_PREFIX,
    UrlCanonicalizer,
    UrlRewriter,
    relative_path,
    rewrite_response_urls,
    url_rewriter,
)

__all__ = [
    "BAD_KEY",
    "MASK",
    "OTHER_HOSTS_PREFIX",
    "Redactor",
    "UrlCanonicalizer",
    "UrlRewriter",
    "find_secret",
    "mask_credentials",
    "relative_path",
    "rewrite_response_urls",
    "url_rewriter",
]

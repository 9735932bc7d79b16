"""Removes secrets and machine-specific URLs from recorded traffic."""

from voicegauge.recording.redaction.body_masking import get_bare_media_type, mask_body, read_multipart_fields
from voicegauge.recording.redaction.credentials import INVALID_API_KEY, MASK, mask_credentials
from voicegauge.recording.redaction.record_masking import mask_record
from voicegauge.recording.redaction.redactor import Redactor
from voicegauge.recording.redaction.secret_search import find_secret_spelling
from voicegauge.recording.redaction.url_rewriting import (
    OTHER_HOSTS_PATH_PREFIX,
    UrlCanonicalizer,
    UrlRewriter,
    build_url_rewriter,
    find_relative_path,
    rewrite_response_urls,
)
from voicegauge.recording.redaction.used_credentials import find_used_credentials

__all__ = [
    "INVALID_API_KEY",
    "MASK",
    "OTHER_HOSTS_PATH_PREFIX",
    "Redactor",
    "UrlCanonicalizer",
    "UrlRewriter",
    "build_url_rewriter",
    "find_relative_path",
    "find_secret_spelling",
    "find_used_credentials",
    "get_bare_media_type",
    "mask_body",
    "mask_credentials",
    "mask_record",
    "read_multipart_fields",
    "rewrite_response_urls",
]

"""Masks known secrets in a record that is about to be written or printed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from voicegauge.recording.redaction.credentials import MASK, mask_url_users
from voicegauge.recording.redaction.secret_search import replace_secrets

RecordT = TypeVar("RecordT")


def mask_record(record: RecordT, secrets: Sequence[str]) -> RecordT:
    """Replace `secrets`, in any spelling, with `MASK` in all texts of a record, including dictionary keys.

    User names and passwords in URLs are masked too.

    Args:
        record: a record, or a tuple, list or dictionary of records. Nested records are masked too, but bytes are not.
        secrets: API keys that were in use.
    """
    masked: RecordT = _mask_value(record, secrets)
    return masked


def _mask_value(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return value if isinstance(value, enum.Enum) else mask_url_users(replace_secrets(value, secrets, MASK))
    if isinstance(value, tuple | list):
        return type(value)(_mask_value(item, secrets) for item in value)
    if isinstance(value, dict):
        return {_mask_value(key, secrets): _mask_value(item, secrets) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        fields = {name: _mask_value(getattr(value, name), secrets) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return value

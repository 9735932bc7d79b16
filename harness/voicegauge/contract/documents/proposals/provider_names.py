"""Derives ids of providers, operations and targets from what a document states."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from voicegauge.formats import Document

_IGNORED_TITLE_WORD_PATTERN = re.compile(r"\b(api|docs|documentation|reference|rest|specification)\b", re.IGNORECASE)


def derive_provider_id(document: Document, reserved_ids: Collection[str]) -> str:
    """Derive an id that is not reserved: api.acme.com becomes acme, or my-acme if acme is reserved."""
    name = _derive_provider_name(document)
    return f"my-{name}" if name in reserved_ids else name


def _derive_provider_name(document: Document) -> str:
    """Derive a name from the host of the first server, else from the title: api.acme.com becomes acme."""
    hosts = [urlsplit(url).hostname for url in list_server_urls(document.data)]
    parts = (hosts[0] or "").split(".") if hosts else []
    if len(parts) > 1:
        return convert_to_identifier(parts[-2])
    info = document.data.get("info")
    title = str(info.get("title", "") if isinstance(info, dict) else "")
    return convert_to_identifier(_IGNORED_TITLE_WORD_PATTERN.sub("", title)) or "my-provider"


def list_server_urls(document_data: Mapping[str, Any]) -> list[str]:
    """Return the absolute URLs of the servers of a document; those with variables are left out."""
    servers = document_data.get("servers")
    urls = [str(s.get("url", "")) for s in servers if isinstance(s, dict)] if isinstance(servers, list) else []
    return [url for url in urls if url.startswith(("http://", "https://")) and "{" not in url]


def convert_to_identifier(text: str) -> str:
    """Return small letters, digits and hyphens for a text: "XTTS v2" becomes "xtts-v2"."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def derive_name_from_path(path: str) -> str:
    """Return the last part of a path that is not a parameter, as a name."""
    parts = [convert_to_identifier(part) for part in path.split("/") if part and "{" not in part]
    return parts[-1] if parts else "speech"

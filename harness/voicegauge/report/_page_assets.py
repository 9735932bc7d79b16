"""Loads templates, styles and scripts of pages, and builds the Content Security Policy that allows no others."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from voicegauge.printable_text import escape_unprintable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


_LANGUAGE_TAG_PATTERN = re.compile(r"[a-z]{2}(-[A-Za-z]{2,4})?")


class PageAssets(NamedTuple):
    """The style and the script of a page, and the Content Security Policy that allows them by their digests."""

    style: Markup
    script: Markup
    content_security_policy: str


def load_assets(style_sheet_files: Sequence[str], script_files: Sequence[str]) -> PageAssets:
    """Join the style sheets of a page into one, and its scripts into one.

    Args:
        style_sheet_files: names of files in `templates/styles`, in order.
        script_files: names of files in `templates/scripts`, in order; all of them share one scope.
    """
    from markupsafe import Markup

    style, script = _read_assets("styles", style_sheet_files), _read_assets("scripts", script_files)
    return PageAssets(
        Markup(style),  # noqa: S704 - our own file
        Markup(script),  # noqa: S704 - our own file
        _build_content_security_policy(style, script),
    )


@cache
def create_template_environment() -> Environment:
    """Return the environment of the templates, which escapes everything that it prints."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("voicegauge.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escape_output,
    )
    jinja.tests["language"] = lambda value: bool(_LANGUAGE_TAG_PATTERN.fullmatch(value))
    return jinja


def _escape_output(value: Any) -> Any:
    """Escape unprintable characters in a value that a template prints."""
    # Not subclasses: `Markup` is our own style and script, whose digest must not change.
    return escape_unprintable(value) if type(value) is str else value


def _read_assets(folder: str, names: Sequence[str]) -> str:
    templates = files("voicegauge.report") / "templates" / folder
    return "\n".join((templates / name).read_text(encoding="utf-8") for name in names)


def _build_content_security_policy(style: str, script: str) -> str:
    """Return a policy that allows `style` and `script` by their digests, audio in the page, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_compute_csp_digest(style)}'; script-src '{_compute_csp_digest(script)}'; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def _compute_csp_digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"

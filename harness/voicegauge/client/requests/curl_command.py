"""Writes requests as curl commands, which read the API key from its environment variable."""

from __future__ import annotations

import base64
import re
import shlex
from urllib.parse import unquote

from voicegauge.contract import Contract
from voicegauge.formats import UnreadableBodyError, read_form
from voicegauge.model import Request

MAX_BODY_CHARACTERS = 4_000
"""Maximum length of a body in a command. A longer body is replaced by a file name, so that a finding stays readable."""
_OMITTED_HEADERS = frozenset({"host", "content-length", "accept", "accept-encoding", "user-agent"})
"""Headers that are not part of the command: curl sets host and content-length itself, and the rest do not change what
providers do."""


def curl_command(request: Request, contract: Contract, *, key: str | None = None) -> str:
    """Return the shell command that sends `request` again.

    Args:
        request: the request as it was sent.
        contract: the contract, which names the environment variable and the place of the key.
        key: the key in use. Another key in the request (a wrong one, sent on purpose) is shown. If `None`, every value
            at the place of a key is replaced by the variable.
    """
    replacer = _KeyReplacer(contract, key)
    parts = ["curl", "-sS", "-i"]
    if request.method != ("POST" if request.body else "GET"):
        parts += ["-X", shlex.quote(request.method)]
    parts.append(_quote(replacer.replace_in_url(request.url), replacer.variable))
    multipart = (request.header("content-type") or "").startswith("multipart/form-data")
    for name, value in request.headers:
        if name.lower() in _OMITTED_HEADERS or (multipart and name.lower() == "content-type"):
            continue
        user = replacer.basic_user(name, value)
        if user is not None:
            parts += ["-u", _quote(user, replacer.variable)]
        else:
            parts += ["-H", _quote(f"{name}: {replacer.replace_in_header(name, value)}", replacer.variable)]
    parts += _form_options(request) if multipart else _data_options(request.body)
    return " ".join(parts)


def _quote(text: str, variable: str) -> str:
    """Quote for a POSIX shell: in single quotes, or in double quotes if the variable has to be expanded."""
    mark = f"${variable}"
    if mark not in text:
        return shlex.quote(text)
    pieces = [re.sub(r'([\\"$`])', r"\\\1", piece) for piece in text.split(mark)]
    return f'"{mark.join(pieces)}"'


class _KeyReplacer:
    """Replaces the key by the environment variable."""

    def __init__(self, contract: Contract, key: str | None) -> None:
        self.variable = contract.provider.key_env
        self._key = key
        schemes = contract.security_schemes.values()
        named = [(str(s.get("in", "header")), str(s.get("name"))) for s in schemes if s.get("type") == "apiKey"]
        self._queries = [name for place, name in named if place == "query"]
        self._headers = {name.lower() for place, name in named if place == "header"}
        self._headers |= {"authorization", "cookie"}

    def replace_in_url(self, url: str) -> str:
        """Return `url` with the key replaced in its query parameter."""
        for name in self._queries:
            pattern = rf"(?<=[?&]){re.escape(name)}=([^&#]*)"
            url = re.sub(pattern, lambda found: f"{found[0].partition('=')[0]}={self._replace_in_value(found[1])}", url)
        return url

    def replace_in_header(self, name: str, value: str) -> str:
        """Return the value of a header with the key replaced, but not its scheme ("Bearer") or cookie name."""
        if name.lower() not in self._headers:
            return value
        if name.lower() == "cookie":
            cookie, _, rest = value.partition("=")
            return f"{cookie}={self._replace_in_value(rest)}"
        word, space, rest = value.partition(" ")
        if not space:
            return self._replace_in_value(value)
        return f"{word} {self._replace_in_value(rest)}"

    def basic_user(self, name: str, value: str) -> str | None:
        """Return the argument of curl's `-u` for a Basic authorization header; `None` for any other header."""
        if name.lower() != "authorization" or not value.lower().startswith("basic "):
            return None
        try:
            pair = base64.b64decode(value[len("basic ") :]).decode()
        except ValueError:
            pair = ""
        if self._key is not None and self._key not in pair:
            return pair
        # A key without a colon is sent as the user name with an empty password.
        return f"${self.variable}:" if pair.endswith(":") else f"${self.variable}"

    def _replace_in_value(self, value: str) -> str:
        has_key = self._key is None or self._key in value or self._key in unquote(value)
        return f"${self.variable}" if has_key else value


def _data_options(body: bytes) -> list[str]:
    if not body:
        return []
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or "\0" in text or len(text) > MAX_BODY_CHARACTERS:
        return ["--data-binary", "@body.bin"]
    return ["--data-raw", shlex.quote(text)]


def _form_options(request: Request) -> list[str]:
    """Return curl's options for a multipart form: fields with their values, files with their names."""
    try:
        form = read_form(request.header("content-type") or "", request.body)
    except UnreadableBodyError:
        return ["--data-binary", "@body.bin"]
    parts = []
    for name, value in form.fields.items():
        parts += ["--form-string", shlex.quote(f"{name}={value[:MAX_BODY_CHARACTERS]}")]
    for name, file in form.files.items():
        parts += ["-F", shlex.quote(f"{name}=@{file.filename};type={file.media_type}")]
    return parts

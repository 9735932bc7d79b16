"""Writes requests as curl commands that work as printed and are safe to paste.

The key is read from its environment variable. Files that a request uploads exist. A command may quote what a stranger
wrote (a recording, a response, a contract). Therefore every argument is quoted, and nothing in it is a control
character, which could act on the terminal where the command is shown or pasted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import unquote

from voicegauge.client.requests.http_request import Origin, RequestBuilder, parse_origin
from voicegauge.contract import Contract
from voicegauge.data import cache_folder
from voicegauge.errors import UsageError
from voicegauge.files import write_file
from voicegauge.formats import Form, UnreadableBodyError, is_json, read_form, read_json
from voicegauge.model import Request
from voicegauge.recording import MASK, find_secret

MAX_INLINE_CHARACTERS = 4_000
"""Maximum length of a body or field in a command. A longer one is in a file, so that a finding stays readable."""
MAX_SAVED_FILE_BYTES = 32 * 2**20
"""Maximum size of a body that is saved for a command."""
_OMITTED_HEADERS = frozenset({"host", "content-length", "accept", "accept-encoding", "user-agent"})
"""Headers that are not part of the command: curl sets host and content-length itself, and the rest do not change what
providers do."""
_HTTP_TOKEN_PATTERN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method or the name of a header (RFC 9110, section 5.6.2)."""
_SAFE_FORM_VALUE_PATTERN = re.compile(r"[\w.\[\]-][\w. \[\]-]*", re.ASCII)
"""A name of a field or file that means itself in an argument of curl's `-F`."""
_MEDIA_TYPE_PATTERN = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_FILE_SUFFIX_PATTERN = re.compile(r"\.\w{1,8}", re.ASCII)
_SINGLE_QUOTED_PATTERN = re.compile(r'[\\"$`!]')

SaveFile = Callable[[bytes, str], Path]
"""Saves the content of a file for a command and returns its path. The second argument is the suffix of its name."""


def save_file_in_cache(content: bytes, suffix: str) -> Path:
    """Save `content` in the cache folder, under a name that depends on the content only.

    Raises:
        UsageError: the file cannot be written.
    """
    path = cache_folder() / "requests" / f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    if not path.exists():
        write_file(path, content)
    return path


def build_curl_command(
    request: Request,
    contract: Contract,
    *,
    key: str | None = None,
    key_origins: Collection[Origin] | None = None,
    default_key: str | None = None,
    save_file: SaveFile = save_file_in_cache,
) -> str | None:
    """Return the shell command that sends `request` again; `None` if no command can.

    Args:
        request: the request as it was sent.
        contract: the contract, which names the environment variable and the place of the key.
        key: the key in use. Another key in the request (a wrong one, sent on purpose) is shown. If `None`, every value
            at the place of a key is replaced by the variable.
        key_origins: the origins that may receive the key; by default those of the servers in the contract. In a request
            to any other origin the key is masked.
        default_key: the key that is sent if the variable is unset or empty, of letters, digits and "-"; by default the
            empty text.
        save_file: saves uploads, and bodies that cannot be part of a command.
    """
    target = parse_origin(request.url)
    names = [request.method, *(name for name, _ in request.headers)]
    if target is None or not all(map(_HTTP_TOKEN_PATTERN.fullmatch, names)):
        return None
    if not all(value.isprintable() for _, value in request.headers):
        return None
    allowed = RequestBuilder(contract, {}).origins if key_origins is None else key_origins
    variable = contract.provider.key_env
    expansion = f"${variable}" if default_key is None else f"${{{variable}:-{default_key}}}"
    replacement = expansion if target in allowed else MASK
    replacer = _KeyReplacer(contract, key, replacement)

    def save_and_note_file(content: bytes, suffix: str) -> Path:
        if len(content) > MAX_SAVED_FILE_BYTES or (key is not None and find_secret(content, (key,)) is not None):
            raise UsageError("the body is too large to be saved, or contains the key")
        return save_file(content, suffix)

    try:
        body = _build_body_arguments(request, save_and_note_file)
    except UsageError:  # or the cache is not writable
        return None
    parts = ["curl", "-sS", "-i", *_build_method_arguments(request)]
    parts += ["--globoff"] if re.search(r"[][{}]", request.url) else []
    parts.append(_quote_for_shell(replacer.replace_in_url(request.url), replacement))
    for name, value in request.headers:
        if name.lower() in _OMITTED_HEADERS or (body.sets_content_type and name.lower() == "content-type"):
            continue
        user = replacer.replace_in_basic_auth(name, value)
        if user is not None:
            parts += ["-u", _quote_for_shell(user, replacement)]
        else:
            shown = replacer.replace_in_header(name, value)
            # curl takes "Name:" for a header to leave out, and "Name;" for one without a value.
            parts += ["-H", _quote_for_shell(f"{name}: {shown}" if shown else f"{name};", replacement)]
    if body.arguments and not body.sets_content_type and request.header("content-type") is None:
        parts += ["-H", "Content-Type:"]  # curl would send one that the request did not have
    return " ".join([*parts, *body.arguments])


def _build_method_arguments(request: Request) -> list[str]:
    if request.method == "HEAD":
        return ["--head"]
    default = "POST" if request.body else "GET"
    return [] if request.method == default else ["-X", shlex.quote(request.method)]


def _quote_for_shell(text: str, key_replacement: str) -> str:
    """Quote for a shell; the shell expands only what replaces the key, nothing if it is masked.

    Text next to the variable is in double quotes if nothing in it has a meaning there. An interactive shell would
    replace a "!" there by an earlier command.
    """
    if key_replacement not in text:
        return shlex.quote(text)
    pieces = text.split(key_replacement)
    if not any(map(_SINGLE_QUOTED_PATTERN.search, pieces)):
        return f'"{text}"'
    return f'"{key_replacement}"'.join(shlex.quote(piece) if piece else "" for piece in pieces)


class _KeyReplacer:
    """Replaces the key by the environment variable, or masks it."""

    def __init__(self, contract: Contract, key: str | None, replacement: str) -> None:
        self._replacement = replacement
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
            url = re.sub(pattern, lambda found: f"{found[0].partition('=')[0]}={self._replace_in_text(found[1])}", url)
        return url

    def replace_in_header(self, name: str, value: str) -> str:
        """Return the value of a header with the key replaced, but not its scheme ("Bearer") or cookie name."""
        if name.lower() not in self._headers:
            return value
        if name.lower() == "cookie":
            cookie, _, rest = value.partition("=")
            return f"{cookie}={self._replace_in_text(rest)}"
        word, space, rest = value.partition(" ")
        if not space:
            return self._replace_in_text(value)
        return f"{word} {self._replace_in_text(rest)}"

    def replace_in_basic_auth(self, name: str, value: str) -> str | None:
        """Return the argument of curl's `-u` for a Basic authorization header; `None` for any other header."""
        if name.lower() != "authorization" or not value.lower().startswith("basic "):
            return None
        try:
            pair = base64.b64decode(value[len("basic ") :]).decode()
        except ValueError:
            pair = ""
        if self._key is not None and self._key not in pair:
            return pair if pair.isprintable() else None
        # A key without a colon is sent as the user name with an empty password.
        return f"{self._replacement}:" if pair.endswith(":") else self._replacement

    def _replace_in_text(self, value: str) -> str:
        contains_key = self._key is None or self._key in value or self._key in unquote(value)
        return self._replacement if contains_key else value


class _BodyArguments:
    """Arguments of curl for a body."""

    def __init__(self, arguments: list[str], *, sets_content_type: bool = False) -> None:
        self.arguments = arguments
        self.sets_content_type = sets_content_type
        """Whether curl sends a Content-Type of its own, with the boundary of a multipart form."""


def _build_body_arguments(request: Request, save_file: SaveFile) -> _BodyArguments:
    """Return arguments for the body of `request`: inline text, a form with its files, or the whole body as a file.

    Raises:
        UsageError: a file cannot be saved.
    """
    body, content_type = request.body, request.header("content-type") or ""
    if not body:
        return _BodyArguments([])
    if content_type.startswith("multipart/form-data"):
        form = _parse_simple_form(content_type, body)
        if form is not None:
            return _BodyArguments(_build_form_arguments(form, save_file), sets_content_type=True)
    text = _get_inline_text(body, content_type.split(";")[0].strip().lower())
    if text is not None:
        return _BodyArguments(["--data-raw", shlex.quote(text)])
    return _BodyArguments(["--data-binary", shlex.quote(f"@{save_file(body, '.bin')}")])


def _get_inline_text(body: bytes, media_type: str) -> str | None:
    """Return `body` as text that a command can contain; `None` if it is too long or has unprintable characters.

    In JSON, an unprintable character in a text is written as an escape sequence, and white space around values as a
    space, which changes no value.
    """
    if len(body) > MAX_INLINE_CHARACTERS:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if not text.isprintable() and is_json(media_type):
        try:
            read_json(body)
        except UnreadableBodyError:
            return None
        text = "".join(c if c.isprintable() else " " if c in "\t\r\n" else json.dumps(c)[1:-1] for c in text)
    return text if text.isprintable() else None


def _parse_simple_form(content_type: str, body: bytes) -> Form | None:
    """Return a form whose fields and files curl can send by name; `None` for any other body."""
    try:
        form = read_form(content_type, body)
    except UnreadableBodyError:
        return None
    words = [*form.fields, *form.files, *(file.filename for file in form.files.values())]
    texts_are_simple = all(text.isprintable() and len(text) <= MAX_INLINE_CHARACTERS for text in form.fields.values())
    types_are_simple = all(_MEDIA_TYPE_PATTERN.fullmatch(file.media_type) for file in form.files.values())
    return (
        form if texts_are_simple and types_are_simple and all(map(_SAFE_FORM_VALUE_PATTERN.fullmatch, words)) else None
    )


def _build_form_arguments(form: Form, save_file: SaveFile) -> list[str]:
    """Return curl's options for a multipart form: fields with their values, files with their names."""
    arguments = []
    for name, value in form.fields.items():
        arguments += ["--form-string", shlex.quote(f"{name}={value}")]
    for name, file in form.files.items():
        suffix = Path(file.filename).suffix
        path = save_file(file.data, suffix if _FILE_SUFFIX_PATTERN.fullmatch(suffix) else ".bin")
        quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
        argument = f'{name}=@"{quoted}";filename="{file.filename}";type={file.media_type}'
        arguments += ["-F", shlex.quote(argument)]
    return arguments

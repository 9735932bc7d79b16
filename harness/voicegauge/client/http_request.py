"""Builds HTTP requests from operations and values, and the commands of curl that repeat them.

A command reads the key from its environment variable. The files that a command uploads have been saved. A
command may quote what a stranger wrote (a recording, a response, a contract). Therefore every argument is quoted, and
contains no control character, which could act on the terminal where the command is shown or pasted.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import shlex
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec

from voicegauge.client.keys import (
    AWS_SIGNATURE_SCHEME,
    CREDENTIAL_PLACEHOLDER_PREFIX,
    build_credentials,
    list_secrets,
    read_values_by_variable,
)
from voicegauge.client.speech_request import RequestParts, choose_media_type
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.errors import UsageError
from voicegauge.files import get_cache_folder, write_file
from voicegauge.formats.bodies import Form, UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.hosts import to_http_url
from voicegauge.model.exchange import Request
from voicegauge.recording.masking import MASK
from voicegauge.recording.secret_search import find_secret_spelling
from voicegauge.transport.body_encoding import encode_body, find_file_padding, join_form_field_lists
from voicegauge.version import __version__

# Builds HTTP requests with URL, headers, key and encoded body.


_DEFAULT_PORTS = {"http": 80, "https": 443}
"""Port of a URL that states none, by scheme."""
_DEFAULT_HEADERS = {
    "User-Agent": f"voicegauge/{__version__}",
    "Accept": "*/*",
    # Without compression the arrival of chunks can be timed as bytes of audio.
    "Accept-Encoding": "identity",
}
"""Headers of each request that does not set them itself."""

Origin = tuple[str, str, int]
"""Scheme, host and port (RFC 6454). It includes the scheme, because a key for https://host must not be sent to
http://host."""


@functools.lru_cache(maxsize=256)
def parse_origin(url: str) -> Origin | None:
    """Return the origin of an absolute http(s) URL; `None` for any other text.

    Return `None` for URLs with user information or control characters too, because parsers disagree about the host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc or not url.isprintable():
        return None
    return parts.scheme, parts.hostname.lower(), port or _DEFAULT_PORTS[parts.scheme]


class RequestBuilder:
    """Builds requests for the operations of one contract."""

    def __init__(self, contract: Contract, base_urls: Mapping[str, str]) -> None:
        """Resolve the base URL of each server.

        Args:
            contract: the contract whose operations are called.
            base_urls: replacement base URLs by server name; the name "" means every other server.

        Raises:
            UnknownNameError: `base_urls` names a server that the contract does not have.
            UsageError: a base URL is not valid.
        """
        self._contract = contract
        base_urls = {name: to_http_url(url) for name, url in base_urls.items()}
        for name, url in base_urls.items():
            if name:
                contract.find_server(name)
            if parse_origin(url) is None:
                raise UsageError(f"--base-url {url!r} must be absolute, with http, https, ws or wss and without a user")
        self._bases = {
            name: base_urls.get(name, base_urls.get("", server.url)).rstrip("/")
            for name, server in contract.servers.items()
        }
        origin_by_server = {name: parse_origin(url) for name, url in self._bases.items()}
        self._headers = dict(_DEFAULT_HEADERS)
        _set_headers(self._headers, contract.provider.request_headers)
        self.origins = frozenset(one for one in origin_by_server.values() if one is not None)
        """The origins of the servers. Only these receive the key."""
        with_http = {one for name, one in origin_by_server.items() if not contract.is_socket_server(name)}
        self.socket_origins = self.origins - with_http
        """The origins of servers that have WebSockets only."""

    def replace_base_url(self, url: str) -> str:
        """Return `url` with the base URL of the contract replaced by the one that the user has set for this server."""
        servers = self._contract.servers.values()
        server = max((one for one in servers if f"{url}/".startswith(f"{one.url}/")), key=lambda one: len(one.url))
        return self._bases[server.name] + url.removeprefix(server.url)

    def get_server_url(self, operation: Operation) -> str:
        """Return the base URL of the server of `operation`."""
        return self._bases[operation.server.name]

    def build_url(self, operation: Operation, path_values: Mapping[str, Any], server_name: str | None = None) -> str:
        """Return the URL of `operation` with the given path parameters.

        `server_name` is the name of a server in the contract; `None` for the server of the operation.

        Raises:
            UsageError: a path parameter is missing or empty.
        """
        filled = operation.path
        for parameter in operation.parameters:
            if parameter.message_part != "path":
                continue
            text = _format_parameter_value(path_values.get(parameter.name, ""))
            if not text:
                raise UsageError(f"{operation.contract.id} {operation.id} needs path.{parameter.name}")
            filled = filled.replace("{" + parameter.name + "}", parameter.encode_segments(text))
        return self._bases[server_name or operation.server.name] + filled

    def build_request(
        self, operation: Operation, request_parts: RequestParts, key: str | None, *, url: str | None = None
    ) -> Request:
        """Return the HTTP request of `operation` with the values of `request_parts`.

        Args:
            operation: the operation to call.
            request_parts: values of the operation's parameters and body.
            key: the API key, which is sent as the operation's security scheme documents, and only if the URL is the
                provider's own; `None` sends no key.
            url: replaces the operation's URL, unless it is `None`.

        Raises:
            UsageError: a value cannot be sent.
        """
        headers = dict(self._headers)
        media_type = request_parts.media_type or choose_media_type(operation, request_parts.body)
        body, padding = b"", None
        if request_parts.body is not None and media_type is not None:
            media_spec, fields = operation.find_request_media(media_type), request_parts.body
            if media_spec is not None and isinstance(fields, dict) and is_form(media_spec.name):
                fields = join_form_field_lists(fields, media_spec.separator_by_list_field)
            content_type, body = encode_body(media_type, fields)
            padding = find_file_padding(content_type, fields)
            headers["Content-Type"] = content_type
        _set_headers(headers, {name: _format_parameter_value(value) for name, value in request_parts.headers.items()})
        query = list(_iterate_query_pairs(operation, request_parts.query_parameters))
        target = url or self.build_url(operation, request_parts.path_parameters)
        if key is not None and parse_origin(target) in self.origins:
            for credential in build_credentials(operation, key):
                if credential.location == "query":
                    query.append((credential.name, credential.value))
                elif credential.location == "cookie":
                    _set_headers(headers, {"Cookie": f"{credential.name}={credential.value}"})
                else:
                    _set_headers(headers, {credential.name: credential.value})
        if query:
            try:
                target += ("&" if "?" in target else "?") + urlencode(query, quote_via=quote)
            except UnicodeEncodeError as error:
                raise UsageError(f"a query parameter cannot be encoded as UTF-8: {error.reason}") from None
        return Request(
            method=operation.method, url=target, headers=_require_valid_headers(headers), body=body, padding=padding
        )


def _iterate_query_pairs(operation: Operation, query_parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each query parameter with its text; a list once for each item, or joined if the contract says so."""
    if not query_parameters:
        return
    separators = {one.name: one.list_separator for one in operation.parameters if one.message_part == "query"}
    for name, value in query_parameters.items():
        texts = [_format_parameter_value(item) for item in (value if isinstance(value, list) else [value])]
        separator = separators.get(name)
        yield from ((name, text) for text in (texts if separator is None or not texts else [separator.join(texts)]))


def _format_parameter_value(value: Any) -> str:
    """Return a path, query or header value as text: booleans as in JSON, lists joined with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_format_parameter_value(item) for item in value)
    return str(value)


def _set_headers(headers: dict[str, str], headers_to_set: Mapping[str, str]) -> None:
    """Add `headers_to_set` to `headers`. Headers of the same name, in any case, are replaced."""
    for name, value in headers_to_set.items():
        # Removed and added again, so that one name in two letter cases is not sent twice.
        for present in [present for present in headers if present.lower() == name.lower()]:
            del headers[present]
        headers[name] = value


def _require_valid_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in headers.items():
        # A line break would begin another header, and servers disagree about the encoding of other characters.
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"the header {name} can only have printable ASCII characters")
    return tuple(headers.items())


def build_request_without_key(url: str) -> Request:
    """Return a GET of `url` without a key or other provider-specific headers."""
    return Request(method="GET", url=url, headers=tuple(_DEFAULT_HEADERS.items()))


# Adds idempotency keys to requests. A request with such a key can be sent again without a second charge.


def create_idempotency_key(operation: Operation) -> str | None:
    """Return a new key for one request; `None` if the contract documents no idempotency of `operation`."""
    return None if operation.idempotency is None else str(uuid.uuid4())


def add_idempotency_key(operation: Operation, request_parts: RequestParts, idempotency_key: str | None) -> RequestParts:
    """Return `request_parts` with the idempotency key in the header that the contract documents.

    Return it unchanged if the key is `None`, if the contract documents no header, or if the request has the header.
    """
    spec = operation.idempotency
    if (
        spec is None
        or idempotency_key is None
        or any(name.lower() == spec.header_name.lower() for name in request_parts.headers)
    ):
        return request_parts
    return msgspec.structs.replace(request_parts, headers={**request_parts.headers, spec.header_name: idempotency_key})


MAX_INLINE_CONTENT_CHARACTERS = 4_000
"""Maximum number of characters of a body or field in a command. A longer one is saved to a file, so that a finding
stays readable."""
MAX_SAVED_FILE_BYTES = 32 * 2**20
"""Maximum size of a body that is saved for a command."""
_HEADERS_OMITTED_FROM_COMMAND = frozenset({"host", "content-length", "accept", "accept-encoding", "user-agent"})
"""Headers that are left out of the command. curl sets host and content-length itself, and the others do not change the
response."""
_HTTP_TOKEN_PATTERN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Matches what a method or the name of a header can be: a token (RFC 9110, section 5.6.2)."""
_SAFE_FORM_VALUE_PATTERN = re.compile(r"[\w.\[\]-][\w. \[\]-]*", re.ASCII)
"""Matches a name of a field or file without characters that have a meaning in an argument of curl's `-F`."""
_PLAIN_MEDIA_TYPE_PATTERN = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
"""Matches a media type that can be written in an argument of curl's `-F` without quotes."""
_PLAIN_FILE_SUFFIX_PATTERN = re.compile(r"\.\w{1,8}", re.ASCII)
"""Matches the suffix of a file name that a saved file can have too."""
_SHELL_SPECIAL_CHARACTER_PATTERN = re.compile(r'[\\"$`!]')
"""Matches a character that has a meaning for the shell between double quotes."""

_ACCESS_TOKEN_VARIABLE = "ACCESS_TOKEN"  # noqa: S105 - a name
"""The variable from which a command takes an OAuth 2 token, which the user has to request."""

FileSaver = Callable[[bytes, str], Path]
"""Function that saves a file for a command and returns its path. It is called with the content and with the suffix of
the file's name."""


def save_file_in_cache(content: bytes, suffix: str) -> Path:
    """Save `content` in the cache folder, under a name that the content and `suffix` determine, and return its path.

    Raises:
        UsageError: the file cannot be written.
    """
    path = get_cache_folder() / "requests" / f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
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
) -> str | None:
    """Return the shell command that sends `request` again; `None` if no curl command can send it.

    Args:
        request: the request as it was sent.
        contract: the contract, which names the environment variable and the place of the key.
        key: the key in use. Another key in the request (a wrong one, sent on purpose) is shown. If `None`, every value
            at the place of a key is replaced by the variable.
        key_origins: the origins that may receive the key; `None` for those of the servers in the contract. In a request
            to any other origin the key is masked.
        default_key: the key that is sent if the variable is unset or empty, of letters, digits and "-"; `None` for
            the empty text.
    """
    target = parse_origin(request.url)
    names = [request.method, *(name for name, _ in request.headers)]
    if target is None or not all(map(_HTTP_TOKEN_PATTERN.fullmatch, names)):
        return None
    if not all(value.isprintable() for _, value in request.headers):
        return None
    allowed = RequestBuilder(contract, {}).origins if key_origins is None else key_origins

    def format_variable_reference(environment_variable: str) -> str:
        if target not in allowed:
            return MASK
        return f"${environment_variable}" if default_key is None else f"${{{environment_variable}:-{default_key}}}"

    replacer = _KeyReplacer(contract, key, format_variable_reference)

    def save_file_without_key(content: bytes, suffix: str) -> Path:
        if find_secret_spelling(content, list_secrets(key)) is not None:
            raise UsageError("the body contains the key")
        return save_file_in_cache(content, suffix)

    try:
        body = _build_body_arguments(request, save_file_without_key)
    except UsageError:  # or the cache is not writable
        return None
    parts = ["curl", "-sS", "-i", *_build_method_arguments(request)]
    # curl would take brackets and braces in a URL for a pattern of several URLs.
    parts += ["--globoff"] if re.search(r"[][{}]", request.url) else []
    parts.append(_quote_for_shell(replacer.replace_in_url(request.url), replacer.variable_references))
    parts += _build_header_arguments(request, replacer, curl_sets_content_type=body.curl_sets_content_type)
    if body.arguments and not body.curl_sets_content_type and request.find_header("content-type") is None:
        parts += ["-H", "Content-Type:"]  # curl would send one that the request did not have
    return " ".join([*parts, *body.arguments])


def _build_header_arguments(request: Request, key_replacer: _KeyReplacer, *, curl_sets_content_type: bool) -> list[str]:
    """Return curl's options for the headers; `curl_sets_content_type` is whether curl sends its own Content-Type."""
    arguments = []
    for name, value in request.headers:
        if name.lower() in _HEADERS_OMITTED_FROM_COMMAND or (curl_sets_content_type and name.lower() == "content-type"):
            continue
        signing = key_replacer.build_signing_arguments(value)
        if signing:
            arguments += signing
            continue
        user = key_replacer.build_basic_auth_argument(name, value)
        if user is not None:
            arguments += ["-u", _quote_for_shell(user, key_replacer.variable_references)]
        else:
            shown = key_replacer.replace_in_header(name, value)
            if MASK in shown and not key_replacer.is_credential_header(name):
                continue  # its value is not known, and its mask would be sent instead
            # curl takes "Name:" for a header to leave out, and "Name;" for one without a value.
            arguments += [
                "-H",
                _quote_for_shell(f"{name}: {shown}" if shown else f"{name};", key_replacer.variable_references),
            ]
    return arguments


def _build_method_arguments(request: Request) -> list[str]:
    if request.method == "HEAD":
        return ["--head"]
    default = "POST" if request.body else "GET"
    return [] if request.method == default else ["-X", shlex.quote(request.method)]


def _quote_for_shell(text: str, variable_references: Collection[str]) -> str:
    """Quote a text for a shell, which then expands only the variables that replace a key.

    A text with variables is in double quotes as a whole, unless it has a character with a meaning there, such as "!",
    which an interactive shell replaces by an earlier command. Then each part between variables is quoted separately.
    """
    pieces = re.split(f"({'|'.join(map(re.escape, variable_references))})", text)
    if len(pieces) == 1:
        return shlex.quote(text)
    if not any(map(_SHELL_SPECIAL_CHARACTER_PATTERN.search, pieces[::2])):
        return f'"{text}"'
    return "".join(
        f'"{piece}"' if index % 2 else shlex.quote(piece) if piece else "" for index, piece in enumerate(pieces)
    )


class _KeyReplacer:
    """Replaces the key, and other credentials that are sent with it, by environment variables, or masks them."""

    def __init__(self, contract: Contract, key: str | None, format_variable_reference: Callable[[str], str]) -> None:
        self._main_variable = contract.provider.key_variable
        self._format_variable_reference = format_variable_reference
        self._value_by_variable = None if key is None else read_values_by_variable(contract, key)
        self._places: dict[tuple[str, str], tuple[str, str]] = {
            ("header", "authorization"): (self._main_variable, ""),
            ("header", "cookie"): (self._main_variable, ""),
        }
        """The variable of a key and the prefix before the key, by the location and the lower-case name of what has
        it."""
        for name, scheme in contract.security_schemes.items():
            spec = contract.key_specs[name]
            place = (str(scheme.get("in")), str(scheme.get("name")).lower())
            is_named = scheme.get("type") == "apiKey" and place[0] != "cookie"
            self._places[place if is_named else ("header", "authorization")] = (
                spec.key_variable or self._main_variable,
                spec.key_prefix,
            )
        self._aws_keys = [key for key in contract.key_specs.values() if key.aws_signature is not None]
        variables = (*contract.key_variables, _ACCESS_TOKEN_VARIABLE)
        self.variable_references = tuple(dict.fromkeys(map(format_variable_reference, variables)))
        """The references to variables, as a shell reads them, or the masks, that replace keys."""

    def replace_in_url(self, url: str) -> str:
        """Return `url` with the key replaced in the query parameter that contains it, if there is one."""
        base, mark, query = url.partition("?")
        query, fragment_mark, fragment = query.partition("#")
        parts = []
        for part in query.split("&"):
            name, equals, value = part.partition("=")
            place = self._places.get(("query", unquote(name).lower()))
            if place is not None:
                variable, prefix = place[0], quote(place[1], safe="")
                start = len(prefix) if value.startswith(prefix) else 0
                value = value[:start] + self._replace_value_with_variable(value[start:], variable)
            parts.append(f"{name}{equals}{value}")
        return f"{base}{mark}{'&'.join(parts)}{fragment_mark}{fragment}"

    def replace_in_header(self, header_name: str, header_value: str) -> str:
        """Return the value of a header with the key replaced, but not its scheme ("Bearer") or cookie name."""
        place = self._places.get(("header", header_name.lower()))
        if place is None:
            return header_value
        variable, prefix = place
        if header_name.lower() == "cookie":
            cookie, _, rest = header_value.partition("=")
            return f"{cookie}={self._replace_value_with_variable(rest, variable)}"
        if prefix and header_value.startswith(prefix):
            return f"{prefix}{self._replace_value_with_variable(header_value.removeprefix(prefix), variable)}"
        word, space, rest = header_value.partition(" ")
        if not space:
            return self._replace_value_with_variable(header_value, variable)
        return f"{word} {self._replace_value_with_variable(rest, variable)}"

    def is_credential_header(self, header_name: str) -> bool:
        """Whether the contract says that the header `header_name` is for a key."""
        return ("header", header_name.lower()) in self._places

    def build_signing_arguments(self, header_value: str) -> list[str]:
        """Return curl's options for a header whose value is a signature for AWS; empty for any other header."""
        if not header_value.startswith(f"{AWS_SIGNATURE_SCHEME} ") or not self._aws_keys:
            return []
        key = self._aws_keys[0]
        assert key.aws_signature is not None, "selected by it"
        variables = (key.id_variable or self._main_variable, key.key_variable or self._main_variable)
        user = ":".join(map(self._format_variable_reference, variables))
        scope = shlex.quote(f"aws:amz:{key.aws_signature.region}:{key.aws_signature.service}")
        return ["--aws-sigv4", scope, "-u", _quote_for_shell(user, self.variable_references)]

    def build_basic_auth_argument(self, header_name: str, header_value: str) -> str | None:
        """Return the argument of curl's `-u` for a Basic authorization header; `None` for others, or if unprintable."""
        if header_name.lower() != "authorization" or not header_value.lower().startswith("basic "):
            return None
        try:
            pair = base64.b64decode(header_value[len("basic ") :]).decode()
        except ValueError:
            pair = ""
        variable = self._places["header", "authorization"][0]
        if not self._contains_value_of_variable(pair, variable):
            return pair if pair.isprintable() else None
        # A key without a colon is sent as the user name with an empty password.
        replacement = self._format_variable_reference(variable)
        return f"{replacement}:" if pair.endswith(":") else replacement

    def _contains_value_of_variable(self, text: str, environment_variable: str) -> bool:
        if self._value_by_variable is None:
            return True
        value = self._value_by_variable[environment_variable]
        return value in text or value in unquote(text)

    def _replace_value_with_variable(self, text: str, environment_variable: str) -> str:
        if text.startswith(CREDENTIAL_PLACEHOLDER_PREFIX):
            return self._format_variable_reference(_ACCESS_TOKEN_VARIABLE)
        return (
            self._format_variable_reference(environment_variable)
            if self._contains_value_of_variable(text, environment_variable)
            else text
        )


class _CurlBodyArguments(NamedTuple):
    """curl's options for the body of a request."""

    arguments: list[str]
    """The options, quoted for a shell; empty without a body."""
    curl_sets_content_type: bool = False
    """Whether curl sends a Content-Type of its own, with the boundary of a multipart form."""


def _build_body_arguments(request: Request, save_file: FileSaver) -> _CurlBodyArguments:
    """Return arguments for the body of `request`: inline text, a form with its files, or the whole body as a file.

    Raises:
        UsageError: a file cannot be saved, or the body is larger than `MAX_SAVED_FILE_BYTES`.
    """
    if request.sent_body_bytes > MAX_SAVED_FILE_BYTES:
        raise UsageError("the body is too large to be saved")
    body, content_type = request.sent_body, request.find_header("content-type") or ""
    if not body:
        return _CurlBodyArguments([])
    if content_type.startswith("multipart/form-data"):
        form = _parse_form_for_curl(content_type, body)
        if form is not None:
            return _CurlBodyArguments(_build_curl_form_options(form, save_file), curl_sets_content_type=True)
    text = _convert_body_to_command_text(body, content_type.split(";")[0].strip().lower())
    if text is not None:
        return _CurlBodyArguments(["--data-raw", shlex.quote(text)])
    return _CurlBodyArguments(["--data-binary", shlex.quote(f"@{save_file(body, '.bin')}")])


def _convert_body_to_command_text(body: bytes, media_type: str) -> str | None:
    """Return `body` as text that a command can contain; `None` if it is too long or has unprintable characters.

    In JSON, an unprintable character in a text is written as an escape sequence, and white space around values as a
    space, which changes no value.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if len(text) > MAX_INLINE_CONTENT_CHARACTERS:
        return None
    if not text.isprintable() and is_json(media_type):
        try:
            read_json(body)
        except UnreadableBodyError:
            return None
        text = "".join(c if c.isprintable() else " " if c in "\t\r\n" else json.dumps(c)[1:-1] for c in text)
    return text if text.isprintable() else None


def _parse_form_for_curl(content_type: str, body: bytes) -> Form | None:
    """Return a form whose fields and files curl can send by name; `None` for any other body."""
    try:
        form = read_form(content_type, body)
    except UnreadableBodyError:
        return None
    words = [*form.fields, *form.files, *(file.filename for file in form.files.values())]
    texts_are_simple = all(
        text.isprintable() and len(text) <= MAX_INLINE_CONTENT_CHARACTERS for _, text in form.iterate_texts()
    )
    types_are_simple = all(_PLAIN_MEDIA_TYPE_PATTERN.fullmatch(file.media_type) for file in form.files.values())
    return (
        form if texts_are_simple and types_are_simple and all(map(_SAFE_FORM_VALUE_PATTERN.fullmatch, words)) else None
    )


def _build_curl_form_options(form: Form, save_file: FileSaver) -> list[str]:
    """Return curl's options for a multipart form: fields with their values, files with their names."""
    arguments = []
    for name, value in form.iterate_texts():
        arguments += ["--form-string", shlex.quote(f"{name}={value}")]
    for name, file in form.files.items():
        suffix = Path(file.filename).suffix
        path = save_file(file.data, suffix if _PLAIN_FILE_SUFFIX_PATTERN.fullmatch(suffix) else ".bin")
        quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
        argument = f'{name}=@"{quoted}";filename="{file.filename}";type={file.media_type}'
        arguments += ["-F", shlex.quote(argument)]
    return arguments

"""An operation of a contract: where it is found, what a request to it holds, and which targets it serves.

Ids for its parameters are generated here too, for planned requests and for the emulator.
"""

from __future__ import annotations

import functools
import random
import re
import re._constants as regex_codes  # type: ignore[import-not-found]  # typeshed does not describe them
import re._parser as regex_parser  # type: ignore[import-not-found]
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from voicegauge.contract.contract import (
    AudioInputSpec,
    AudioInputTarget,
    BaseSocketTarget,
    BaseTarget,
    Contract,
    JobTarget,
    Target,
)
from voicegauge.contract.document_parts import (
    ContractPart,
    MediaType,
    Parameter,
    ResponseSpec,
    fill_server_variables,
    read_media_types,
)
from voicegauge.contract.extension.jobs import (
    BatchSpec,
    ChatSpec,
    JobSpec,
    PaginationSpec,
    ResourceSpec,
    ResourceUse,
    StreamSpec,
    SubmitSpec,
    WebhookSpec,
)
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.provider import IdempotencySpec, LimitsSpec
from voicegauge.contract.extension.speech import ConversionSpec, ResponseAudio, SpeechSpec, TargetSpec
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.formats.bodies import is_json
from voicegauge.formats.located_yaml import Document, escape_pointer_token
from voicegauge.formats.locations import MISSING, Location, read_pointer


class PathMatch(NamedTuple):
    """The path of a URL, split at the beginning of an operation's path."""

    base_path: str
    """The path of the base URL."""
    path_parameters: dict[str, str]
    """The values of the path parameters, with percent-encoding decoded."""


@dataclass(frozen=True)
class PathTemplate:
    """The path of an operation, in which parameters have braces."""

    path: str
    """The template, such as "/v1/speech/{id}"."""
    parameters_with_slashes: Mapping[str, Parameter] = field(default_factory=dict)
    """The parameters whose values may have slashes, by name."""

    def match(self, path: str) -> dict[str, str] | None:
        """Return the path parameters, not decoded, if `path` matches the template; `None` if it does not."""
        return self._match_from(path, 0)

    def _match_from(self, path: str, start: int) -> dict[str, str] | None:
        """Return the path parameters if `path`, from the index `start`, matches the template; `None` if not."""
        found = self._pattern.fullmatch(path, start)
        return self._read_parameters(found.groups()) if found else None

    def _read_parameters(self, values: Sequence[str]) -> dict[str, str] | None:
        found = dict(zip(self._parameter_names, values, strict=True))
        slashed = ((one, found.get(name, "")) for name, one in self.parameters_with_slashes.items())
        # Such a value may be the end of the path of another operation, unless the schema tells them apart.
        return None if any(one.parse_text(unquote(value)).violations for one, value in slashed) else found

    def match_end(self, path: str) -> PathMatch | None:
        """Return `path`, split into a base path and the end that matches the template; `None` if no end matches.

        The base path may be anything, because users can set any base URL.
        """
        # From the left, so that the longest end is tried first: a template would otherwise match inside of its own
        # path.
        start = path.find("/")
        while start >= 0:
            parameters = self._match_from(path, start)
            if parameters is not None:
                return PathMatch(path[:start], {name: unquote(value) for name, value in parameters.items()})
            start = path.find("/", start + 1)
        return None

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Groups are numbered, because a parameter's name need not be a valid group name.
        parts = re.split(r"(\{[^}]+\})", self.path)
        slashed = {f"{{{name}}}" for name in self.parameters_with_slashes}
        return re.compile(
            "".join(
                ("(.+)" if part in slashed else "([^/]+)") if part.startswith("{") else re.escape(part)
                for part in parts
            )
        )

    @functools.cached_property
    def _parameter_names(self) -> list[str]:
        return re.findall(r"\{([^}]+)\}", self.path)


@dataclass(frozen=True, eq=False)
class Server:
    """A base URL of the provider."""

    name: str
    """Name of the server: `x-name` in the document, by default the host."""
    url: str
    """Absolute base URL, without a slash at the end."""

    @property
    def path_prefix(self) -> str:
        """The path of the base URL, without a slash at the end; empty if the URL has only a host."""
        return urlsplit(self.url).path.rstrip("/")

    def remove_path_prefix(self, path: str) -> str | None:
        """Return `path` without the path of the base URL; `None` if that is empty or `path` does not begin with it."""
        prefix = self.path_prefix
        return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else None

    @classmethod
    def read(cls, document: Document, pointer: str, node: dict[str, Any]) -> Server:
        """Read a server of `servers`, which is at `pointer`.

        Raises:
            ContractError: requests cannot be sent to its URL.
        """
        url = read_server_url(node)
        try:
            parts = urlsplit(url)
            is_usable = (
                parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
            )
        except ValueError:  # a port that is not a number
            is_usable = False
        if not is_usable or re.search(r"[\s{}?#]", url):
            reason = (
                f"server url {url!r} must be absolute, with http or https, without user, query and fragment, and have "
                "a default for each variable"
            )
            raise document.build_error(pointer, reason)
        if not url.isascii():  # the user who allows a key for a host must not take it for another one
            reason = f"server url {url!r} must be ASCII: write other letters of its host as xn--..., of its path as %.."
            raise document.build_error(pointer, reason)
        return cls(str(node.get("x-name", parts.netloc)), url.rstrip("/"))


def read_server_url(server_data: Mapping[str, Any]) -> str:
    """Return the URL of a server of OpenAPI, with the defaults of its variables."""
    return fill_server_variables(str(server_data.get("url", "")), server_data.get("variables"))


@dataclass(frozen=True, eq=False)
class Operation(ContractPart):
    """One documented operation: a method and a path."""

    contract: Contract = field(repr=False)
    id: str
    """The `operationId` in the document."""
    method: str
    """The HTTP method in upper case."""
    path: str
    """The path template, such as "/v1/speech/{id}"."""
    parameters: tuple[Parameter, ...]
    server: Server
    """The server that requests are sent to by default."""
    security: tuple[Mapping[str, Any], ...]
    """The alternative security requirements. An empty mapping means that no key is needed."""
    speech: SpeechSpec | None
    job: JobSpec | None
    pricing: PriceSpec | None
    limits: LimitsSpec
    """The operation's own limits, completed with the contract's limits."""
    resource: ResourceSpec | None = None
    pagination: PaginationSpec | None = None
    stream: StreamSpec | None = None
    batch: BatchSpec | None = None
    chat: ChatSpec | None = None
    webhook: WebhookSpec | None = None
    idempotency: IdempotencySpec | None = None
    submit: SubmitSpec | None = None
    audio_input: AudioInputSpec | None = None
    """`x-transcription` or `x-conversion`, for an operation that audio is sent to."""
    socket: SocketChannel | None = None
    """The messages of a WebSocket, for a channel of the AsyncAPI document. The method is then that of the handshake."""

    @property
    def needs_key(self) -> bool:
        """Whether every documented security alternative requires a key."""
        return bool(self.security) and all(self.security)

    @functools.cached_property
    def required_headers(self) -> dict[str, str]:
        """The headers that every request must have and whose value is documented, as an example or a default."""
        required = [one for one in self.parameters if one.message_part == "header" and one.is_required]
        documented = {one.name: one.part_data.get("example", one.schema.get("default")) for one in required}
        return {name: str(value) for name, value in documented.items() if value is not None}

    @functools.cached_property
    def job_target(self) -> JobTarget | None:
        """The target of the job without audio that the operation starts; `None` if it starts no such job."""
        if self.submit is None:
            return None
        spec = TargetSpec(title=self.id, emulation=self.submit.emulation)
        return JobTarget(self.id, self, spec, f"{self.pointer}/x-submit")

    @property
    def started_job_operation(self) -> Operation | None:
        """The status operation of the jobs that the operation starts, with audio or not; `None` if it starts none."""
        name = (
            self.speech.response.status_operation_id
            if self.speech is not None
            else self.submit.status_operation_id
            if self.submit
            else None
        )
        return self.contract.operations.get(name) if name is not None else None

    @property
    def callback_id_location(self) -> Location:
        """The location, in the response to a submit with `x-webhook`, of the id that the callbacks of it repeat."""
        assert self.webhook is not None, "only called for operations with x-webhook"
        if self.webhook.body_locations is not None and self.webhook.body_locations.submit_id_location is not None:
            return self.webhook.body_locations.submit_id_location
        status = self.started_job_operation
        assert status is not None, "guaranteed by the consistency checks"
        assert status.job is not None, "guaranteed by the consistency checks"
        return status.job.submit_response.job_id_location

    @functools.cached_property
    def callback_body(self) -> MediaType:
        """The documented body of the callbacks of an operation with `x-webhook`.

        Raises:
            ContractError: the named callback is not documented, or has no JSON body.
        """
        assert self.webhook is not None, "only called for operations with x-webhook"
        name = self.webhook.callback_operation_id
        for operation_id, media_type in self._iterate_callback_bodies():
            if operation_id == name:
                return media_type
        reason = f"{name!r} is not a callback of {self.id} and not a webhook with a JSON body"
        raise self.contract.document.build_error(f"{self.pointer}/x-webhook/callback_operation_id", reason)

    def _iterate_callback_bodies(self) -> Iterator[tuple[str, MediaType]]:
        """Yield the operation id and each JSON body of the documented callbacks, from `callbacks` and `webhooks`."""
        groups = [
            self.schemas.resolve_reference(node, f"{self.pointer}/callbacks/{escape_pointer_token(name)}")
            for name, node in self.part_data.get("callbacks", {}).items()
        ]
        groups.append((self.contract.document.data.get("webhooks", {}), "/webhooks"))
        for path_items, items_pointer in groups:
            for key, item in path_items.items():
                post, at = item.get("post", {}), f"{items_pointer}/{escape_pointer_token(key)}/post/requestBody"
                body, pointer = self.schemas.resolve_reference(post.get("requestBody", {}), at)
                for name, data in body.get("content", {}).items():
                    if is_json(name):
                        at = f"{pointer}/content/{escape_pointer_token(name)}"
                        yield str(post.get("operationId")), MediaType(self.schemas, at, data, name.lower())

    @property
    def needs_existing_id(self) -> bool:
        """Whether each request must name something that exists, such as a job, by its id in a required parameter."""
        return any(
            parameter.is_required and not {"enum", "const", "default"} & parameter.schema.keys()
            for parameter in self.parameters
            if parameter.message_part in ("path", "query") and isinstance(parameter.schema, dict)
        )

    @property
    def response_audio_variants(self) -> Iterator[ResponseAudio]:
        """The ways in which responses can carry audio.

        For `x-speech`, these are its own response and the responses that single targets select; for `x-conversion`, its
        response. Nothing is yielded for other operations.
        """
        if self.speech is not None:
            audios = (self.speech.response.audio, *(target.response_audio for target in self.speech.targets.values()))
            yield from (audio for audio in audios if audio is not None)
        elif isinstance(self.audio_input, ConversionSpec) and self.audio_input.response.audio is not None:
            yield self.audio_input.response.audio

    def find_target(self, read_request_value: Callable[[Location], Any]) -> Target | None:
        """Return the speech target that a request addresses; `None` if it addresses none.

        A target is addressed if its constants are sent, or values that match its `request_patterns`, and the fields
        that it needs are present. If this is true for more than one target, the one with the most constants and needed
        fields is returned, because it is the most specific. A target that is addressed by a pattern has the values of
        the request as its constants, and no price of its own.

        Args:
            read_request_value: reads the value at a location of the request; returns `MISSING` if there is no value.
        """
        best_rank, best = (0, 0), None
        for name in self.speech.targets if self.speech is not None else ():
            target = self.contract.targets[name]
            spec = target.target_spec
            needed = [target.speech.request_fields[word].location for word in spec.required_fields]
            sent = {location: read_request_value(location) for location in spec.request_constants}
            if not all(spec.allows_value(location, value) for location, value in sent.items()):
                continue
            equal_count = sum(sent[location] == value for location, value in spec.request_constants.items())
            # Equal constants decide between a target and one that a pattern of it matches: the named model wins.
            rank = (len(sent) + len(needed), equal_count)
            if all(read_request_value(location) is not MISSING for location in needed) and (
                best is None or rank > best_rank
            ):
                best_rank, best = rank, target if equal_count == len(sent) else target.replace_constants(sent)
        return best

    @functools.cached_property
    def audio_input_targets(self) -> tuple[AudioInputTarget, ...]:
        """The targets of the operation that take audio, in the order of the contract."""
        return tuple(one for one in self.contract.audio_input_targets.values() if one.operation is self)

    def find_audio_input_target(self, read_request_value: Callable[[Location], Any]) -> AudioInputTarget | None:
        """Return the target that a request with audio addresses; `None` if it addresses none.

        A target is addressed if its constants are sent, or values that match its `request_patterns`. If this is true
        for more than one target, the one with the most constants is returned, and of these the one with the most that
        are sent as they are.

        Args:
            read_request_value: reads the value at a location of the request; returns `MISSING` if there is no value.
        """
        # Below every rank: a target without constants is addressed by any request.
        best_rank, best = (-1, -1), None
        for target in self.audio_input_targets:
            constants = target.target_spec.request_constants
            sent = {location: read_request_value(location) for location in constants}
            rank = (len(sent), sum(sent[location] == value for location, value in constants.items()))
            if rank > best_rank and all(target.target_spec.allows_value(*pair) for pair in sent.items()):
                best_rank, best = rank, target
        return best

    @functools.cached_property
    def has_disputed_job_states(self) -> bool:
        """Whether documents contradict each other about the states that this operation reports of a job."""
        disputes = self.contract.iterate_disputes(f"{self.pointer}/x-job/states")
        return any("job-state-unknown" in dispute.rule_ids for dispute, _ in disputes)

    @functools.cached_property
    def is_job_timeout_documented(self) -> bool:
        """Whether a document states how long a job may take; otherwise `job_timeout_s` is a default of voicegauge."""
        stated = read_pointer(self.part_data, ["x-job", "poll_schedule"])
        source = self.job.poll_schedule.source if self.job is not None else None
        is_inferred = source is not None and source.is_inferred
        return isinstance(stated, Mapping) and "job_timeout_s" in stated and not is_inferred

    def iterate_uses_of_created_resource(self, other_operation: Operation) -> Iterator[ResourceUse]:
        """Yield the uses, in requests to `other_operation`, of the resource that this operation creates."""
        yield from (
            (use for use in self.resource.uses if use.operation_id == other_operation.id) if self.resource else ()
        )

    @property
    def targets(self) -> Iterator[BaseTarget]:
        """The targets that this operation serves. Speech targets come first."""
        for target in self.contract.iterate_targets():
            if target.operation is self:
                yield target

    @property
    def socket_targets(self) -> Iterator[BaseSocketTarget]:
        """The targets that this operation serves over a WebSocket."""
        for target in self.targets:
            if isinstance(target, BaseSocketTarget):
                yield target

    @functools.cached_property
    def request_media(self) -> Mapping[str, MediaType]:
        """The request bodies by media type, the preferred one first; empty if the operation takes no body."""
        node = self.part_data.get("requestBody")
        if node is None:
            return {}
        body, pointer = self.schemas.resolve_reference(node, f"{self.pointer}/requestBody")
        return read_media_types(ContractPart(self.schemas, pointer, body))

    def find_request_media(self, media_type: str) -> MediaType | None:
        """Return the documented request body of a media type, or of a range such as `audio/*`; `None` without one."""
        documented = self.request_media
        if media_type in documented:
            return documented[media_type]
        ranges = (media for name, media in documented.items() if name.endswith("/*"))
        return next((media for media in ranges if media.name == "*/*" or media_type.startswith(media.name[:-1])), None)

    @functools.cached_property
    def responses(self) -> Mapping[str, ResponseSpec]:
        """The documented responses by status."""
        found = {}
        for status, node in self.part_data.get("responses", {}).items():
            if status.startswith("x-"):
                continue
            node, pointer = self.schemas.resolve_reference(node, f"{self.pointer}/responses/{status}")
            found[status] = ResponseSpec(self.schemas, pointer, node, status)
        return found

    def find_response(self, status: int) -> ResponseSpec | None:
        """Return the documented response for a status code, else for its class, "4XX", else the default response.

        Return `None` if the operation documents none of these.
        """
        for key in (str(status), f"{status // 100}XX", f"{status // 100}xx", "default"):
            if key in self.responses:
                return self.responses[key]
        return None

    @functools.cached_property
    def success_response(self) -> ResponseSpec:
        """The first documented 2xx response.

        Raises:
            ContractError: the operation documents none.
        """
        for status, response in self.responses.items():
            if status.startswith("2"):
                return response
        raise self.contract.document.build_error(self.pointer, f"{self.id} documents no 2xx response")

    @functools.cached_property
    def _path_template(self) -> PathTemplate:
        slashed = {one.name: one for one in self.parameters if one.message_part == "path" and one.may_have_slashes}
        return PathTemplate(self.path, slashed)

    def match_path(self, path: str) -> dict[str, str] | None:
        """Return the path parameters, not decoded, if `path` matches the path template; `None` if it does not."""
        return self._path_template.match(path)

    def match_path_end(self, path: str) -> PathMatch | None:
        """Return `path`, split into a base path and the end that matches the template; `None` if no end matches.

        The base path may be anything, because users can set any base URL.
        """
        return self._path_template.match_end(path)


# Generates ids that fit the schema of the parameter that takes them.


_ID_CHARACTERS = string.digits + string.ascii_lowercase
"""Characters that are preferred in generated ids, where the pattern allows them."""
_PREFERRED_REPETITION_COUNTS = (16, 8, 4, 2, 1, 0)
"""How often the repeated parts of a pattern are repeated, tried in this order until the whole text fits."""
_MAX_GENERATED_CHARACTERS = 10_000
"""Maximum length of a generated text. Real ids are far shorter, but nested repetitions could fill the memory."""
_MAX_INTEGER_ID = 2**31 - 1
"""Largest generated integer id if the schema states no maximum; every service can store it."""


def find_id_parameter(operation: Operation) -> Parameter | None:
    """Return the parameter that takes the id of what `operation` is about; `None` if there is none.

    It is the last parameter of the path: "/projects/{project}/jobs/{job}". Without one, it is the first required
    query parameter.
    """
    in_path = [one for one in operation.parameters if one.message_part == "path"]
    if in_path:
        return max(in_path, key=lambda one: operation.path.find(f"{{{one.name}}}"))
    return next((one for one in operation.parameters if one.message_part == "query" and one.is_required), None)


def generate_parameter_text(parameter: Parameter, rng: random.Random) -> str | None:
    """Return a random text that fits the schema of `parameter`: `type`, `pattern`, length and bounds.

    `None` if no such text is found, such as for a pattern that Python's regular expressions do not know.
    """
    schema = parameter.schema if isinstance(parameter.schema, dict) else {}
    candidates = _iterate_candidate_texts(schema, rng)
    return next((text for text in candidates if not parameter.parse_text(text).violations), None)


def _iterate_candidate_texts(schema: Mapping[str, Any], rng: random.Random) -> Iterator[str]:
    if "integer" in schema.get("type", ()) or "number" in schema.get("type", ()):
        lowest = int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
        yield str(rng.randint(lowest, max(lowest, int(schema.get("maximum", _MAX_INTEGER_ID)))))
    if "pattern" not in schema:
        yield f"{rng.getrandbits(128):032x}"[: schema.get("maxLength")].ljust(schema.get("minLength", 0), "0")
        return
    try:
        parsed_pattern = regex_parser.parse(schema["pattern"])
        for repetition_count in _PREFERRED_REPETITION_COUNTS:
            yield _PatternTextBuilder(rng, repetition_count).build_text(parsed_pattern)
    except (re.error, OverflowError, RecursionError, ValueError):
        return


class _PatternTextBuilder:
    """Builds a random text that matches a parsed regular expression.

    Hypothesis, which also generates such texts, needs its own random generator and prefers the shortest ones, which are
    not unique.
    """

    def __init__(self, rng: random.Random, repetition_count: int) -> None:
        self._rng, self._repetition_count = rng, repetition_count

    def build_text(self, parsed_pattern: Any) -> str:
        """Return a text for the nodes of `parsed_pattern`.

        Raises:
            ValueError: the pattern has a node without fixed text, such as a look-ahead, or the text would be too long.
        """
        text = "".join(self._build_node_text(code, argument) for code, argument in parsed_pattern)
        if len(text) > _MAX_GENERATED_CHARACTERS:
            raise ValueError("the text would be too long")
        return text

    def _build_node_text(self, code: Any, argument: Any) -> str:
        text = ""
        match code:
            case regex_codes.LITERAL:
                text = chr(argument)
            case regex_codes.AT:  # the beginning or end of the text or of a word
                pass
            case regex_codes.ANY:
                text = self._rng.choice(_ID_CHARACTERS)
            case regex_codes.NOT_LITERAL:
                text = self._choose_character([(regex_codes.NEGATE, None), (regex_codes.LITERAL, argument)])
            case regex_codes.IN:
                text = self._choose_character(argument)
            case regex_codes.BRANCH:
                text = self.build_text(self._rng.choice(argument[1]))
            case regex_codes.SUBPATTERN:
                text = self.build_text(argument[-1])
            case regex_codes.MAX_REPEAT | regex_codes.MIN_REPEAT:
                text = self._build_repeated_text(*argument)
            case _:
                raise ValueError(f"no text is generated for {code}")
        return text

    def _build_repeated_text(self, min_count: int, max_count: int, repeated_pattern: Any) -> str:
        count = min(int(max_count), max(int(min_count), self._repetition_count))
        if count > _MAX_GENERATED_CHARACTERS:
            raise ValueError("the text would be too long")
        return "".join(self.build_text(repeated_pattern) for _ in range(count))

    def _choose_character(self, class_nodes: Sequence[tuple[Any, Any]]) -> str:
        """Return a character of the class `[…]` whose parts are `class_nodes`."""
        is_negated = class_nodes[0][0] is regex_codes.NEGATE
        parts = class_nodes[1:] if is_negated else class_nodes
        for characters in (_ID_CHARACTERS, string.ascii_uppercase, string.punctuation + " "):
            allowed = [one for one in characters if any(_is_in_class_part(one, *part) for part in parts) != is_negated]
            if allowed:
                return self._rng.choice(allowed)
        code, argument = parts[0]
        if is_negated or code not in (regex_codes.LITERAL, regex_codes.RANGE):
            raise ValueError("the class has no printable ASCII character")
        return chr(argument if code is regex_codes.LITERAL else argument[0])


def _is_in_class_part(character: str, code: Any, argument: Any) -> bool:
    """Whether the ASCII character `character` belongs to a part of a class: a character, a range or a category."""
    if code is regex_codes.LITERAL:
        return bool(ord(character) == argument)
    if code is regex_codes.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    is_word = character.isalnum() or character == "_"
    membership = {
        regex_codes.CATEGORY_DIGIT: character.isdigit(),
        regex_codes.CATEGORY_NOT_DIGIT: not character.isdigit(),
        regex_codes.CATEGORY_SPACE: character.isspace(),
        regex_codes.CATEGORY_NOT_SPACE: not character.isspace(),
        regex_codes.CATEGORY_WORD: is_word,
        regex_codes.CATEGORY_NOT_WORD: not is_word,
    }
    return membership.get(argument, False)

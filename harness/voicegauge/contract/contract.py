"""A loaded contract: operations, servers, and how to look things up in them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from voicegauge.contract.extension import (
    BatchSpec,
    ChatSpec,
    Dispute,
    JobSpec,
    LimitsSpec,
    PriceSpec,
    ProviderSpec,
    ResourceSpec,
    ResourceUse,
    SpeechSpec,
    StreamSpec,
    WebhookSpec,
)
from voicegauge.contract.schema import SchemaError, Schemas
from voicegauge.contract.targets import AudioInputSpec, AudioInputTarget, BaseTarget, Target
from voicegauge.contract.walking import walk_objects
from voicegauge.errors import UnknownNameError
from voicegauge.formats import Document, escape

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class ContractNode:
    """A part of a contract that knows where it stands."""

    contract: Contract = field(repr=False)
    pointer: str
    data: dict[str, Any] = field(repr=False)

    @property
    def line(self) -> int | None:
        """The line of the document, counted from 1."""
        return self.contract.document.line(self.pointer)


@dataclass(frozen=True, eq=False)
class Example:
    """A documented example of a body."""

    name: str
    value: Any
    rejection_reason: str | None
    """The `x-rejection-reason` of the example: a situation, perhaps with a field: "invalid:text"."""
    request: str | None
    """The `x-request` of the example: the request example it answers."""
    pointer: str
    inferred: bool = False
    """Its `x-source` says inferred: no document prints it, so it is there for the emulator alone."""


@dataclass(frozen=True, eq=False)
class MediaType(ContractNode):
    """One media type of a request or response body."""

    name: str

    @property
    def schema_pointer(self) -> str | None:
        """Where its schema stands; `None` where the document gives none."""
        return f"{self.pointer}/schema" if "schema" in self.data else None

    @functools.cached_property
    def schema(self) -> Any:
        """The schema behind any reference; an empty one where the document gives none."""
        return self.contract.schemas.resolve(self.data.get("schema", {}))[0]

    def errors(self, instance: Any) -> Iterator[SchemaError]:
        """Every way in which `instance` does not fit."""
        if self.schema_pointer is not None:
            yield from self.contract.schemas.errors(self.schema_pointer, instance)

    def fits(self, instance: Any) -> bool:
        """Whether `instance` has no such error: sooner known than the errors."""
        return self.schema_pointer is None or self.contract.schemas.fits(self.schema_pointer, instance)

    @functools.cached_property
    def examples(self) -> tuple[Example, ...]:
        """The documented examples, in the document's order."""
        found = []
        for name, node in self.data.get("examples", {}).items():
            pointer = f"{self.pointer}/examples/{escape(name)}"
            node, pointer = self.contract.schemas.resolve(node, pointer)
            if "value" in node:
                inferred = bool(node.get("x-source", {}).get("inferred", False))
                found.append(
                    Example(
                        name, node["value"], node.get("x-rejection-reason"), node.get("x-request"), pointer, inferred
                    )
                )
        if "example" in self.data:
            found.append(Example("example", self.data["example"], None, None, f"{self.pointer}/example"))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Parameter(ContractNode):
    """A path, query or header parameter."""

    name: str
    location: Literal["path", "query", "header", "cookie"]
    required: bool

    @functools.cached_property
    def schema(self) -> Any:
        """The schema behind any reference."""
        return self.contract.schemas.resolve(self.data.get("schema", {}))[0]

    def errors(self, instance: Any) -> Iterator[SchemaError]:
        """Every way in which `instance` does not fit."""
        if "schema" in self.data:
            yield from self.contract.schemas.errors(f"{self.pointer}/schema", instance)


@dataclass(frozen=True, eq=False)
class ResponseSpec(ContractNode):
    """One documented response of an operation."""

    status: str
    """A code, a class such as "4XX", or "default"."""

    @functools.cached_property
    def headers(self) -> Mapping[str, Parameter]:
        """Documented headers by name."""
        found = {}
        for name, node in self.data.get("headers", {}).items():
            node, pointer = self.contract.schemas.resolve(node, f"{self.pointer}/headers/{escape(name)}")
            required = bool(node.get("required", False))
            found[name] = Parameter(self.contract, pointer, node, name, "header", required)
        return found

    @functools.cached_property
    def media(self) -> Mapping[str, MediaType]:
        """Documented bodies by media type."""
        return _media(self)

    @property
    def links(self) -> Mapping[str, dict[str, Any]]:
        """OpenAPI links: where an answer leads."""
        links: dict[str, Any] = self.data.get("links", {})
        return {name: self.contract.schemas.resolve(node)[0] for name, node in links.items()}


def _media(node: ContractNode) -> Mapping[str, MediaType]:
    """Bodies by media type, as traffic is read: without parameters such as a charset."""
    found: dict[str, MediaType] = {}
    for name, data in node.data.get("content", {}).items():
        base = name.partition(";")[0].strip().lower()
        found.setdefault(base, MediaType(node.contract, f"{node.pointer}/content/{escape(name)}", data or {}, base))
    return found


@dataclass(frozen=True, eq=False)
class Server:
    """A base URL of the provider."""

    name: str
    url: str


@dataclass(frozen=True, eq=False)
class Operation(ContractNode):
    """One documented call."""

    id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    server: Server
    security: tuple[Mapping[str, Any], ...]
    """Alternatives; an empty mapping means that no key is needed."""
    speech: SpeechSpec | None
    job: JobSpec | None
    pricing: PriceSpec | None
    limits: LimitsSpec
    resource: ResourceSpec | None = None
    stream: StreamSpec | None = None
    batch: BatchSpec | None = None
    chat: ChatSpec | None = None
    webhook: WebhookSpec | None = None
    audio_input: AudioInputSpec | None = None
    """Where it is sent audio: `x-transcription` or `x-conversion`."""

    @property
    def needs_key(self) -> bool:
        """Whether no way in is documented that does without a key."""
        return bool(self.security) and all(self.security)

    def uses_of(self, other: Operation) -> Iterator[ResourceUse]:
        """How `other` takes the ids of what this operation makes."""
        yield from (use for use in self.resource.uses if use.operation == other.id) if self.resource else ()

    @property
    def targets(self) -> Iterator[BaseTarget]:
        """The models and modes that it serves, speech first."""
        contract = self.contract
        for one in (*contract.targets.values(), *contract.audio_input_targets.values()):
            if one.operation is self:
                yield one

    @functools.cached_property
    def request_media(self) -> Mapping[str, MediaType]:
        """Request bodies by media type, the preferred one first; empty where none is sent."""
        node = self.data.get("requestBody")
        if node is None:
            return {}
        body, pointer = self.contract.schemas.resolve(node, f"{self.pointer}/requestBody")
        return _media(ContractNode(self.contract, pointer, body))

    @functools.cached_property
    def responses(self) -> Mapping[str, ResponseSpec]:
        """Documented responses by status."""
        found = {}
        for status, node in self.data.get("responses", {}).items():
            if status.startswith("x-"):
                continue
            node, pointer = self.contract.schemas.resolve(node, f"{self.pointer}/responses/{status}")
            found[status] = ResponseSpec(self.contract, pointer, node, status)
        return found

    def response(self, status: int) -> ResponseSpec | None:
        """The documented response for `status`: the code, its class, or the default."""
        for key in (str(status), f"{status // 100}XX", f"{status // 100}xx", "default"):
            if key in self.responses:
                return self.responses[key]
        return None

    @functools.cached_property
    def success(self) -> ResponseSpec:
        """The first documented 2xx response."""
        for status, response in self.responses.items():
            if status.startswith("2"):
                return response
        raise self.contract.document.error(self.pointer, f"{self.id} documents no 2xx response")

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = re.split(r"(\{[^}]+\})", self.path)
        pattern = "".join(
            f"(?P<p{index}>[^/]+)" if part.startswith("{") else re.escape(part) for index, part in enumerate(parts)
        )
        return re.compile(f"^{pattern}$")

    @functools.cached_property
    def _path_names(self) -> list[str]:
        return re.findall(r"\{([^}]+)\}", self.path)

    def match(self, path: str) -> dict[str, str] | None:
        """The path parameters where `path` is this operation's; `None` where it is not."""
        found = self._pattern.match(path)
        if not found:
            return None
        return dict(zip(self._path_names, found.groups(), strict=True))


@dataclass(frozen=True, eq=False)
class Contract:
    """A loaded document. Make one with `load_contract`."""

    document: Document = field(repr=False)
    provider: ProviderSpec
    schemas: Schemas = field(repr=False)
    servers: Mapping[str, Server] = field(repr=False)
    limits: LimitsSpec = field(repr=False)
    operations: Mapping[str, Operation] = field(repr=False, default_factory=dict)
    targets: Mapping[str, Target] = field(repr=False, default_factory=dict)
    """By name within the provider."""
    audio_input_targets: Mapping[str, AudioInputTarget] = field(repr=False, default_factory=dict)
    """What takes audio in, by name within the provider."""

    @property
    def id(self) -> str:
        """The provider's id."""
        return self.provider.id

    @property
    def version(self) -> str:
        """The document's own version."""
        return str(self.document.data["info"]["version"])

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts, with their port, that the contract names."""
        return frozenset(urlsplit(server.url).netloc.lower() for server in self.servers.values())

    @property
    def security_schemes(self) -> Mapping[str, dict[str, Any]]:
        """How a key is sent, by the scheme's name."""
        schemes: dict[str, Any] = self.document.data.get("components", {}).get("securitySchemes", {})
        return schemes

    def _named(self, kind: str, name: str, among: Mapping[str, _T]) -> _T:
        try:
            return among[name]
        except KeyError:
            raise UnknownNameError(f"{self.id} {kind}", name, among) from None

    def server(self, name: str) -> Server:
        """The server with that name.

        Raises:
            UnknownNameError: the document has none.
        """
        return self._named("server", name, self.servers)

    def operation(self, operation_id: str) -> Operation:
        """The operation with that id.

        Raises:
            UnknownNameError: the document has none.
        """
        return self._named("operation", operation_id, self.operations)

    def target(self, name: str) -> Target:
        """The target with that name within the provider.

        Raises:
            UnknownNameError: the document has none.
        """
        return self._named("target", name, self.targets)

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation that `method` and `path` mean, with its path parameters.

        A path without parameters wins over one with them, as OpenAPI asks.
        """
        found = [
            (operation, parameters)
            for operation in self.operations.values()
            if operation.method == method.upper() and (parameters := operation.match(path)) is not None
        ]
        return min(found, key=lambda pair: len(pair[1]), default=None)

    def disputes(self, pointer: str) -> Iterator[tuple[Dispute, str]]:
        """Every recorded dispute about the part at `pointer` and the parts around it, inmost first."""
        tokens = pointer.split("/")
        for end in range(len(tokens), 0, -1):
            place = "/".join(tokens[:end])
            for dispute in self._disputes_at.get(place, ()):
                yield dispute, place

    @functools.cached_property
    def _disputes_at(self) -> Mapping[str, tuple[Dispute, ...]]:
        import msgspec

        found: dict[str, tuple[Dispute, ...]] = {}
        for pointer, node in walk_objects(self.document.data):
            for key in ("x-source", "source"):
                source = node.get(key)
                if isinstance(source, dict) and source.get("disputed"):
                    found[pointer] = msgspec.convert(source["disputed"], tuple[Dispute, ...])
        return found

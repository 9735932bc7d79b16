"""A provider's contract: its servers, operations and targets, and what the document states of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.extension.provider import Dispute, KeySpec, LimitsSpec, ProviderSpec
from voicegauge.contract.extension.sockets import SocketTargetSpec
from voicegauge.contract.extension.speech import TranscriptionSpec
from voicegauge.contract.operation import ContractSources, Operation, Server
from voicegauge.contract.schemas import Schemas
from voicegauge.contract.targets import AudioInputTarget, BaseTarget, SocketTarget, Target, TranscriptionSocketTarget
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.formats.located_yaml import Document, escape_pointer_token
from voicegauge.hosts import to_socket_url

_NamedItemT = TypeVar("_NamedItemT")


@dataclass(frozen=True, eq=False)
class Contract:
    """A loaded contract document. Load a contract with `load_contract`."""

    document: Document = field(repr=False)
    provider: ProviderSpec
    schemas: Schemas = field(repr=False)
    servers: Mapping[str, Server] = field(repr=False)
    """The servers by name."""
    limits: LimitsSpec = field(repr=False)
    """The `x-limits` at the root of the document."""
    key_specs: Mapping[str, KeySpec] = field(repr=False)
    """The `x-key` of each security scheme, by the name of the scheme."""
    read_operations: Callable[[Contract], Iterator[Operation]] = field(repr=False)
    """A function that reads the operations of the document. It is called after the contract was created, because
    operations refer to it."""
    read_socket_operations: Callable[[Contract], Iterator[Operation]] = field(repr=False, default=lambda _: iter(()))
    """A function that reads the channels of the AsyncAPI document, as `read_operations` does."""
    account_plans: frozenset[str] = frozenset()
    """Names of the account's plans, whose prices apply; if it is empty, the highest documented prices apply."""

    def select_account_plans(self, plan_names: Collection[str]) -> Contract:
        """Return this contract with the prices of the plans `plan_names`. Unknown plans are ignored."""
        return replace(self, account_plans=frozenset(plan_names)) if plan_names else self

    def rename_provider(self, provider_id: str) -> Contract:
        """Return this contract with another provider id, so that two versions of it can be measured in one run."""
        return replace(self, provider=msgspec.structs.replace(self.provider, id=provider_id))

    def replace_credit_price(self, credit_usd: float) -> Contract:
        """Return this contract with a price of one credit in dollars, instead of the documented one.

        Raises:
            UsageError: the provider has no credits.
        """
        if self.provider.credits is None:
            raise UsageError(f"{self.id} charges no credits: its prices are in dollars")
        credits = msgspec.structs.replace(self.provider.credits, usd_per_credit=credit_usd)
        return replace(self, provider=msgspec.structs.replace(self.provider, credits=credits))

    @functools.cached_property
    def operations(self) -> Mapping[str, Operation]:
        """The operations by id.

        Raises:
            ContractError: an operation does not fit the grammar of the `x-` keys.
        """
        return {operation.id: operation for operation in self.read_operations(self)}

    @functools.cached_property
    def targets(self) -> Mapping[str, Target]:
        """The speech targets by name."""
        return {
            name: Target(name, operation, spec, f"{operation.pointer}/x-speech/targets/{escape_pointer_token(name)}")
            for operation in self.operations.values()
            if operation.speech is not None
            for name, spec in operation.speech.targets.items()
        }

    @functools.cached_property
    def audio_input_targets(self) -> Mapping[str, AudioInputTarget]:
        """The targets that audio is sent to, by name."""
        found = {}
        for operation in self.operations.values():
            if operation.audio_input is None:
                continue
            is_transcription = isinstance(operation.audio_input, TranscriptionSpec)
            at = f"{operation.pointer}/{'x-transcription' if is_transcription else 'x-conversion'}/targets"
            for name, spec in operation.audio_input.targets.items():
                found[name] = AudioInputTarget(name, operation, spec, f"{at}/{escape_pointer_token(name)}")
        return found

    @functools.cached_property
    def socket_operations(self) -> Mapping[str, Operation]:
        """The channels of WebSockets by id.

        Raises:
            ContractError: a channel does not fit the grammar of `x-socket`.
        """
        return {operation.id: operation for operation in self.read_socket_operations(self)}

    @functools.cached_property
    def socket_targets(self) -> Mapping[str, SocketTarget]:
        """The targets that speak over a WebSocket, by name."""
        return {
            name: SocketTarget(name, operation, spec, pointer)
            for name, operation, spec, pointer in self._iterate_socket_targets(transcribes=False)
        }

    @functools.cached_property
    def transcription_socket_targets(self) -> Mapping[str, TranscriptionSocketTarget]:
        """The targets that transcribe audio over a WebSocket, by name."""
        return {
            name: TranscriptionSocketTarget(name, operation, spec, pointer)
            for name, operation, spec, pointer in self._iterate_socket_targets(transcribes=True)
        }

    def _iterate_socket_targets(self, *, transcribes: bool) -> Iterator[tuple[str, Operation, SocketTargetSpec, str]]:
        """Yield the name, the channel, the record and the pointer of targets over WebSockets."""
        for operation in self.socket_operations.values():
            assert operation.socket is not None
            if operation.socket.spec.transcribes != transcribes:
                continue
            for name, spec in operation.socket.spec.targets.items():
                yield name, operation, spec, f"{operation.pointer}/x-socket/targets/{escape_pointer_token(name)}"

    def iterate_targets(self) -> Iterator[BaseTarget]:
        """Yield every target: those that speak over HTTP, those that take audio, and both kinds over WebSockets."""
        yield from self.targets.values()
        yield from self.audio_input_targets.values()
        yield from self.socket_targets.values()
        yield from self.transcription_socket_targets.values()

    @property
    def id(self) -> str:
        """The provider id."""
        return self.provider.id

    @property
    def version(self) -> str:
        """The version of the document (`info.version`)."""
        return str(self.document.data["info"]["version"])

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of the servers, with their ports."""
        return frozenset(urlsplit(server.url).netloc.lower() for server in self.servers.values())

    @property
    def security_schemes(self) -> Mapping[str, dict[str, Any]]:
        """The OpenAPI security schemes by name. A scheme describes how a key is sent."""
        schemes: dict[str, Any] = self.document.data.get("components", {}).get("securitySchemes", {})
        return schemes

    @functools.cached_property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables of the key and of what else is sent with it, such as a user id; the key first."""
        others = (
            name for key in self.key_specs.values() for name in (key.key_variable, key.id_variable) if name is not None
        )
        return tuple(dict.fromkeys((self.provider.key_variable, *others)))

    def _find_by_name(self, item_kind: str, name: str, named_items: Mapping[str, _NamedItemT]) -> _NamedItemT:
        try:
            return named_items[name]
        except KeyError:
            raise UnknownNameError(f"{self.id} {item_kind}", name, named_items) from None

    def is_socket_server(self, name: str) -> bool:
        """Whether only channels of WebSockets are on the server with that name, so that its URL has ws or wss."""
        used = {operation.server.name for operation in self.operations.values()}
        return name not in used and any(one.server.name == name for one in self.socket_operations.values())

    def describe_base_url(self, server_name: str, url: str) -> str:
        """Return a base URL as users write it: with ws or wss for a server that only has WebSockets.

        An empty `server_name` stands for all servers.
        """
        names = [server_name] if server_name else list(self.servers)
        return to_socket_url(url) if all(map(self.is_socket_server, names)) else url

    def find_server(self, name: str) -> Server:
        """Return the server with that name.

        Raises:
            UnknownNameError: the document has nothing with that name.
        """
        return self._find_by_name("server", name, self.servers)

    def find_operation(self, operation_id: str) -> Operation:
        """Return the operation or the channel with that id.

        Raises:
            UnknownNameError: the document has nothing with that name.
        """
        if operation_id in self.socket_operations:
            return self.socket_operations[operation_id]
        return self._find_by_name("operation", operation_id, self.operations)

    def find_target_by_name(self, name: str) -> Target:
        """Return the speech target with that name within the provider.

        Raises:
            UnknownNameError: the document has nothing with that name.
        """
        return self._find_by_name("target", name, self.targets)

    def match_operation(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation for a method and a path, and the path parameters; `None` if no operation matches.

        A path template without parameters takes precedence, as OpenAPI specifies (section 4.8.8.2), then the one with
        more fixed text.
        """
        found = [
            (operation, parameters)
            for operation in self.operations.values()
            if operation.method == method.upper() and (parameters := operation.match_path(path)) is not None
        ]
        return min(found, key=lambda pair: (len(pair[1]), -len(re.sub(r"\{[^}]*\}", "", pair[0].path))), default=None)

    @functools.cached_property
    def _sources(self) -> ContractSources:
        return ContractSources(self.document.data, self.provider.sources)

    def has_normative_source(self, pointer: str) -> bool:
        """Whether a normative document states the part of a request at `pointer`; `True` also if no source is given."""
        return self._sources.has_normative_source(pointer)

    def iterate_disputes(self, pointer: str) -> Iterator[tuple[Dispute, str]]:
        """Yield the recorded disputes about the part at `pointer` or a part around it, innermost first.

        Each dispute is followed by the JSON pointer to the part that the dispute is about.
        """
        return self._sources.iterate_disputes(pointer)

"""Checks that the parts of a contract agree with each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, get_args

from voicegauge.contract._job_and_resource_consistency import (
    check_audio_input,
    check_batch,
    check_chat,
    check_job,
    check_pagination,
    check_resource,
    check_stream,
    check_webhook,
)
from voicegauge.contract._size_limits import check_schema_sizes
from voicegauge.contract._speech_consistency import (
    check_message_templates,
    check_operation_id,
    check_request_location,
    check_response_location,
    check_speech,
    check_submit,
    check_target,
)
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.document_parts import Example, convert_record, walk_objects
from voicegauge.contract.extension.pricing import CharacterCounting, PlanPrice, PriceSpec
from voicegauge.contract.extension.provider import (
    REJECTION_KEYWORDS,
    ListOperation,
    RejectionReason,
    SelfHostedListOperation,
    SourceReference,
)
from voicegauge.contract.extension.speech import TranscriptionSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import UnknownNameError
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.located_yaml import Document, describe_type, escape_pointer_token
from voicegauge.formats.locations import MISSING, parse_location

# Checks the keys that any operation may have: security, links, and the `x-` keys of its examples.


_REJECTION_REASONS = get_args(RejectionReason)
"""The values that `x-rejection-reason` may have, before a colon and the name of a field."""


def check_security(operation: Operation) -> None:
    """Check that the security schemes of an operation exist, and that the client can send a key as they describe.

    Raises:
        ContractError: a scheme is not documented, or the client cannot use it.
    """
    schemes = operation.contract.security_schemes
    has_own = "security" in operation.part_data
    for index, alternative in enumerate(operation.security):
        for name in alternative:
            pointer = f"{operation.pointer if has_own else ''}/security/{index}/{escape_pointer_token(name)}"
            if name not in schemes:
                known = ", ".join(schemes) or "none"
                raise operation.contract.document.build_error(
                    pointer, f"{name!r} is not a security scheme; known: {known}"
                )
            # Of the other operations of an official document, nobody sends a request: their schemes need not be usable.
            if operation.speech or operation.job or operation.audio_input:
                reason = _explain_unusable_security_scheme(operation.contract, name)
                if reason is not None:
                    raise operation.contract.document.build_error(pointer, f"the security scheme {name!r} {reason}")


def _explain_unusable_security_scheme(contract: Contract, scheme_name: str) -> str | None:
    """Return why the client cannot send a key by the named security scheme; `None` if it can.

    The client can send a key as it is, after a word such as Bearer, Basic or "Token", as an OAuth 2 token, or as an AWS
    signature.
    """
    scheme, key = contract.security_schemes[scheme_name], contract.key_specs[scheme_name]
    if scheme.get("type") == "oauth2":
        token_url = scheme.get("flows", {}).get("clientCredentials", {}).get("tokenUrl")
        if not token_url:
            return "must have the flow clientCredentials: no other OAuth 2 flow works without a user"
        if key.id_variable is None:
            return "needs x-key.id_variable: the variable of the client id"
        # The slash at the end keeps https://api.acme.com.evil.example from passing for https://api.acme.com.
        if not any(f"{token_url}/".startswith(f"{server.url}/") for server in contract.servers.values()):
            return f"gets tokens from {token_url}, which is not on one of the servers: add it to servers, with x-name"
        return None
    if key.aws_signature is not None and key.id_variable is None:
        return "needs x-key.id_variable: the variable of the access key id"
    return None if scheme.get("type") in ("apiKey", "http") else "must be apiKey, http or oauth2"


def check_list_operations(contract: Contract) -> None:
    """Check the operations in `x-provider` that list the models and voices of a server or an account.

    Raises:
        ContractError: an operation is not documented, or a speech request has no field for the listed names.
    """
    provider, hosted = contract.provider, contract.provider.self_hosted
    lists: dict[str, ListOperation] = {f"voice_lists/{i}": one for i, one in enumerate(provider.voice_lists)}
    if hosted is not None:
        lists |= {"self_hosted/model_list": hosted.model_list} if hosted.model_list is not None else {}
        lists |= {f"self_hosted/voice_lists/{i}": one for i, one in enumerate(hosted.voice_lists)}
    for key, server_list in lists.items():
        pointer = f"/x-provider/{key}"
        check_operation_id(contract, f"{pointer}/operation_id", server_list.operation_id)
        for operation in contract.operations.values():
            if isinstance(server_list, SelfHostedListOperation) and operation.speech is not None:
                at = f"{pointer}/request_field_location"
                check_request_location(operation, at, server_list.request_field_location)


def check_request_examples(operation: Operation) -> None:
    """Check that the examples of requests can be sent: only JSON and forms can contain objects.

    Raises:
        ContractError: an example cannot be sent with its media type.
    """
    for name, media in operation.request_media.items():
        if not (is_json(name) or is_form(name)):
            for example in media.examples:
                if not isinstance(example.value, str):
                    reason = f"{describe_type(example.value)} cannot be sent as {name}: an example of it is a text"
                    raise operation.contract.document.build_error(example.pointer, reason)


def check_responses(operation: Operation) -> None:
    """Check the links and examples of responses.

    Raises:
        ContractError: a link or an example refers to something that is not documented.
    """
    contract = operation.contract
    request_examples = {example.name for media in operation.request_media.values() for example in media.examples}
    request_examples.update(name for parameter in operation.parameters for name in parameter.examples)
    for response in operation.responses.values():
        for name, link in response.links.items():
            target = link.get("operationId")
            if target is not None and target not in contract.operations:
                pointer = f"{response.pointer}/links/{escape_pointer_token(name)}"
                raise contract.document.build_error(pointer, f"the link leads to {target!r}, which is not an operation")
        for media in response.media_types.values():
            for example in media.examples:
                _check_example(operation, example, request_examples)


def _check_example(operation: Operation, example: Example, request_example_names: set[str]) -> None:
    document, written = operation.contract.document, example.rejection_reason
    if written is not None and str(written).partition(":")[0] not in _REJECTION_REASONS:
        reason = f"x-rejection-reason must be one of {', '.join(_REJECTION_REASONS)}, not {written!r}"
        raise document.build_error(f"{example.pointer}/x-rejection-reason", reason)
    _check_rejection_locations(document, example)
    keywords = example.rejection_keywords
    if not isinstance(keywords, list | tuple) or not all(keyword in REJECTION_KEYWORDS for keyword in keywords):
        reason = f"x-rejection-keywords is a list of {', '.join(REJECTION_KEYWORDS)}, not {keywords!r}"
        raise document.build_error(f"{example.pointer}/x-rejection-keywords", reason)
    if example.request_example_name is not None and str(example.request_example_name) not in request_example_names:
        reason = f"x-request names {example.request_example_name!r}, which is not an example of the request"
        raise document.build_error(f"{example.pointer}/x-request", reason)


def _check_rejection_locations(document: Document, example: Example) -> None:
    pointer = f"{example.pointer}/x-rejection-locations"
    if not isinstance(example.rejection_locations, dict) or set(example.rejection_locations) - {"field", "message"}:
        raise document.build_error(pointer, "x-rejection-locations has the keys field and message")
    for key, texts in example.rejection_locations.items():
        for text in texts if isinstance(texts, list) else [texts]:
            try:
                location = parse_location(str(text))
            except ValueError as error:
                raise document.build_error(f"{pointer}/{key}", str(error)) from error
            if location.read_body(example.value) is MISSING:
                raise document.build_error(f"{pointer}/{key}", f"the example has no value at {text}")


# Checks references and schemas of a document before a contract is built from it.


_COMPONENT_REFERENCE_PATTERN = re.compile(r"#/components/schemas/[^/]+")
"""Matches a reference to a schema of the components."""
_SCHEMA_POINTER_PATTERN = re.compile(r"/(?:schema|data_schema|body_schema)(?:/|$)|^/components/schemas/")
"""Matches the JSON pointer of a schema, or of a part of one."""
_SCHEMA_KEYS = ("schema", "data_schema", "body_schema")
"""Keys whose value is a schema: those of OpenAPI, of an event and of a dispute."""
_SUBSCHEMA_KEYWORDS = ("if", "then", "else", "not")
"""Keywords whose value is one schema that applies to the same instance."""
_SUBSCHEMA_LIST_KEYWORDS = ("allOf", "anyOf", "oneOf")
"""Keywords whose value is a list of schemas that apply to the same instance."""
_IN_PLACE_APPLICATOR_KEYWORDS = frozenset(("$ref", *_SUBSCHEMA_KEYWORDS, *_SUBSCHEMA_LIST_KEYWORDS))
"""Keywords with subschemas that apply to the same instance as the schema that contains the keyword."""
_COMBINING_KEYWORDS = frozenset(("$ref", *_SUBSCHEMA_LIST_KEYWORDS))
"""If a schema has one of these keywords, its default is not checked against it: in official documents such a default
may be valid under none or two of the alternatives, which does no harm."""
_PARAMETER_POINTER_PATTERN = re.compile(r"/parameters/\d+$")
"""Matches the JSON pointer of a parameter."""


def check_references(schemas: Schemas, document: Document) -> None:
    """Check that references point to existing parts and form no cycles, and that operation ids are unique.

    Raises:
        ContractError: a reference or an id is wrong; the message has the line of the first wrong one.
    """
    leads_to: dict[str, list[str]] = {}
    operation_ids: set[str] = set()
    for pointer, node in walk_objects(document.data):
        if not _IN_PLACE_APPLICATOR_KEYWORDS.isdisjoint(node):
            leads_to[pointer] = _list_pointers_of_applied_subschemas(pointer, node)
            if isinstance(node.get("$ref"), str):
                leads_to[pointer].append(_check_and_resolve_reference(schemas, document, pointer, node["$ref"]))
        name = node.get("operationId") if "responses" in node else None
        if isinstance(name, str):
            if name in operation_ids:
                raise document.build_error(f"{pointer}/operationId", f"operationId {name!r} is used twice")
            operation_ids.add(name)
    try:
        TopologicalSorter(leads_to).prepare()
    except CycleError as error:
        # A cycle through `properties` or `items` is fine, because every instance ends. The keywords that are followed
        # here apply to one and the same instance.
        raise document.build_error(error.args[1][0], "the schema leads back to itself without an end") from error


def _list_pointers_of_applied_subschemas(pointer: str, schema: dict[str, Any]) -> list[str]:
    """Return the pointers of the subschemas of `schema` that apply to the same instance as `schema` itself."""
    found = [f"{pointer}/{key}" for key in _SUBSCHEMA_KEYWORDS if key in schema]
    for key in _SUBSCHEMA_LIST_KEYWORDS:
        branches = schema.get(key)
        found += [f"{pointer}/{key}/{i}" for i in range(len(branches) if isinstance(branches, list) else 0)]
    return found


def _check_and_resolve_reference(schemas: Schemas, document: Document, pointer: str, reference: str) -> str:
    """Check one reference; return the pointer of the part that it refers to."""
    found, target_pointer = schemas.resolve_reference({"$ref": reference}, f"{pointer}/$ref")
    if _PARAMETER_POINTER_PATTERN.search(pointer) and not (isinstance(found, dict) and {"name", "in"} <= found.keys()):
        raise document.build_error(f"{pointer}/$ref", f"$ref {reference!r} does not lead to a parameter")
    return target_pointer


def check_schemas(schemas: Schemas, document: Document, unfit_default_pointers: list[str] | None = None) -> None:
    """Check that every schema can be used, so that none fails in the middle of a run, and that defaults fit.

    Args:
        schemas: the schemas of `document`.
        document: the document.
        unfit_default_pointers: list that gets the JSON pointer of each schema whose default does not fit. `None` if
            such a default is an error.

    Raises:
        ContractError: a schema cannot be used, or its default does not fit it; the message has the line of the first
            such schema.
    """
    check_schema_sizes(document, list(walk_objects(document.data)))
    for pointer, node in walk_objects(document.data):
        parent, _, key = pointer.rpartition("/")
        is_component = parent == "/components/schemas"
        if is_component or (key in _SCHEMA_KEYS and not _is_reference_to_component(node)):
            schemas.check_schema(pointer)
        if _has_unknown_content_encoding(node):
            reason = UnknownNameError("content encoding", str(node["contentEncoding"]), _CONTENT_ENCODINGS)
            raise document.build_error(f"{pointer}/contentEncoding", str(reason))
        if "default" in node and _SCHEMA_POINTER_PATTERN.search(pointer) and not _COMBINING_KEYWORDS & node.keys():
            if unfit_default_pointers is not None and not schemas.is_valid(pointer, node["default"]):
                unfit_default_pointers.append(pointer)
            else:
                schemas.check_default(pointer, node["default"])


_CONTENT_ENCODINGS = (
    *("base64", "base64url", "base32", "base32hex", "base16"),
    *("quoted-printable", "7bit", "8bit", "binary"),
)
"""The encodings of RFC 4648 and of RFC 2045, section 6.1, to which JSON Schema refers for `contentEncoding`."""


def _has_unknown_content_encoding(schema: Mapping[str, Any]) -> bool:
    """Whether the `contentEncoding` of a schema names no encoding; names that begin with "x-" are free."""
    if "contentEncoding" not in schema:
        return False
    name = str(schema["contentEncoding"]).lower()
    return name not in _CONTENT_ENCODINGS and not name.startswith("x-")


_JSON_TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
"""The types of JSON Schema. A document may state others, which a validator does not know."""
_EXAMPLE_OR_VALUE_POINTER_PATTERN = re.compile(r"(?<!/properties)/(?:examples?|default|enum|const|x-[^/]*)(?:/|$)")
"""Matches pointers in the examples and other values in a schema, which are not schemas."""


def remove_unknown_types(document: Document) -> list[str]:
    """Remove each `type` of a schema that names no type of JSON, such as "number,".

    Returns:
        JSON pointers of what was removed.
    """
    found = {}
    for pointer, node in walk_objects(document.data):
        is_schema = _SCHEMA_POINTER_PATTERN.search(pointer) and not _EXAMPLE_OR_VALUE_POINTER_PATTERN.search(pointer)
        if is_schema and isinstance(node.get("type"), str) and node["type"] not in _JSON_TYPES:
            found[pointer] = node
    return _remove_key_of_objects(found, "type")


def remove_unknown_content_encodings(document: Document) -> list[str]:
    """Remove each `contentEncoding` of a schema that names no encoding, such as "int32".

    Returns:
        JSON pointers of what was removed.
    """
    # The same search as in `check_schemas`, so that nothing is left that a contract would be rejected for.
    found = {pointer: node for pointer, node in walk_objects(document.data) if _has_unknown_content_encoding(node)}
    return _remove_key_of_objects(found, "contentEncoding")


def _remove_key_of_objects(objects_by_pointer: Mapping[str, dict[str, Any]], key: str) -> list[str]:
    """Remove `key` from each object; return the JSON pointers of what was removed.

    One object may be at several places (YAML aliases). Each is returned: an overlay changes one without the others.
    """
    for node in objects_by_pointer.values():
        node.pop(key, None)
    return [f"{pointer}/{key}" for pointer in objects_by_pointer]


def remove_contradicting_additional_properties(document: Document) -> list[str]:
    """Remove each `additionalProperties: false` in `allOf` that forbids what another part of the `allOf` describes.

    Such a schema accepts nothing, although its author meant the sum of the parts.

    Returns:
        JSON pointers of what was removed.
    """
    schemas = Schemas(document)
    contradicting: dict[str, dict[str, Any]] = {}
    for pointer, node in walk_objects(document.data):
        parts = node.get("allOf")
        if not isinstance(parts, list) or not _SCHEMA_POINTER_PATTERN.search(pointer):
            continue
        resolved = [(node, pointer)]
        for index, part in enumerate(parts):
            found, at = schemas.resolve_reference(part)
            resolved.append((found, at or f"{pointer}/allOf/{index}"))
        described = {name for part, _ in resolved if isinstance(part, dict) for name in part.get("properties") or ()}
        for part, at in resolved:
            # Each part of an `allOf` is judged alone: it does not see the properties of its siblings.
            is_closed = isinstance(part, dict) and part.get("additionalProperties") is False
            if is_closed and described - {*part.get("properties", ())}:
                contradicting[at] = part
    return _remove_key_of_objects(contradicting, "additionalProperties")


def _is_reference_to_component(node: dict[str, Any]) -> bool:
    """Whether a schema is only a reference to a schema under `components`, which is checked there, once."""
    reference = node.get("$ref")
    return (
        len(node) == 1 and isinstance(reference, str) and _COMPONENT_REFERENCE_PATTERN.fullmatch(reference) is not None
    )


# Checks `x-source`, `x-advice` and prices.


_MISPLACED_CHARACTER_COUNTING_REASON = (
    "character_counting belongs to the price itself: it applies to all of its parts and alternatives"
)
_SOURCE_DOCUMENT_POINTER_PATTERN = re.compile(r"/(x-source|source|disputes/\d+)$")
"""Matches the JSON pointer of a value that names a document by its id."""


def check_sources(contract: Contract) -> None:
    """Check that every named source document is listed in `x-provider.sources`.

    Raises:
        ContractError: a document is not listed, or an `x-source` or `x-advice` is malformed.
    """
    document, sources = contract.document, contract.provider.sources
    for pointer, node in walk_objects(document.data):
        if "x-source" in node:
            convert_record(document, node["x-source"], f"{pointer}/x-source", SourceReference)
        if "x-advice" in node and not isinstance(node["x-advice"], dict):
            raise document.build_error(f"{pointer}/x-advice", "x-advice must be a mapping of JSON Schema keywords")
        named = node.get("document_name")
        if isinstance(named, str) and named not in sources and _SOURCE_DOCUMENT_POINTER_PATTERN.search(pointer):
            known = ", ".join(sources)
            raise document.build_error(
                f"{pointer}/document_name", f"{named!r} is not among x-provider.sources: {known}"
            )


def check_price(contract: Contract, pointer: str, price: PriceSpec | None) -> None:
    """Check a price, its parts, and the alternatives that contradicting documents state. `None` is accepted.

    Raises:
        ContractError: neither the price nor an alternative has an amount, a part with tokens or compute seconds has no
            upper bound, or the price of a plan is higher than the price without a plan.
    """
    for place, reason in _iterate_price_problems(contract, pointer, price) if price is not None else ():
        raise contract.document.build_error(place, reason)


def _iterate_price_problems(contract: Contract, pointer: str, price: PriceSpec) -> Iterator[tuple[str, str]]:
    if not any(map(_list_currency_fields, price.price_and_alternatives)):
        yield pointer, "a price needs usd_per_unit, credits_per_unit or alternatives that have them"
    for index, reading in enumerate(price.alternatives):
        at = f"{pointer}/alternatives/{index}"
        if reading.character_counting != CharacterCounting():
            yield f"{at}/character_counting", _MISPLACED_CHARACTER_COUNTING_REASON
        yield from _iterate_price_part_problems(contract, at, reading)
    yield from _iterate_price_part_problems(contract, pointer, price)


def check_usage_locations(target: BaseTarget) -> None:
    """Check that responses have a value at each location from which the price of a target reads tokens or seconds.

    Raises:
        ContractError: a location is not documented.
    """
    # A job reports what it used when it has ended: in its result, else in its status.
    status = target.job_operation
    result = status.job.result_operation_id if status is not None and status.job is not None else None
    reporting = target.contract.find_operation(result) if result is not None else status or target.operation
    own = target.target_spec.pricing
    pointer = f"{target.pointer}/pricing" if own is not None else f"{target.operation.pointer}/x-pricing"
    price = own or target.operation.pricing
    for index, price_part in enumerate(price.parts if price is not None else ()):
        if price_part.usage is not None:
            at = f"{pointer}/added_parts/{index - 1}" if index else pointer
            check_response_location(
                reporting, f"{at}/usage/reported_usage_location", price_part.usage.reported_usage_location
            )


def _iterate_price_part_problems(contract: Contract, pointer: str, price: PriceSpec) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one reading of a price, each with the JSON pointer to the place."""
    for index, price_part in enumerate(price.parts):
        at = f"{pointer}/added_parts/{index - 1}" if index else pointer
        if index:
            yield from _iterate_added_price_part_problems(at, price_part, price)
        unit, usage = price_part.unit, price_part.usage
        if usage is None and price_part.base_unit in ("token", "compute_second"):
            yield at, f"a price per {unit} needs usage, with an upper bound that is reserved before the request"
        if usage is not None and price_part.base_unit in ("request", "character"):
            yield f"{at}/usage", f"a price per {unit} has no usage: the text determines it"
        if usage is not None and not usage.max_per_request and not usage.max_per_character:
            reason = "usage needs max_per_request or max_per_character, which are reserved before the request"
            yield f"{at}/usage", reason
        if unit == "request" and (price_part.rounding_step is not None or price_part.min_charged_quantity):
            reason = "a price per request has neither rounding_step nor min_charged_quantity: its unit is the request"
            yield at, reason
        for name in price_part.plan_prices:
            yield from _iterate_plan_price_problems(
                contract, f"{at}/plan_prices/{escape_pointer_token(name)}", name, price_part
            )


def _iterate_added_price_part_problems(
    pointer: str, added_part: PriceSpec, price: PriceSpec
) -> Iterator[tuple[str, str]]:
    if added_part.character_counting != CharacterCounting():
        yield f"{pointer}/character_counting", _MISPLACED_CHARACTER_COUNTING_REASON
    if added_part.added_parts or added_part.alternatives:
        yield pointer, "a part of a price has neither added_parts nor alternatives of its own"
    if _list_currency_fields(added_part) != _list_currency_fields(price):
        yield pointer, "all parts of a price have the same currencies: usd_per_unit, credits_per_unit or both"


def _list_currency_fields(amounts: PriceSpec | PlanPrice) -> list[str]:
    return [name for name in ("usd_per_unit", "credits_per_unit") if getattr(amounts, name) is not None]


def _iterate_plan_price_problems(
    contract: Contract, pointer: str, plan_name: str, price_part: PriceSpec
) -> Iterator[tuple[str, str]]:
    plan = price_part.plan_prices[plan_name]
    limits = (contract.limits, *(operation.limits for operation in contract.operations.values()))
    plans = dict.fromkeys(plan_name for one in limits for plan_name in one.plan_limits)
    if plan_name not in plans:
        yield pointer, f"{plan_name!r} is not a plan in x-limits.plan_limits; known: {', '.join(plans) or 'none'}"
    if not plan.allows_extra_units and plan.included_units_per_month is None:
        yield f"{pointer}/allows_extra_units", "a plan without extra units needs included_units_per_month"
    # `select_plan` replaces the amounts in both currencies: the one that a plan does not state would be lost.
    different = {*_list_currency_fields(plan)} ^ {*_list_currency_fields(price_part)}
    if different:
        yield pointer, f"the price of a plan has the same currencies as the price: {max(different)}"
    for name in _list_currency_fields(plan):
        amount, highest = getattr(plan, name), getattr(price_part, name)
        if amount > highest:
            yield pointer, f"{name} {amount:g} is more than {highest:g}, the price that counts without a named plan"


# Checks the provider id and the names of targets, which together form the ids that users write on the command line.


_VALID_NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""Matches the id of a provider, and the name of a target, as options and files of runs contain them."""


def check_target_names(contract: Contract) -> None:
    """Check that the names are well formed, and that no two targets of the provider have the same name.

    Raises:
        ContractError: a name is malformed or used twice.
    """
    _check_name(contract.document, "/x-provider/id", "provider id", contract.id)
    seen: set[str] = set()
    for operation in contract.operations.values():
        input_key = "x-transcription" if isinstance(operation.audio_input, TranscriptionSpec) else "x-conversion"
        for key, spec in (("x-speech", operation.speech), (input_key, operation.audio_input)):
            for name in spec.targets if spec is not None else ():
                pointer = f"{operation.pointer}/{key}/targets/{escape_pointer_token(name)}"
                _check_name(contract.document, pointer, "target", name)
                if name in seen:
                    raise contract.document.build_error(pointer, f"target {name!r} is defined twice")
                seen.add(name)


def _check_name(document: Document, pointer: str, name_description: str, checked_name: str) -> None:
    if not _VALID_NAME_PATTERN.fullmatch(checked_name):
        raise document.build_error(
            pointer, f"{name_description} {checked_name!r} must consist of a-z, 0-9, '.', '_' and '-'"
        )


# Runs all consistency checks of a contract in one call.


def check_consistency(contract: Contract) -> None:
    """Check that what each part of a contract states about other parts is true.

    Raises:
        ContractError: a part does not fit; the message has the line of the first such part.
    """
    check_target_names(contract)
    check_list_operations(contract)
    check_sources(contract)
    # Operations are checked before targets, because later checks rely on locations that earlier ones have checked.
    for operation in contract.operations.values():
        _check_operation(operation)
    for target in contract.targets.values():
        check_target(target)
        check_price(contract, f"{target.pointer}/pricing", target.target_spec.pricing)
        check_usage_locations(target)
    for audio_input_target in contract.audio_input_targets.values():
        check_price(contract, f"{audio_input_target.pointer}/pricing", audio_input_target.target_spec.pricing)
    for operation in contract.operations.values():
        _check_operation_extensions(operation)
    for socket_target in (*contract.socket_targets.values(), *contract.transcription_socket_targets.values()):
        check_message_templates(socket_target)


def _check_operation(operation: Operation) -> None:
    check_security(operation)
    check_request_examples(operation)
    check_responses(operation)
    if operation.speech is not None:
        check_speech(operation, operation.speech)
    if operation.audio_input is not None:
        check_audio_input(operation, operation.audio_input)
    if operation.pagination is not None:
        check_pagination(operation, operation.pagination)
    if operation.submit is not None:
        check_submit(
            operation, f"{operation.pointer}/x-submit/status_operation_id", operation.submit.status_operation_id
        )
    if operation.job is not None:
        check_job(operation, operation.job)
    check_price(operation.contract, f"{operation.pointer}/x-pricing", operation.pricing)


def _check_operation_extensions(operation: Operation) -> None:
    if operation.resource is not None:
        check_resource(operation, operation.resource)
    if operation.batch is not None:
        check_batch(operation, operation.batch)
    if operation.chat is not None:
        check_chat(operation, operation.chat)
    if operation.webhook is not None:
        check_webhook(operation, operation.webhook)
    check_stream(operation)

"""Compares the parameters, bodies, responses and authentication methods of two operations."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, NodePair, encode_canonical_json, is_same_json, pair_by_key
from voicegauge.drift._schema_comparison import compare_schemas
from voicegauge.drift.drift_report import DriftChange, DriftLevel
from voicegauge.formats.bodies import is_json

# Compares the parameters of two operations. They are matched by location and name, path parameters by position.


_IGNORED_HEADER_NAMES = ("accept", "content-type", "authorization")
"""Names that OpenAPI ignores for header parameters, because it describes these headers elsewhere (section "Parameter
Object")."""
_DEFAULT_STYLE_BY_LOCATION = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
"""The `style` of a parameter that states none, by `in` (OpenAPI 3.1, section 4.8.12)."""
_PARAMETER_DEFAULT_RULE_IDS = tuple(
    f"request-parameter-default-value-{action}" for action in ("added", "removed", "changed")
)
"""Ids of the rules about default values, which do not matter for required parameters, because these are always sent."""
_PARAMETER_TYPE_RULE_IDS = {"request-parameter-type-changed", "request-parameter-list-of-types-narrowed"}
"""Ids of the rules that report a new type of a parameter to which older values do not belong."""

PathAndOperation = tuple[str, DocumentNode, DocumentNode]
"""A path, the node of its path item, and the node of one of its operations. Both nodes may define parameters of the
operation. The path contains the names of its path parameters in braces."""


class _ParameterVersion(NamedTuple):
    """A parameter in the older or the newer document."""

    node: DocumentNode
    """The node of the parameter, after references were followed."""
    is_from_path_item: bool
    """Whether the parameter belongs to the path item and therefore to all operations of the path item."""

    @property
    def is_required(self) -> bool:
        return self.node.get_value("required") is True or self.node.get_value("in") == "path"

    @property
    def is_deprecated(self) -> bool:
        return self.node.get_value("deprecated") is True

    @property
    def location(self) -> str:
        return f"{self.node.get_value('in')} {self.node.get_value('name')}"

    @property
    def schema(self) -> DocumentNode:
        media_types = [media_type for _, media_type in self.node.get_child("content").iterate_children()]
        return media_types[0].get_child("schema") if media_types else self.node.get_child("schema")

    @property
    def style_and_explode(self) -> tuple[str, bool]:
        """The values of `style` and `explode`, or their defaults."""
        style = self.node.get_value("style", _DEFAULT_STYLE_BY_LOCATION.get(str(self.node.get_value("in")), ""))
        return style, self.node.get_value("explode", style == "form") is True


def compare_parameters(
    api_part: ApiPart, old_path_and_operation: PathAndOperation, new_path_and_operation: PathAndOperation
) -> Iterator[DriftChange]:
    """Yield every change of the parameters, including those of the path item."""
    old_parameters = _list_parameters(*old_path_and_operation)
    for _, before, after in pair_by_key(old_parameters, _list_parameters(*new_path_and_operation)):
        if before is not None and after is not None:
            yield from _compare_parameter(api_part.create_nested_part(after.location), before, after)
        elif before is not None:
            yield api_part.create_nested_part(before.location).build_change(
                _choose_rule_id_of_removal(api_part, before), before.node, None
            )
        elif after is not None:
            yield api_part.create_nested_part(after.location).build_change(
                _choose_rule_id_of_addition(api_part, after), None, after.node
            )


def _list_parameters(
    path: str, path_item: DocumentNode, operation: DocumentNode
) -> dict[tuple[str, str], _ParameterVersion]:
    """Return the parameters by location and name. Parameters of the operation override those of the path item."""
    # Names of path parameters are never sent, so a parameter that was only renamed is the same one.
    positions = {name: str(index) for index, name in enumerate(re.findall(r"\{([^}]*)\}", path))}
    found = {}
    for owner, is_shared in ((path_item, True), (operation, False)):
        for _, node in owner.get_child("parameters").iterate_children():
            node = node.resolve_references()
            location, name = str(node.get_value("in")), str(node.get_value("name"))
            if location == "header" and name.lower() in _IGNORED_HEADER_NAMES:
                continue
            key = {"header": name.lower(), "path": positions.get(name, name)}.get(location, name)
            found[location, key] = _ParameterVersion(node, is_shared)
    return found


def _choose_rule_id_of_removal(api_part: ApiPart, parameter: _ParameterVersion) -> str:
    if api_part.is_callback:
        return "callback-parameter-removed"
    return "request-parameter-removed-with-deprecation" if parameter.is_deprecated else "request-parameter-removed"


def _choose_rule_id_of_addition(api_part: ApiPart, parameter: _ParameterVersion) -> str:
    if api_part.is_callback:
        return "callback-parameter-added"
    if parameter.node.get_value("in") == "path":
        return "new-request-path-parameter"
    need = "required" if parameter.is_required else "optional"
    return f"new-{need}-request-" + (
        "default-parameter-to-existing-path" if parameter.is_from_path_item else "parameter"
    )


def _compare_parameter(
    api_part: ApiPart, old_parameter: _ParameterVersion, new_parameter: _ParameterVersion
) -> Iterator[DriftChange]:
    kind = "callback-parameter" if api_part.is_callback else "request-parameter"
    if old_parameter.is_required != new_parameter.is_required and not api_part.is_callback:
        need = "required" if new_parameter.is_required else "optional"
        yield api_part.build_change(
            f"{kind}-became-{need}", old_parameter.node.get_child("required"), new_parameter.node.get_child("required")
        )
    if old_parameter.is_deprecated != new_parameter.is_deprecated:
        action = "deprecated" if new_parameter.is_deprecated else "reactivated"
        yield api_part.build_change(
            f"{kind}-{action}", old_parameter.node.get_child("deprecated"), new_parameter.node.get_child("deprecated")
        )
    if old_parameter.style_and_explode != new_parameter.style_and_explode and not api_part.is_callback:
        yield api_part.build_change(
            "request-parameter-style-changed",
            old_parameter.node,
            new_parameter.node,
            old=old_parameter.style_and_explode,
            new=new_parameter.style_and_explode,
        )
    api_part = replace(api_part, is_sent_as_text=not new_parameter.node.get_child("content").exists)
    changes = [
        change
        for change in compare_schemas(api_part, kind, old_parameter.schema, new_parameter.schema)
        if not (change.rule in _PARAMETER_DEFAULT_RULE_IDS and old_parameter.is_required and new_parameter.is_required)
    ]
    narrowing = _PARAMETER_TYPE_RULE_IDS & {change.rule for change in changes}
    still_accepts_single_value = bool(narrowing) and _still_accepts_single_value(api_part, old_parameter, new_parameter)
    for change in changes:
        if still_accepts_single_value and change.rule in _PARAMETER_TYPE_RULE_IDS:
            yield api_part.build_change(
                "request-parameter-type-generalized", old_parameter.schema, new_parameter.schema
            )
        else:
            yield change


def _still_accepts_single_value(
    api_part: ApiPart, old_parameter: _ParameterVersion, new_parameter: _ParameterVersion
) -> bool:
    """Whether a parameter changed from a single value to a list, but requests with `name=value` are still accepted."""
    schema = new_parameter.schema.resolve_references()
    types = schema.get_value("type")
    is_list = types == "array" or (isinstance(types, list) and all(one in ("array", "null") for one in types))
    # In this style, a list of one item is sent as `name=value`, like the single value before.
    if not is_list or new_parameter.style_and_explode != ("form", True):
        return False
    item_changes = compare_schemas(api_part, "request-parameter", old_parameter.schema, schema.get_child("items"))
    return all(
        change.level is DriftLevel.COMPATIBLE or change.rule == "request-parameter-became-not-nullable"
        for change in item_changes
    )


# Compares the request bodies and the responses of two operations, including media types, headers and links.


def compare_request_bodies(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of the request bodies of two operations or callbacks."""
    before, after = (
        old_node.get_child("requestBody").resolve_references(),
        new_node.get_child("requestBody").resolve_references(),
    )
    nested = api_part.create_nested_part("body" if api_part.is_callback else "request body")
    if before.exists and after.exists:
        if _get_requiredness(before) != _get_requiredness(after):
            prefix = "callback-payload" if api_part.is_callback else "request-body"
            rule = f"{prefix}-became-{_get_requiredness(after)}"
            yield nested.build_change(rule, before.get_child("required"), after.get_child("required"))
        yield from _compare_media_types(nested, "callback" if api_part.is_callback else "request-body", before, after)
    elif after.exists:
        yield nested.build_change(
            "callback-payload-added" if api_part.is_callback else f"request-body-added-{_get_requiredness(after)}",
            None,
            after,
        )
    elif before.exists:
        yield nested.build_change(
            "callback-payload-removed" if api_part.is_callback else "request-body-removed", before, None
        )


def _get_requiredness(node: DocumentNode) -> str:
    """Return the word "required" or "optional", which rule ids contain."""
    return "required" if node.get_value("required") is True else "optional"


def compare_responses(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of the responses of two operations.

    For callbacks, only the statuses are compared, because the client sends the responses.
    """
    for status, before, after in pair_by_key(_list_responses(old_node), _list_responses(new_node)):
        nested = api_part.create_nested_part(status)
        if before is None or after is None:
            kind = "success" if status.startswith("2") else "non-success"
            prefix = "callback-response-status" if api_part.is_callback else f"response-{kind}-status"
            yield nested.build_presence_change(prefix, before, after)
        elif not api_part.is_callback:
            yield from _compare_media_types(nested.create_nested_part(" body"), "response", before, after)
            yield from _compare_headers(nested, before, after)
            yield from _compare_links(nested, before, after)


def _list_responses(operation: DocumentNode) -> dict[str, DocumentNode]:
    children = operation.get_child("responses").iterate_children()
    return {status.upper(): node.resolve_references() for status, node in children if not status.startswith("x-")}


def _compare_media_types(
    api_part: ApiPart, rule_id_prefix: str, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    """Yield the changes of media types and of their schemas.

    Args:
        api_part: the body whose media types are compared.
        rule_id_prefix: the start of rule ids: "request-body", "response" or "callback".
        old_node: the node with the older `content`.
        new_node: the node with the newer `content`.
    """
    old_media_types, new_media_types = _list_media_types(old_node), _list_media_types(new_node)
    if rule_id_prefix == "response":
        yield from _match_renamed_media_types(api_part, old_media_types, new_media_types)
    body_kind = rule_id_prefix if rule_id_prefix.endswith("-body") else f"{rule_id_prefix}-body"
    has_several = len(old_media_types) > 1 or len(new_media_types) > 1
    for name, before, after in pair_by_key(old_media_types, new_media_types):
        nested = api_part.create_nested_part(f" ({name})") if has_several else api_part
        nested = replace(nested, is_sent_as_text=not is_json(name.partition(";")[0]))
        if before is None or after is None:
            yield nested.build_presence_change(f"{rule_id_prefix}-media-type", before, after, name)
        else:
            yield from _compare_body_schemas(nested, body_kind, before, after)


def _compare_body_schemas(
    api_part: ApiPart, rule_id_prefix: str, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    before, after = old_node.get_child("schema"), new_node.get_child("schema")
    if before.exists == after.exists or api_part.is_callback:
        yield from compare_schemas(api_part, rule_id_prefix, before, after)
    else:
        action = "added" if after.exists else "removed"
        yield api_part.build_change(f"{rule_id_prefix}-media-type-schema-{action}", before, after)


def _list_media_types(node: DocumentNode) -> dict[str, DocumentNode]:
    """Return the media types by name, in lower case and without spaces.

    Neither case nor spaces have a meaning in media types (RFC 9110, section 8.3.1).
    """
    return {"".join(name.lower().split()): media for name, media in node.get_child("content").iterate_children()}


def _match_renamed_media_types(
    api_part: ApiPart, old_media_types: dict[str, DocumentNode], new_media_types: dict[str, DocumentNode]
) -> Iterator[DriftChange]:
    """Yield a change for each media type that was replaced by a similar one.

    Media types are similar if only their parameters differ, or if one is a range such as `audio/*` that includes the
    other. In `old_media_types`, the replaced media type is renamed to its newer name, so that the caller compares the
    schemas of both.
    """
    # Before the media types are compared by name, which would report a removed and an added one.
    removed = [name for name in old_media_types if name not in new_media_types]
    added = [name for name in new_media_types if name not in old_media_types]
    for before in removed:
        for after in [name for name in added if name not in old_media_types]:
            relation = _classify_media_type_relation(before, after)
            if relation:
                rule = f"response-media-type-name-{relation}"
                yield api_part.build_change(
                    rule, old_media_types[before], new_media_types[after], old=before, new=after
                )
                old_media_types[after] = old_media_types.pop(before)
                break


def _classify_media_type_relation(old_name: str, new_name: str) -> str:
    """Return the end of the rule id for a renamed media type; empty if the two media types are unrelated."""
    (old_type, _, old_parameters), (new_type, _, new_parameters) = old_name.partition(";"), new_name.partition(";")
    is_more_general = _includes_media_type(new_type, old_type)
    if not is_more_general and not _includes_media_type(old_type, new_type):
        return ""
    if old_type == new_type or old_parameters != new_parameters:
        return "changed"
    return "generalized" if is_more_general else "specialized"


def _includes_media_type(general_media_type: str, specific_media_type: str) -> bool:
    """Whether the first covers the second: `audio/*` covers `audio/mpeg`, `application/json` `application/x+json`."""
    kind, _, subtype = general_media_type.partition("/")
    # A name after "+" is the format on which a media type is based (RFC 6839): who reads JSON reads
    # application/problem+json.
    return fnmatch.fnmatchcase(specific_media_type, general_media_type) or fnmatch.fnmatchcase(
        specific_media_type, f"{kind}/*+{subtype}"
    )


def _compare_headers(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    old_headers, new_headers = _list_headers(old_node), _list_headers(new_node)
    for name, before, after in pair_by_key(old_headers, new_headers):
        nested = api_part.create_nested_part(f" header {name}")
        if before is None:
            yield nested.build_change("response-header-added", None, after)
        elif after is None:
            yield nested.build_change(f"{_get_requiredness(before)}-response-header-removed", before, None)
        else:
            if _get_requiredness(before) != _get_requiredness(after):
                yield nested.build_change(f"response-header-became-{_get_requiredness(after)}", before, after)
            text = replace(nested, is_sent_as_text=True)
            yield from compare_schemas(text, "response-header", before.get_child("schema"), after.get_child("schema"))


def _list_headers(response: DocumentNode) -> dict[str, DocumentNode]:
    """Return the headers by lower-case name. Content-Type is left out, because OpenAPI describes it as media types."""
    children = response.get_child("headers").iterate_children()
    return {name.lower(): node.resolve_references() for name, node in children if name.lower() != "content-type"}


def _compare_links(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    old_links, new_links = (dict(node.get_child("links").iterate_children()) for node in (old_node, new_node))
    for name, before, after in pair_by_key(old_links, new_links):
        nested = api_part.create_nested_part(f" link {name}")
        if before is None or after is None:
            yield nested.build_presence_change("response-link", before, after)
        elif not is_same_json(_describe_link_target(before), _describe_link_target(after)):
            yield nested.build_change("response-link-changed", before, after)


def _describe_link_target(link: DocumentNode) -> dict[str, object]:
    """Return the operation that a link points to and the values that it passes."""
    link = link.resolve_references()
    return {key: link.get_value(key) for key in ("operationId", "operationRef", "parameters", "requestBody")}


# Compares the authentication methods of operations and the security schemes that they refer to.


_CREDENTIAL_KEYWORDS = ("in", "name", "scheme")
"""The keys of a security scheme that define how the credential is sent."""


class _SecurityRequirement(NamedTuple):
    """One alternative listed in `security`. A request must use all security schemes of the alternative."""

    node: DocumentNode
    """The node of the alternative in `security`."""
    scopes_by_scheme: dict[bytes, list[str]]
    """The required OAuth scopes by security scheme."""


_SecurityAlternatives = dict[frozenset[bytes], _SecurityRequirement]
"""The alternatives that a `security` list offers, by the set of security schemes that each requires. The empty set
stands for requests without authentication."""


def compare_security(
    api_part: ApiPart, old_and_new_operation: NodePair, old_and_new_root: NodePair
) -> Iterator[DriftChange]:
    """Yield the changes of the authentication methods of an operation. The document's `security` is the default."""
    # Also an empty list of an operation replaces that of the document (OpenAPI 3.1, section 4.8.10).
    has_own = [operation.get_child("security").exists for operation in old_and_new_operation]
    prefix = "api-security" if any(has_own) else "api-global-security"
    nodes = [
        (operation if own else root).get_child("security")
        for operation, root, own in zip(old_and_new_operation, old_and_new_root, has_own, strict=True)
    ]
    old, new = (
        _read_security_alternatives(node, root, old_and_new_root)
        for node, root in zip(nodes, old_and_new_root, strict=True)
    )
    nested = api_part.create_nested_part("security")
    if _allows_requests_without_credentials(old) != _allows_requests_without_credentials(new):
        rule = "security-became-optional" if _allows_requests_without_credentials(new) else "security-became-required"
        yield nested.build_change(rule, nodes[0], nodes[1])
    elif not _allows_requests_without_credentials(new) and not old.keys() & new.keys():
        yield nested.build_change("security-methods-replaced", nodes[0], nodes[1])
    for key, before, after in pair_by_key(old, new):
        if before is not None and after is not None:
            for scheme, old_scopes in before.scopes_by_scheme.items():
                pair, new_scopes = (before.node, after.node), after.scopes_by_scheme[scheme]
                yield from nested.compare_lists(f"{prefix}-scope", pair, old_scopes, new_scopes)
        elif key:  # without a security scheme, the alternative is that no key is needed
            yield nested.build_presence_change(prefix, before and before.node, after and after.node)


def _allows_requests_without_credentials(requirements: _SecurityAlternatives) -> bool:
    return not requirements or frozenset() in requirements


def _read_security_alternatives(
    security: DocumentNode, root: DocumentNode, old_and_new_root: NodePair
) -> _SecurityAlternatives:
    """Return the alternatives of a `security` list; `root` is the document that has the list."""
    requirements = {}
    for _, alternative in security.iterate_children():
        scopes = {
            _build_security_scheme_key(name, root, old_and_new_root): [
                str(scope.value) for _, scope in scope_list.iterate_children()
            ]
            for name, scope_list in alternative.iterate_children()
        }
        requirements[frozenset(scopes)] = _SecurityRequirement(alternative, scopes)
    return requirements


def _build_security_scheme_key(scheme_name: str, root: DocumentNode, old_and_new_root: NodePair) -> bytes:
    """Return the name of a security scheme if both documents have that name, otherwise its content.

    Therefore, a scheme that was only renamed is not reported as a change.
    """
    if all(scheme_name in _list_security_schemes(document) for document in old_and_new_root):
        return scheme_name.encode()
    scheme = _list_security_schemes(root).get(scheme_name)
    return _encode_security_scheme(scheme) if scheme is not None else scheme_name.encode()


def _list_security_schemes(root: DocumentNode) -> dict[str, DocumentNode]:
    children = root.get_child("components").get_child("securitySchemes").iterate_children()
    return {name: node.resolve_references() for name, node in children}


def _encode_security_scheme(scheme: DocumentNode) -> bytes:
    content = scheme.value if isinstance(scheme.value, dict) else {}
    return encode_canonical_json(
        {key: value for key, value in content.items() if key != "description" and key[:2] != "x-"}
    )


def compare_security_schemes(
    api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    """Yield the changes of security schemes, except for those that were only renamed."""
    old_schemes, new_schemes = _list_security_schemes(old_node), _list_security_schemes(new_node)
    old_contents, new_contents = (
        {_encode_security_scheme(node) for node in schemes.values()} for schemes in (old_schemes, new_schemes)
    )
    # A scheme whose content both documents have under some name was only renamed.
    contents = old_contents & new_contents
    for name, before, after in pair_by_key(old_schemes, new_schemes):
        nested = api_part.create_nested_part(f"security scheme {name}")
        if before is not None and after is not None:
            yield from _compare_security_scheme(nested, before, after)
        elif not any(node is not None and _encode_security_scheme(node) in contents for node in (before, after)):
            yield nested.build_presence_change("api-security-component", before, after)


def _compare_security_scheme(
    api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    if old_node.get_value("type") != new_node.get_value("type"):
        values = {"old": old_node.get_value("type"), "new": new_node.get_value("type")}
        yield api_part.build_change(
            "api-security-component-type-changed", old_node.get_child("type"), new_node.get_child("type"), **values
        )
    before, after = (
        {key: _get_credential_value(key, node) for key in _CREDENTIAL_KEYWORDS} for node in (old_node, new_node)
    )
    if before != after:
        values = {"old": _describe_credential(before), "new": _describe_credential(after)}
        yield api_part.build_change("api-security-component-location-changed", old_node, new_node, **values)
    old_flows, new_flows = (dict(node.get_child("flows").iterate_children()) for node in (old_node, new_node))
    for name, flow in old_flows.items():
        if name in new_flows:
            yield from _compare_oauth_flow(api_part, flow, new_flows[name])


def _get_credential_value(keyword: str, scheme: DocumentNode) -> str:
    """Return a value of the security scheme. HTTP schemes and header names are lower-cased, as case has no meaning."""
    value = str(scheme.get_value(keyword, ""))
    return value.lower() if keyword == "scheme" or scheme.get_value("in") == "header" else value


def _describe_credential(value_by_keyword: dict[str, str]) -> str:
    return " ".join(value for value in value_by_keyword.values() if value)


def _compare_oauth_flow(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    for key, name in (("authorizationUrl", "oauth-url"), ("tokenUrl", "oauth-token-url")):
        before, after = old_node.get_child(key), new_node.get_child(key)
        values = {"old": old_node.get_value(key), "new": new_node.get_value(key)}
        if values["old"] != values["new"]:
            yield api_part.build_change(f"api-security-component-{name}-changed", before, after, **values)
    old_scopes, new_scopes = old_node.get_child("scopes"), new_node.get_child("scopes")
    names = ([name for name, _ in node.iterate_children()] for node in (old_scopes, new_scopes))
    yield from api_part.compare_lists("api-security-component-oauth-scope", (old_scopes, new_scopes), *names)

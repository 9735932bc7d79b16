"""Compares the request bodies and the responses of two operations, including media types, headers and links."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import replace

from voicegauge.drift.contracts.api_part import ApiPart
from voicegauge.drift.contracts.document_node import DocumentNode, is_same_json
from voicegauge.drift.contracts.schemas import compare_schemas
from voicegauge.drift.report import DriftChange


def compare_request_bodies(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of the request bodies of two operations or callbacks."""
    before, after = (
        old_node.get_child("requestBody").resolve_references(),
        new_node.get_child("requestBody").resolve_references(),
    )
    nested = api_part.create_nested_part("body" if api_part.is_callback else "request body")
    if before.exists and after.exists:
        if _is_body_required(before) != _is_body_required(after):
            prefix = "callback-payload" if api_part.is_callback else "request-body"
            rule = f"{prefix}-became-{_describe_requiredness(after)}"
            yield nested.build_change(rule, before.get_child("required"), after.get_child("required"))
        yield from _compare_media_types(nested, "callback" if api_part.is_callback else "request-body", before, after)
    elif after.exists:
        yield nested.build_change(
            "callback-payload-added" if api_part.is_callback else f"request-body-added-{_describe_requiredness(after)}",
            None,
            after,
        )
    elif before.exists:
        yield nested.build_change(
            "callback-payload-removed" if api_part.is_callback else "request-body-removed", before, None
        )


def _is_body_required(body_node: DocumentNode | None) -> bool:
    return body_node is not None and body_node.get_value("required") is True


def _describe_requiredness(node: DocumentNode) -> str:
    return "required" if _is_body_required(node) else "optional"


def compare_responses(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of the responses of two operations.

    For callbacks, only the statuses are compared, because the client sends the responses.
    """
    old_responses, new_responses = _list_responses(old_node), _list_responses(new_node)
    for status in dict.fromkeys((*old_responses, *new_responses)):
        nested = api_part.create_nested_part(status)
        if status in old_responses and status in new_responses:
            if not api_part.is_callback:
                yield from _compare_response(nested, old_responses[status], new_responses[status])
            continue
        action = "added" if status in new_responses else "removed"
        kind = "success" if status.startswith("2") else "non-success"
        rule = f"callback-response-status-{action}" if api_part.is_callback else f"response-{kind}-status-{action}"
        yield nested.build_change(rule, old_responses.get(status), new_responses.get(status))


def _list_responses(operation: DocumentNode) -> dict[str, DocumentNode]:
    children = operation.get_child("responses").iterate_children()
    return {status.upper(): node.resolve_references() for status, node in children if not status.startswith("x-")}


def _compare_response(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    yield from _compare_media_types(api_part.create_nested_part(" body"), "response", old_node, new_node)
    yield from _compare_headers(api_part, old_node, new_node)
    yield from _compare_links(api_part, old_node, new_node)


def _compare_media_types(
    api_part: ApiPart, rule_id_prefix: str, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    """Yield the changes of media types and of their schemas.

    Args:
        api_part: the body.
        rule_id_prefix: the start of rule ids: "request-body", "response" or "callback".
        old_node: the node with the older `content`.
        new_node: the node with the newer `content`.
    """
    before, after = _list_media_types(old_node), _list_media_types(new_node)
    if rule_id_prefix == "response":
        yield from _match_renamed_media_types(api_part, before, after)
    body_kind = rule_id_prefix if rule_id_prefix.endswith("-body") else f"{rule_id_prefix}-body"
    has_several = len(before) > 1 or len(after) > 1
    for name in dict.fromkeys((*before, *after)):
        nested = api_part.create_nested_part(f" ({name})") if has_several else api_part
        nested = replace(nested, is_sent_as_text=not _is_json(name))
        if name not in after:
            yield nested.build_change(f"{rule_id_prefix}-media-type-removed", before[name], None, old=name)
        elif name not in before:
            yield nested.build_change(f"{rule_id_prefix}-media-type-added", None, after[name], new=name)
        else:
            yield from _compare_body_schemas(nested, body_kind, before[name], after[name])


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


def _is_json(media_type: str) -> bool:
    name = media_type.partition(";")[0]
    return name == "application/json" or name.endswith("+json")


def _match_renamed_media_types(
    api_part: ApiPart, old_media_types: dict[str, DocumentNode], new_media_types: dict[str, DocumentNode]
) -> Iterator[DriftChange]:
    """Yield a change for each media type that was replaced by a similar one.

    Media types are similar if only their parameters differ, or if one is a range such as `audio/*` that includes the
    other. In `old_media_types`, the replaced media type is renamed to its newer name, so that the caller compares the
    schemas of both.
    """
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
    """Whether a range such as `audio/*` includes a media type, or JSON a media type that ends in `+json`."""
    kind, _, subtype = general_media_type.partition("/")
    return fnmatch.fnmatchcase(specific_media_type, general_media_type) or fnmatch.fnmatchcase(
        specific_media_type, f"{kind}/*+{subtype}"
    )


def _compare_headers(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    old_headers, new_headers = _list_headers(old_node), _list_headers(new_node)
    for name in dict.fromkeys((*old_headers, *new_headers)):
        nested = api_part.create_nested_part(f" header {name}")
        before, after = old_headers.get(name), new_headers.get(name)
        if before is None:
            yield nested.build_change("response-header-added", None, after)
        elif after is None:
            yield nested.build_change(f"{_describe_requiredness(before)}-response-header-removed", before, None)
        else:
            if _is_body_required(before) != _is_body_required(after):
                yield nested.build_change(f"response-header-became-{_describe_requiredness(after)}", before, after)
            text = replace(nested, is_sent_as_text=True)
            yield from compare_schemas(text, "response-header", before.get_child("schema"), after.get_child("schema"))


def _list_headers(response: DocumentNode) -> dict[str, DocumentNode]:
    """Return the headers by lower-case name. Content-Type is left out, because OpenAPI describes it as media types."""
    children = response.get_child("headers").iterate_children()
    return {name.lower(): node.resolve_references() for name, node in children if name.lower() != "content-type"}


def _compare_links(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    old_links, new_links = (dict(node.get_child("links").iterate_children()) for node in (old_node, new_node))
    for name in dict.fromkeys((*old_links, *new_links)):
        nested = api_part.create_nested_part(f" link {name}")
        if name not in new_links:
            yield nested.build_change("response-link-removed", old_links[name], None)
        elif name not in old_links:
            yield nested.build_change("response-link-added", None, new_links[name])
        elif not is_same_json(_describe_link_target(old_links[name]), _describe_link_target(new_links[name])):
            yield nested.build_change("response-link-changed", old_links[name], new_links[name])


def _describe_link_target(link: DocumentNode) -> dict[str, object]:
    """Return the operation that a link points to and the values that it passes."""
    link = link.resolve_references()
    return {key: link.get_value(key) for key in ("operationId", "operationRef", "parameters", "requestBody")}

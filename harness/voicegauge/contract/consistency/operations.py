"""Checks the keys that any operation may have: security, links, and the `x-` keys of its examples."""

from __future__ import annotations

from typing import get_args

from voicegauge.contract.consistency.locations import check_request_location
from voicegauge.contract.contract import Contract, Operation
from voicegauge.contract.document_parts import Example
from voicegauge.contract.extension import RejectionReason
from voicegauge.formats import describe_type, escape_pointer_token, is_form, is_json

_REJECTION_REASONS = get_args(RejectionReason)


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
            return "needs x-key.id_env: the variable of the client id"
        if not any(f"{token_url}/".startswith(f"{server.url}/") for server in contract.servers.values()):
            return f"gets tokens from {token_url}, which is not on one of the servers: add it to servers, with x-name"
        return None
    if key.aws_signature is not None and key.id_variable is None:
        return "needs x-key.id_env: the variable of the access key id"
    return None if scheme.get("type") in ("apiKey", "http") else "must be apiKey, http or oauth2"


def check_list_operations(contract: Contract) -> None:
    """Check the operations in `x-provider.self_hosted`, which list the models and voices of a server.

    Raises:
        ContractError: an operation is not documented, or a speech request has no field for the listed names.
    """
    spec = contract.provider.self_hosted
    if spec is None:
        return
    lists = [
        ("models", spec.model_list),
        *((f"voices/{index}", voices) for index, voices in enumerate(spec.voice_lists)),
    ]
    for key, server_list in lists:
        if server_list is None:
            continue
        pointer = f"/x-provider/self_hosted/{key}"
        if server_list.operation_id not in contract.operations:
            reason = f"{server_list.operation_id!r} is not an operation of this document"
            raise contract.document.build_error(f"{pointer}/operation", reason)
        for operation in contract.operations.values():
            if operation.speech is not None:
                check_request_location(operation, f"{pointer}/sets", server_list.request_field_location)


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
    if example.request_example_name is not None and str(example.request_example_name) not in request_example_names:
        reason = f"x-request names {example.request_example_name!r}, which is not an example of the request"
        raise document.build_error(f"{example.pointer}/x-request", reason)

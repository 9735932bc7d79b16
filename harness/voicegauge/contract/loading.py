"""Loads contracts from files. A document that cannot be used is rejected with file, line and reason."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voicegauge.contract.consistency import check_consistency, check_references, check_schemas
from voicegauge.contract.contract import Contract, Operation
from voicegauge.contract.contract_builder import build_contract
from voicegauge.contract.documents import read_contract_document, validate_openapi
from voicegauge.contract.schemas import Schemas
from voicegauge.data_folders import find_bundled_folder, find_profiles_folder
from voicegauge.formats import Location, escape_pointer_token, read_pointer, unescape_pointer_token

MAX_CHECKED_VOICES = 4
"""Number of voices of a user's own server that are used. Some servers have hundreds, which would make a check long."""


def load_contract(path: Path) -> Contract:
    """Load and check the document at `path`.

    Raises:
        ContractError: the file cannot be read, is not a valid OpenAPI document, or does not fit the grammar of
            the `x-` keys; the message has file, line and reason.
    """
    document = read_contract_document(path)
    schemas = Schemas(document)
    check_references(schemas, document)
    if not is_bundled(path):  # the test suite validates the bundled ones; importing the validator takes 0.7 s
        check_schemas(schemas, document)
        validate_openapi(document)
    contract = build_contract(document, schemas)
    check_consistency(contract)
    return contract


def is_bundled(path: Path) -> bool:
    """Whether the document at `path` is part of voicegauge."""
    parents = path.resolve().parents
    return find_bundled_folder("contracts") in parents or find_profiles_folder() in parents


def adapt_contract_to_server(
    contract: Contract,
    *,
    model_names: Sequence[str],
    voice_names: Sequence[str],
    missing_operation_ids: Sequence[str] = (),
) -> Contract:
    """Return the contract of a server of the user's own that has these models and voices.

    Targets whose model or voice the server does not have get the first one that it has. If its voices are known,
    requests with another voice are not valid.

    Args:
        contract: a contract with `self_hosted`.
        model_names: names of the models; empty if they are not known.
        voice_names: names of the voices; empty if they are not known. At most `MAX_CHECKED_VOICES` are used, those
            that the contract names first.
        missing_operation_ids: ids of the operations that the server does not have and need not have.

    Raises:
        ContractError: a name is not one that the contract allows.
    """
    named = {target.target_spec.default_voice for target in contract.targets.values()}
    voice_names = sorted(voice_names, key=lambda voice: voice not in named)[:MAX_CHECKED_VOICES]
    document_data = copy.deepcopy(contract.document.data)
    spec = contract.provider.self_hosted
    for operation in contract.operations.values():
        if operation.speech is None or spec is None:
            continue
        for target in _read_value_at_pointer(document_data, operation.pointer)["x-speech"]["targets"].values():
            if spec.model_list is not None and model_names:
                _replace_missing_model(target, str(spec.model_list.request_field_location), model_names)
            if voice_names and target.get("voice") not in voice_names:
                target["voice"] = voice_names[0]
        if spec.model_list is not None and model_names:
            _correct_request_examples(document_data, operation, spec.model_list.request_field_location, model_names)
        if spec.voice_lists and voice_names:
            _limit_field_to_names(document_data, operation, spec.voice_lists[0].request_field_location, voice_names)
    for name in missing_operation_ids:
        path, method = (unescape_pointer_token(token) for token in contract.operations[name].pointer.split("/")[2:])
        del document_data["paths"][path][method]
    if spec is not None:
        _remove_lists_without_operation(document_data, missing_operation_ids)
    document = contract.document.replace_data(document_data)
    schemas = Schemas(document)
    adapted = build_contract(document, schemas)
    check_consistency(adapted)
    return adapted


def replace_key_variable(contract: Contract, variable_name: str) -> Contract:
    """Return a copy of `contract` that reads the server's key from the environment variable `variable_name`.

    Raises:
        ContractError: `variable_name` is not the name of an environment variable.
    """
    document_data = copy.deepcopy(contract.document.data)
    document_data["x-provider"]["key_env"] = variable_name
    document = contract.document.replace_data(document_data)
    return build_contract(document, Schemas(document))


def limit_to_listed_voices(contract: Contract) -> Contract:
    """Return the contract of a server that has only the voices in the documented examples of lists of voices.

    A contract without `self_hosted` is returned as it is.
    """
    spec = contract.provider.self_hosted
    if spec is None:
        return contract
    voices = [
        name
        for server_list in spec.voice_lists
        for response in contract.operations[server_list.operation_id].responses.values()
        for media in response.media_types.values()
        for example in media.examples
        for name in server_list.read_names(example.value)
    ]
    return (
        adapt_contract_to_server(contract, model_names=(), voice_names=tuple(dict.fromkeys(voices)))
        if voices
        else contract
    )


def _remove_lists_without_operation(document_data: dict[str, Any], missing_operation_ids: Sequence[str]) -> None:
    lists = document_data["x-provider"]["self_hosted"]
    lists["voices"] = [one for one in lists.get("voices", []) if one["operation"] not in missing_operation_ids]


def _replace_missing_model(target_data: dict[str, Any], model_location: str, model_names: Sequence[str]) -> None:
    constants = target_data.setdefault("constants", {})
    if constants.get(model_location) not in model_names:
        constants[model_location] = model_names[0]


def _limit_field_to_names(
    document_data: dict[str, Any], operation: Operation, location: Location, names: Sequence[str]
) -> None:
    """Allow only `names` in the field at `location`."""
    schemas, field = operation.schemas, location.pointer_tokens[-1]
    for media in operation.request_media.values():
        body_schema, pointer = schemas.resolve_reference(media.part_data.get("schema", {}), f"{media.pointer}/schema")
        if field not in body_schema.get("properties", {}):
            continue
        pointer = f"{pointer}/properties/{escape_pointer_token(field)}"
        schema = _read_value_at_pointer(
            document_data, schemas.resolve_reference(body_schema["properties"][field], pointer)[1]
        )
        schema["enum"] = list(names)
        document = next(iter(operation.contract.provider.sources))
        schema["x-source"] = {"document": document, "inferred": True, "note": "The server's own list."}
        schema.pop("examples", None)
    _correct_request_examples(document_data, operation, location, names)


def _correct_request_examples(
    document_data: dict[str, Any], operation: Operation, location: Location, names: Sequence[str]
) -> None:
    """Replace what documented requests have in the field at `location` if it is not among `names`."""
    field = location.pointer_tokens[-1]
    for media in operation.request_media.values():
        for example in _read_value_at_pointer(document_data, media.pointer).get("examples", {}).values():
            value = example.get("value")
            if isinstance(value, dict) and value.get(field) not in (None, *names):
                value[field] = names[0]


def _read_value_at_pointer(document_data: dict[str, Any], pointer: str) -> Any:
    return read_pointer(document_data, [unescape_pointer_token(token) for token in pointer.split("/")[1:]])

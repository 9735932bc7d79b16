"""Proposes an overlay on a provider's own document.

Only what the document states is filled in. What it does not state is marked with TODO and listed. A price is never
guessed.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from voicegauge.contract._consistency import (
    remove_contradicting_closures,
    remove_unknown_encodings,
    remove_unknown_types,
)
from voicegauge.contract._overlays import TODO, TODO_URL, apply_overlay, escape_json_path_name, select_operations
from voicegauge.contract._proposed_authentication import (
    PROPOSED_SECURITY,
    KeyProposal,
    is_transcription,
    list_server_urls,
    propose_transcription,
)
from voicegauge.contract.document_assembly import check_openapi_version
from voicegauge.contract.proposed_parts import (
    AUDIO_BODY,
    MODEL_FIELD_NAMES,
    SPEECH_FIELD_NAMES,
    CandidateOperation,
    JobProposal,
    ProposedField,
    describe_left_out_operations,
    find_field_by_name,
    find_resources,
    find_speech_field,
    find_speech_operations,
    guess_text_field,
    list_likely_speech_operations,
)
from voicegauge.errors import UsageError
from voicegauge.formats.located_yaml import (
    YAML_LOADER,
    CommentedValue,
    Document,
    escape_pointer_token,
    format_list_item,
    iterate_entry_lines,
    split_json_pointer,
)
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.model.base import Record

# Derives ids of providers, operations and targets from what a document states.


_IGNORED_TITLE_WORD_PATTERN = re.compile(r"\b(api|docs|documentation|reference|rest|specification)\b", re.IGNORECASE)


def derive_provider_id(document: Document, reserved_ids: Collection[str]) -> str:
    """Derive an id that is not reserved: api.acme.com becomes acme, or my-acme if acme is reserved."""
    name = _derive_provider_name(document)
    return f"my-{name}" if name in reserved_ids else name


def _derive_provider_name(document: Document) -> str:
    """Derive a name from the host of the first server, else from the title: api.acme.com becomes acme.

    An address of this machine or network, such as 127.0.0.1, does not name a provider.
    """
    hosts = [urlsplit(url).hostname for url in list_server_urls(document.data)]
    host = (hosts[0] or "") if hosts else ""
    parts = host.split(".")
    if len(parts) > 1 and not _is_ip_address(host):
        return convert_to_identifier(parts[-2])
    info = document.data.get("info")
    title = str(info.get("title", "") if isinstance(info, dict) else "")
    return convert_to_identifier(_IGNORED_TITLE_WORD_PATTERN.sub("", title)) or "my-provider"


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def convert_to_identifier(text: str) -> str:
    """Return small letters, digits and hyphens for a text: "XTTS v2" becomes "xtts-v2"."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def derive_name_from_path(path: str) -> str:
    """Return the last part of a path that is not a parameter, as a name."""
    parts = [convert_to_identifier(part) for part in path.split("/") if part and "{" not in part]
    return parts[-1] if parts else "speech"


# Writes the proposed overlay, and notes what a person has to complete in it.


_FORMAT_NAME_SEPARATOR_PATTERN = re.compile(r"[_.-]")
_MAX_PROPOSED_MODELS = 10
"""Maximum number of models that are proposed as targets of one operation."""
_ACTION_INDENTATION = "  "
_NOT_IN_DOCUMENT_COMMENT = f"{TODO}: not in the document"
_DESCRIPTION_BY_REJECTION_STATUS = {
    "400": "The request is invalid",
    "401": "The key is unknown",
    "404": "There is no such job",
}
_SIMILAR_STATUSES = {"400": "422", "401": "403"}
"""By the status of a rejection, another one with which services reject for the same reason."""
_Action = dict[str, Any]
"""A mapping of the overlay, with values that may have comments."""


class ProposedOperation(Record, frozen=True, kw_only=True):
    """An operation that produces speech, judged by its request and response."""

    id: str
    request: str
    """Method and path: "POST /v1/speech"."""
    line: int | None
    """Line in the document."""
    targets: tuple[str, ...]


class OverlayProposal(Record, frozen=True, kw_only=True):
    """A proposed overlay, and what a person has to complete in it."""

    provider: str
    """The proposed id of the provider."""
    overlay: str
    """The text of the overlay, in YAML."""
    operations: tuple[ProposedOperation, ...]
    todo: tuple[str, ...]
    """What the document does not state; each is marked in the overlay."""
    left_out: tuple[str, ...] = ()
    """The operations of a document, and the files, hosts and operations of recordings, that are not in the proposal,
    with the reason."""


class OverlayWriter:
    """Writes one overlay, and notes what a person has to complete."""

    def __init__(
        self,
        document: Document,
        provider_id: str,
        candidates: Sequence[CandidateOperation],
        removed_reasons: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Create a writer that has written nothing.

        Args:
            document: the provider's document.
            provider_id: the id that the overlay gives the provider.
            candidates: the operations to propose.
            removed_reasons: why something was removed from the schemas of the document, by its JSON pointer.
        """
        self._document, self._provider = document, provider_id
        self._candidates = candidates
        self._keys = KeyProposal(document, candidates)
        self._removed_reasons = removed_reasons
        self._todo: list[str] = []
        self._used_targets: set[str] = set()
        self._used_operation_ids: set[str] = set()
        self._described_jobs: set[str] = set()

    def write_overlay(self) -> OverlayProposal:
        """Write the overlay that makes each candidate a speech operation."""
        actions = [*self._iterate_root_actions(), *self._iterate_removals()]
        operations = []
        for candidate in self._candidates:
            targets = self._propose_targets(candidate)
            actions += self._iterate_operation_actions(candidate, targets)
            pointer = f"/paths/{escape_pointer_token(candidate.path)}/{candidate.method}"
            operations.append(
                ProposedOperation(
                    id=str(candidate.operation_data.get("operationId", "")),
                    request=f"{candidate.method.upper()} {candidate.path}",
                    line=self._document.find_line(pointer),
                    targets=tuple(targets),
                )
            )
        resources = ""
        for resource in find_resources(self._document):
            self._todo.append(f"whether the voices of {resource.path} are to be checked: uncomment x-resource")
            update = {"x-resource": CommentedValue(resource.extension, TODO)}
            resources += format_list_item(_build_operation_action(resource.path, "post", update), "")
        self._todo.append("prices, if you want costs: x-pricing beside x-speech")
        return OverlayProposal(
            provider=self._provider,
            overlay="".join(
                (
                    self._format_first_lines(),
                    *(format_list_item(action, _ACTION_INDENTATION) for action in actions),
                    # As comments, because a check of stored voices creates and deletes voices.
                    *(f"{_ACTION_INDENTATION}# {line}" for line in resources.splitlines(keepends=True)),
                )
            ),
            operations=tuple(operations),
            todo=tuple(dict.fromkeys(self._todo)),
        )

    def _format_first_lines(self) -> str:
        entries = {
            "overlay": "1.0.0",
            "info": {"title": f"{self._provider} as a contract", "version": format_today()},
            "extends": self._document.path.name,
        }
        return "".join(
            (
                "# Proposed by `voicegauge init`. Complete what is marked TODO; docs/contract.md explains every key.\n",
                *(line for key, value in entries.items() for line in iterate_entry_lines(key, value, "")),
                "actions:\n",
            )
        )

    def _iterate_removals(self) -> Iterator[_Action]:
        """Yield the actions that remove what is wrong in schemas: defaults that do not fit them, and unknown types."""
        pointers = dict.fromkeys(pointer for one in self._candidates for pointer in one.unfit_default_pointers)
        for pointer in pointers:
            self._todo.append(f"the default of {pointer}, which does not fit its own schema and is removed")
            yield build_removal_action(self._document, f"{pointer}/default")
        kept = [(one.path, one.method) for one in self._candidates]
        kept += [(one.job.path, "get") for one in self._candidates if one.job is not None]
        used = select_operations(self._document, kept)
        for pointer, reason in self._removed_reasons.items():
            if read_pointer(used, split_json_pointer(pointer)[:-1]) is MISSING:
                continue
            self._todo.append(f"{pointer}, which {reason} and is removed")
            yield build_removal_action(self._document, pointer)

    def _iterate_root_actions(self) -> Iterator[_Action]:
        name = self._provider
        info = self._document.data.get("info")
        title = str(info.get("title", name)) if isinstance(info, dict) else name
        variable_prefix = re.sub(r"[^A-Z0-9]", "_", name.upper())
        variable_prefix = variable_prefix if variable_prefix[:1].isalpha() else f"_{variable_prefix}"
        update: _Action = {
            "x-provider": {
                "id": name,
                "title": title,
                "key_variable": f"{variable_prefix}_API_KEY",
                "sources": {self._document.path.name: {"title": title, "date": format_today()}},
            }
        }
        if not list_server_urls(self._document.data):
            is_relative = bool(self._document.data.get("servers"))
            self._todo.append(f"the server, which the document {'names' if is_relative else 'does not name'}")
            if is_relative:  # servers of an update would be added to those of the document
                self._todo[-1] += " without its host"
                yield {"target": "$.servers", "remove": True}
            update["servers"] = CommentedValue([{"url": TODO_URL}], TODO)
        self._todo += self._keys.list_todo()
        if self._keys.has_no_scheme:
            update["security"] = CommentedValue(PROPOSED_SECURITY, f"{TODO}: and the scheme below")
        yield {"target": "$", "update": update}
        yield from self._keys.iterate_actions(variable_prefix)

    def _iterate_operation_actions(
        self, candidate: CandidateOperation, targets: Mapping[str, Any]
    ) -> Iterator[_Action]:
        if is_transcription(candidate):
            yield from self._iterate_transcription_actions(candidate, targets)
            return
        fields = candidate.request_fields
        mapped = {name: field for name in SPEECH_FIELD_NAMES if (field := find_speech_field(fields, name))}
        locations: dict[str, Any] = {name: field.location for name, field in mapped.items()}
        if "text" not in mapped:
            guessed = guess_text_field(fields)
            self._todo.append(f"the field of {candidate.path} that has the text to speak")
            locations = {"text": CommentedValue(guessed.location, TODO) if guessed else TODO, **locations}
        job = candidate.job
        response: Any
        if job is not None:
            response = {"status_operation_id": self._get_status_operation_id(job)}
        else:
            response = {"audio": candidate.audio or AUDIO_BODY}
            others = candidate.other_audio_locations
            if others:
                shown = ", ".join(others)
                self._todo.append(f"where the audio is in the response of {candidate.path}: maybe {shown}")
            if candidate.audio is None or others:
                response = CommentedValue(response, TODO)
        extension = {
            "request_fields": locations,
            "response": response,
            "targets": targets,
        }
        update = {
            **self._propose_operation_id(candidate),
            **self._propose_security(candidate),
            **self._propose_rejections(candidate, self._propose_audio_response(candidate, mapped.get("format"))),
            "x-speech": CommentedValue(
                extension, f"beside it, if you want costs: x-pricing: {{unit: 1k_characters, usd_per_unit: {TODO}}}"
            ),
        }
        yield _build_operation_action(candidate.path, candidate.method, update)
        yield from self._iterate_job_actions(job)

    def _iterate_transcription_actions(
        self, candidate: CandidateOperation, targets: Mapping[str, Any]
    ) -> Iterator[_Action]:
        proposal = propose_transcription(self._document, candidate)
        extension = (
            {**proposal.extension, "targets": targets}
            if proposal.job is None
            else {"status_operation_id": self._get_status_operation_id(proposal.job)}
        )
        self._todo += proposal.todo
        update = {
            **self._propose_operation_id(candidate),
            **self._propose_security(candidate),
            **self._propose_rejections(candidate, {}),
            proposal.key: extension,
        }
        yield _build_operation_action(candidate.path, candidate.method, update)
        yield from self._iterate_job_actions(proposal.job)

    def _iterate_job_actions(self, job: JobProposal | None) -> Iterator[_Action]:
        if job is not None and job.path not in self._described_jobs:
            self._described_jobs.add(job.path)
            yield _build_operation_action(job.path, "get", self._propose_job(job))

    def _propose_security(self, candidate: CandidateOperation) -> _Action:
        return {"security": PROPOSED_SECURITY} if self._keys.replaces_security(candidate) else {}

    def _propose_job(self, job: JobProposal) -> _Action:
        update: _Action = {}
        if not job.operation_data.get("operationId"):
            update["operationId"] = self._get_status_operation_id(job)
        missing = _build_missing_rejections(job.operation_data, "401", "404")
        if missing:
            self._todo.append(f"the rejections of {job.path}: the document does not state all")
            update["responses"] = CommentedValue(missing, _NOT_IN_DOCUMENT_COMMENT)
        self._todo += job.todo
        return {**update, "x-job": job.extension}

    def _get_status_operation_id(self, job: JobProposal) -> str:
        return str(job.operation_data.get("operationId") or convert_to_identifier(f"get {job.path}"))

    def _propose_rejections(self, candidate: CandidateOperation, other_responses: Mapping[str, Any]) -> dict[str, Any]:
        """Return `responses` with `other_responses` and the missing rejections; an empty mapping if there are none."""
        rejections = _build_missing_rejections(candidate.operation_data, "400", "401")
        if rejections:
            self._todo.append(
                f"the rejections of {candidate.path}: the document states none with status " + " and ".join(rejections)
            )
        missing = {**other_responses, **rejections}
        return {"responses": CommentedValue(missing, _NOT_IN_DOCUMENT_COMMENT)} if missing else {}

    def _propose_audio_response(
        self, candidate: CandidateOperation, format_field: ProposedField | None
    ) -> dict[str, Any]:
        """Return the success response with the media type `audio/*`, and note what has to be completed.

        The result is empty for a job, or if the document describes the audio and enough media types. `format_field` is
        the field with which a request chooses the format of the audio.
        """
        if candidate.job is not None:
            return {}
        if candidate.audio is None:
            self._todo.append(f"the audio in the response of {candidate.path}, which the document does not describe")
        elif (
            candidate.audio == AUDIO_BODY
            and format_field is not None
            and not _has_media_type_per_format(candidate.audio_media_types, format_field)
        ):
            declared = " and ".join(sorted(candidate.audio_media_types))
            self._todo.append(
                f"the media types of other formats of {candidate.path}: the document states {declared} only"
            )
        else:
            return {}
        success = next(
            (status for status in candidate.operation_data.get("responses", {}) if str(status).startswith("2")),
            "200",
        )
        return {str(success): {"content": {"audio/*": {}}}}

    def _propose_operation_id(self, candidate: CandidateOperation) -> dict[str, str]:
        """Return an `operationId` of method and path if the document has no unique one; else an empty mapping."""
        name = str(candidate.operation_data.get("operationId") or "")
        is_new = not name or name in self._used_operation_ids
        if is_new:
            name = convert_to_identifier(f"{candidate.method} {candidate.path}")
        self._used_operation_ids.add(name)
        return {"operationId": name} if is_new else {}

    def _propose_targets(self, candidate: CandidateOperation) -> dict[str, Any]:
        """Return a target for each documented model, by name; one target if no models are documented."""
        model = find_field_by_name(candidate.request_fields, MODEL_FIELD_NAMES)
        voice = find_speech_field(candidate.request_fields, "voice")
        default_voice: dict[str, str] = {}
        if voice is not None and voice.is_required and not is_transcription(candidate):
            example = _find_example_text(voice.schema)
            if example is None:
                self._todo.append(f"a voice of {candidate.path}")
            default_voice = {"default_voice": example or TODO}
        enum = model.schema.get("enum") if model is not None else None
        models = [m for m in enum if isinstance(m, str)] if isinstance(enum, list) else []
        if len(models) > _MAX_PROPOSED_MODELS:
            self._todo.append(f"{len(models) - _MAX_PROPOSED_MODELS} more models of {candidate.path}, each as a target")
        if model is not None and not models and model.is_required:
            models = [_find_example_text(model.schema) or TODO]
            self._todo.append(f"the models of {candidate.path}")
        names: list[str | None] = [*models[:_MAX_PROPOSED_MODELS]] or [None]
        targets = {}
        for name in names:
            own_name = convert_to_identifier(name) if name and name != TODO else derive_name_from_path(candidate.path)
            constants = {"request_constants": {model.location: name}} if model and name else {}
            targets[choose_unused_name(own_name, self._used_targets)] = {
                "title": name or candidate.path,
                **constants,
                **default_voice,
            }
        return targets


def choose_unused_name(name: str, used_names: set[str]) -> str:
    """Return `name`, or with a number, such as "listen-2", if it was used, and add what is returned to `used_names`."""
    numbered = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    unused = next(one for one in numbered if one not in used_names)
    used_names.add(unused)
    return unused


def build_removal_action(document: Document, pointer: str) -> _Action:
    """Return the action of an overlay of `document` that removes the value at a JSON pointer."""
    tokens, path = split_json_pointer(pointer), "$"
    for index, token in enumerate(tokens):
        is_list = isinstance(read_pointer(document.data, tokens[:index]), list)
        path += f"[{token}]" if is_list else f"['{escape_json_path_name(token)}']"
    return {"target": path, "remove": True}


def format_today() -> str:
    """Return the date of today, UTC, as sources have it."""
    return datetime.now(UTC).date().isoformat()


def _build_missing_rejections(operation_data: Mapping[str, Any], *statuses: str) -> dict[str, Any]:
    """Return the responses with those of `statuses` that an operation does not document, even as a similar status."""
    documented = operation_data.get("responses", {}).keys()
    return {
        status: {"description": _DESCRIPTION_BY_REJECTION_STATUS[status]}
        for status in statuses
        if not {status, _SIMILAR_STATUSES.get(status), "4XX", "default"} & documented
    }


def _has_media_type_per_format(media_types: Collection[str], format_field: ProposedField) -> bool:
    """Whether as many media types are documented as formats, where `mp3_44100_64` and `mp3_44100_128` are one format.

    `audio/*` and `application/octet-stream` stand for all formats. If the format field has no list of values, two media
    types are enough, because the document then distinguishes formats.
    """
    if {"audio/*", "application/octet-stream"} & {*media_types}:
        return True
    enum = format_field.schema.get("enum")
    names = [value for value in enum if isinstance(value, str)] if isinstance(enum, list) else []
    format_count = len({_FORMAT_NAME_SEPARATOR_PATTERN.split(name.lower())[0] for name in names})
    return len(media_types) >= (format_count or 2)


def _build_operation_action(path: str, method: str, update: _Action) -> _Action:
    """Return the action that adds `update` to an operation, which a JSONPath selects."""
    return {"target": f"$.paths['{escape_json_path_name(path)}'].{method}", "update": update}


def _find_example_text(field_schema: Mapping[str, Any]) -> str | None:
    """Return a text that the schema of a field gives as default, example or choice; `None` if it gives none."""
    examples = field_schema.get("examples")
    values = [
        field_schema.get("default"),
        field_schema.get("example"),
        *(examples if isinstance(examples, list) else ()),
    ]
    enum = field_schema.get("enum")
    values += enum if isinstance(enum, list) else []
    return next((value for value in values if isinstance(value, str) and value), None)


# Proposes the overlay that makes a provider's OpenAPI document a contract, for a person to complete.


_PROVIDER_ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]*")
_MAX_OPERATIONS_SHOWN = 5
"""Maximum number of likely speech operations that an error message names."""
_SPEECH_PATH_PATTERN = re.compile(r"speak|speech|tts|synthes", re.IGNORECASE)
"""Paths that certainly produce speech, even if the document describes the response wrongly."""


def check_provider_id(provider_id: str) -> None:
    """Reject a text that cannot be the id of a provider; an empty one is accepted.

    Raises:
        UsageError: it is not an id.
    """
    if provider_id and not _PROVIDER_ID_PATTERN.fullmatch(provider_id):
        raise UsageError(f"{provider_id!r} is not a provider id: use small letters, digits and hyphens")


def propose_overlay(
    document: Document,
    *,
    provider_id: str = "",
    operation_names: Sequence[str] = (),
    reserved_ids: Collection[str] = (),
) -> OverlayProposal:
    """Propose an overlay for an OpenAPI document.

    Args:
        document: the whole document.
        provider_id: id of the provider; by default derived from the first server.
        operation_names: paths or operation ids to propose; by default all whose request has a text and whose response
            has audio.
        reserved_ids: ids that other contracts have; a derived id that is one of them gets "my-" in front.

    Raises:
        UsageError: no such operation was found, or `provider_id` is not an id.
        UnknownNameError: the document does not have one of `operation_names`.
        ContractError: the document has another version of OpenAPI, or is not valid in a part that matters.
    """
    check_provider_id(provider_id)
    check_openapi_version(document)
    removed = {
        **dict.fromkeys(remove_unknown_types(document), "is not a type of JSON"),
        **dict.fromkeys(remove_unknown_encodings(document), "is not a content encoding"),
        **dict.fromkeys(remove_contradicting_closures(document), "forbids what the rest of its allOf describes"),
    }
    candidates = list(find_speech_operations(document, operation_names))
    found = [c for c in candidates if c.audio or c.job] or [
        c for c in candidates if operation_names or _SPEECH_PATH_PATTERN.search(c.path)
    ]
    if not found:
        wanted = f" among {', '.join(operation_names)}" if operation_names else ""
        likely = [f"{method.upper()} {path}" for path, method in list_likely_speech_operations(document)]
        shown = f" ({', '.join(likely[:_MAX_OPERATIONS_SHOWN])})" if likely else ""
        hint = "" if operation_names else f"name one with --operation{shown}, or "
        raise UsageError(
            f"{document.path}: no operation{wanted} with a text in its request and audio or a job in its response; "
            f"{hint}write x-speech by hand as docs/contract.md describes"
        )
    provider_id = provider_id or derive_provider_id(document, reserved_ids)
    proposal = OverlayWriter(document, provider_id, found, removed).write_overlay()
    left_out = describe_left_out_operations(document, operation_names, found)
    return msgspec.structs.replace(proposal, left_out=left_out)


# Proposes a whole contract for a document that was inferred, so that there is no official document to extend.


def propose_contract(
    document: Document,
    *,
    provider_id: str = "",
    operation_names: Sequence[str] = (),
    reserved_ids: Collection[str] = (),
) -> OverlayProposal:
    """Propose a contract as one document: `document` with the keys of the overlay that `propose_overlay` returns.

    Args:
        document: the inferred document; its path names where it comes from.
        provider_id: id of the provider; by default derived from the server.
        operation_names: operation ids to propose.
        reserved_ids: ids that other contracts have; a derived id that is one of them gets "my-" in front.

    Raises:
        UsageError: as `propose_overlay` raises it.
    """
    proposal = propose_overlay(
        document, provider_id=provider_id, operation_names=operation_names, reserved_ids=reserved_ids
    )
    data = yaml.load(proposal.overlay, Loader=YAML_LOADER)  # noqa: S506 - a safe loader
    overlay = Document(document.path, data, {}, document.sha256)
    whole = apply_overlay(overlay, document).data
    order = ("openapi", "info", "servers", "security", "x-provider", "paths", "components")
    text = yaml.safe_dump(
        {key: whole[key] for key in order if key in whole}, sort_keys=False, allow_unicode=True, width=120
    )
    comment = [
        f"# Proposed by `voicegauge init` from {document.path.name!r}; everything is inferred.",
        "# docs/contract.md explains every key. Complete, and correct where needed:",
        *(f"# - {item}" for item in proposal.todo),
    ]
    return msgspec.structs.replace(proposal, overlay="\n".join(comment) + f"\n{text}")

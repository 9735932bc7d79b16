"""Compares documents and recordings of an API, proposes contracts for them, and converts recordings."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

import voicegauge.api.progress  # noqa: F401 - notebooks show results as their summaries
from voicegauge.api.calls import create_keyword_function, run_coroutine
from voicegauge.api.local_requests import ConvertRequest, DriftRequest, OfficialDriftRequest
from voicegauge.api.target_selection import ContractsOrFolders, load_contracts, to_catalogue, to_name_tuple
from voicegauge.client.keys import read_secrets
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import is_asyncapi_file, read_openapi_document
from voicegauge.contract.loading import Catalogue, load_catalogue
from voicegauge.contract.overlay_proposal import OverlayProposal
from voicegauge.contract.proposals import propose_overlay as propose_overlay_of
from voicegauge.contract.proposals import propose_socket_overlay
from voicegauge.drift import document_comparison
from voicegauge.drift.contract_patch import ContractPatch
from voicegauge.drift.document_comparison import (
    OfficialSource,
    compare_inputs,
    compare_with_official_document,
    find_official_source,
)
from voicegauge.drift.drift_report import ComparedInput, DriftReport, OfficialComparison, OfficialDriftReport
from voicegauge.emulator.process import is_emulated
from voicegauge.errors import ContractError, DataError, UsageError, VoicegaugeError
from voicegauge.files import require_files_in_folder, write_file
from voicegauge.formats.located_yaml import MAX_DOCUMENT_BYTES, Document
from voicegauge.model.base import Provenance
from voicegauge.options import PathLike, with_checked_arguments
from voicegauge.recording.document_inference import infer_api
from voicegauge.recording.foreign_recordings import (
    Conversion,
    ConvertedFile,
    ImportedRecording,
    ImportRemark,
    UnconvertedFile,
    group_rejected_requests,
    import_recording,
    is_recording,
    read_recorded_exchanges,
    save_vcr_cassette,
)
from voicegauge.recording.har_files import load_har, save_har
from voicegauge.recording.masking import mask_record
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.transport.http import download

# Finds what changed between two descriptions or recordings of an API.


def run_find_drift(request: DriftRequest) -> DriftReport:
    """Find what changed from `old` to `new`, and whether it breaks clients.

    >>> report = voicegauge.find_drift("pixelapi", "pixelapi")
    >>> report.changes
    ()

    Returns:
        The breaking, possibly breaking and compatible changes.

    Raises:
        UsageError: `old` or `new` is not something that can be compared, or the two cannot be compared with each other.
        ContractError: a contract cannot be used.
        DataError: a recording cannot be used.
    """
    folders, sources = (
        [Path(folder) for folder in request.contracts],
        [str(source) for source in request.client_use_paths],
    )
    return compare_inputs(str(request.old), str(request.new), folders, sources)


find_drift = create_keyword_function(DriftRequest, run_find_drift, name="find_drift")


def propose_contract_patch(
    contract: PathLike, recordings: PathLike, *, contracts: Sequence[PathLike] = ()
) -> tuple[DriftReport, ContractPatch]:
    """Find behavior in recorded traffic that the contract does not describe, and propose additions to the contract.

    Args:
        contract: an OpenAPI document, or the id of a provider.
        recordings: a HAR file, or a folder of HAR files.
        contracts: folders of your own contracts.

    Returns:
        The changes, and a proposal whose `patch()` is a unified diff of the contract.

    Raises:
        UsageError: `contract` is not a contract, or `recordings` is not a recording.
        ContractError: the contract cannot be used.
        DataError: the recording cannot be used, or was recorded from another provider.
    """
    return document_comparison.propose_contract_patch(
        str(contract), str(recordings), [Path(folder) for folder in contracts]
    )


def run_find_official_drift(request: OfficialDriftRequest) -> OfficialDriftReport:
    """Compare contracts with the official documents that they were written from.

    Returns:
        One comparison for each contract. If the document that a contract names cannot be used, the
        `unreadable_reason` of the comparison says why.

    Raises:
        UsageError: a provider is unknown or its contract names no official document, or `official_document` is a file
            without exactly one provider, a folder without documents, or a URL that cannot be used.
        ContractError: a contract or `official_document` cannot be used.
        TransportError: `official_document` cannot be downloaded.
    """
    official_document, providers = request.official_document, request.providers
    if official_document is not None and Path(official_document).is_dir():
        return _compare_with_folder(Path(official_document), request)
    if official_document is not None and len(providers) != 1:
        raise UsageError("an official document can be given for one provider only: name that provider")
    if official_document is not None and "://" not in str(official_document) and not Path(official_document).is_file():
        raise UsageError(f"{official_document} is not a file: name the downloaded document, or its https URL")
    catalogue = load_contracts(request.contracts)
    selected = [catalogue.find_provider(name) for name in dict.fromkeys(providers)] or list(catalogue)
    comparisons = []
    for contract in selected:
        document = find_official_source(contract, None if official_document is None else str(official_document))
        if document is not None:
            compare = (
                _compare_with_document_named_in_contract
                if official_document is None
                else _compare_with_official_document
            )
            comparisons.append(compare(contract, document))
            request.on_comparison(comparisons[-1])
        elif providers:
            raise UsageError(
                f"{contract.id}: no source of the contract has an openapi_url: name the document with --from"
            )
    return OfficialDriftReport(comparisons=tuple(comparisons))


find_official_drift = create_keyword_function(OfficialDriftRequest, run_find_official_drift, name="find_official_drift")


_DOCUMENT_FILE_SUFFIXES = (".yaml", ".yml", ".json")
"""Suffixes of official documents in a folder; an earlier one takes precedence."""


def _compare_with_folder(folder: Path, request: OfficialDriftRequest) -> OfficialDriftReport:
    """Compare the contracts whose official documents are in `folder`, each named by the id of its provider.

    Raises:
        UsageError: a provider is unknown, or the folder has no document of the named or of any provider.
        ContractError: a contract or a document cannot be used.
        DataError: a document is a link out of the folder.
    """
    catalogue = load_contracts(request.contracts)
    names = list(dict.fromkeys(request.providers))
    comparisons = []
    for contract in [catalogue.find_provider(name) for name in names] or catalogue:
        paths = (folder / f"{contract.id}{suffix}" for suffix in _DOCUMENT_FILE_SUFFIXES)
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            require_files_in_folder([path], folder)
        document = find_official_source(contract, str(path)) if path is not None else None
        if document is not None:
            comparisons.append(_compare_with_official_document(contract, document))
        elif names:
            raise UsageError(f"{folder} has no document of {contract.id}: name it {contract.id}.yaml or .json")
    if not comparisons:
        raise UsageError(f"{folder} has no document of a provider: name each by its provider's id, as deepgram.yaml")
    return OfficialDriftReport(comparisons=tuple(comparisons))


def _compare_with_official_document(contract: Contract, document: OfficialSource) -> OfficialComparison:
    if "://" not in document.url:
        return compare_with_official_document(contract, document, Path(document.url))
    with tempfile.TemporaryDirectory(prefix="voicegauge-") as folder:
        path = download_document(document.url, folder)
        try:
            return compare_with_official_document(contract, document, path)
        except ContractError as error:
            if error.path != path:
                raise
            # The temporary file is gone when the error is read: the user knows the document by its URL.
            raise ContractError(document.url, error.line, error.reason) from error


def _compare_with_document_named_in_contract(contract: Contract, document: OfficialSource) -> OfficialComparison:
    """Compare a contract with the document that it names; if that cannot be used, the result says why."""
    try:
        return _compare_with_official_document(contract, document)
    except VoicegaugeError as error:
        info = contract.document.data.get("info", {})
        return OfficialComparison(
            provider=contract.id,
            source_name=document.name,
            url=document.url,
            contract=ComparedInput(
                file=str(contract.document.path),
                title=str(info.get("title", "")),
                version=str(info.get("version", "")),
                provider=contract.id,
            ),
            unreadable_reason=str(error),
        )


# Proposes a contract for a document or for recordings (`init`).


_MAX_DOWNLOAD_FILE_NAME_CHARACTERS = 100
"""Number of characters at the end of the name in a URL that become the name of the file."""


@with_checked_arguments
def propose_overlay(document: PathLike, *, provider: str = "", operations: str | Sequence[str] = ()) -> OverlayProposal:
    """Propose the OpenAPI Overlay that makes a provider's OpenAPI or AsyncAPI document a contract.

    Args:
        document: path of the document.
        provider: id of the provider; by default derived from the document's first server or title, with "my-" in front
            if a bundled contract has that id.
        operations: paths or operation ids to propose; by default all whose request has a text and whose response has
            audio.

    Returns:
        The text of the overlay, and what the document does not state. `extends` names the document without its folder,
        so the overlay belongs beside it.

    Raises:
        ContractError: the document cannot be read.
        UsageError: the document has no such operation.
    """
    if is_asyncapi_file(Path(document)):
        if operations:
            raise UsageError("--operation is for OpenAPI documents: all channels of an AsyncAPI document are proposed")
        reserved_ids = _list_bundled_provider_ids()
        return propose_socket_overlay(Path(document), provider_id=provider, reserved_ids=reserved_ids)
    return propose_overlay_of(
        read_openapi_document(Path(document)),
        provider_id=provider,
        operation_names=to_name_tuple(operations),
        reserved_ids=_list_bundled_provider_ids(),
    )


def propose_contract(recordings: PathLike, *, provider: str = "", host: str = "") -> OverlayProposal:
    """Propose a contract for the API that recordings show. Everything in it is inferred.

    Args:
        recordings: a HAR file, a cassette, or a folder of them.
        provider: id of the provider; by default derived from the host, with "my-" in front if a bundled contract has
            that id.
        host: the host whose API is described; by default that of the first recorded speech request.

    Returns:
        The proposal: in `overlay` the text of a whole contract, then what the recordings do not show, and which
        requests were left out.

    Raises:
        DataError: there is no recording, or none of a speech request to the host.
    """
    path = Path(recordings).resolve()
    recorded = read_recorded_exchanges(path)
    if not recorded.exchanges:
        raise DataError(f"{recordings}: contains no exchange: record a speech request first")
    api = infer_api(recorded.exchanges, path.name, datetime.now(UTC).date().isoformat(), host)
    digest = hashlib.sha256(msgspec.json.encode(api.document)).hexdigest()
    document = Document(path, api.document, {}, digest)
    proposal = propose_overlay_of(
        document,
        provider_id=provider,
        operation_names=api.speech_operation_ids,
        reserved_ids=_list_bundled_provider_ids(),
        is_inferred=True,
    )
    proposed = {operation.id for operation in proposal.operations}
    undescribed = [
        f"{name}: its request or response could not be described"
        for name in api.speech_operation_ids
        if name not in proposed
    ]
    return msgspec.structs.replace(
        proposal, left_out=(*recorded.unreadable_item_messages, *api.undescribed_call_messages, *undescribed)
    )


def _list_bundled_provider_ids() -> frozenset[str]:
    return frozenset(load_catalogue().provider_ids)


def download_document(url: str, folder: PathLike = ".") -> Path:
    """Download a provider's OpenAPI document, without changing it.

    Args:
        url: https URL of the document. Redirects to https are followed.
        folder: folder to write to. The file has the name in the URL, in which unusual characters are replaced, and
            gets a suffix if that name has none of a document.

    Returns:
        The written file.

    Raises:
        UsageError: the URL cannot be used, the file exists already, or the response is not a document.
        TransportError: the document cannot be downloaded, or is larger than 16 MiB.
    """
    # The name must be neither hidden nor an option of the next command; its end has the suffix.
    name = re.sub(r"[^A-Za-z0-9._-]", "-", urlsplit(url).path.rpartition("/")[2]).lstrip(".-")[
        -_MAX_DOWNLOAD_FILE_NAME_CHARACTERS:
    ]
    # Looked at before the download, which may be large, and again below: the name may get a suffix that depends on the
    # response.
    if name and (Path(folder) / name).exists():
        raise UsageError(f"{Path(folder) / name} exists already: pass the file instead of its URL, or delete it")
    response = run_coroutine(download(url, max_bytes=MAX_DOCUMENT_BYTES))
    is_json = response.body.lstrip()[:1] in (b"{", b"[")
    if Path(name).suffix.lower() not in (".json", ".yaml", ".yml"):
        name = f"{name or 'openapi'}.{'json' if is_json else 'yaml'}"
    path = Path(folder) / name
    if path.exists():
        raise UsageError(f"{path} exists already: pass the file instead of its URL, or delete it")
    if response.body.lstrip()[:1] == b"<":
        raise UsageError(
            f"{url.partition('?')[0]}: is a web page, not an OpenAPI document: use the URL of the file itself"
        )
    write_file(path, response.body)
    return path


# Converts recordings of other tools to HAR files, and recordings to VCR cassettes.


RecordingFormat = Literal["har", "vcr"]
"""A recording of voicegauge, or a cassette of vcrpy."""
SUFFIX_BY_RECORDING_FORMAT: Mapping[RecordingFormat, str] = {"har": ".har", "vcr": ".yaml"}

_RECORDING_FILE_SUFFIXES = (".har", ".json", ".yaml", ".yml")
"""Suffixes of the files that may be recordings, in lower case. Other files of a folder are ignored."""


@with_checked_arguments
def convert(
    file: PathLike,
    *,
    provider: str | None = None,
    output_format: RecordingFormat = "har",
    out: PathLike = ".",
    names_to_mask: Sequence[str] = (),
    names_to_keep: Sequence[str] = (),
    base_urls: Mapping[str, str] | None = None,
    contracts: ContractsOrFolders = (),
) -> ConvertedFile:
    """Convert a recording of another tool to a HAR file, or any recording to a VCR cassette. Keys are masked.

    Args:
        file: a cassette of vcrpy, Ruby VCR or betamax, a HAR file of a browser or proxy, a tape of huggingface.js, or
            a recording of voicegauge.
        provider: id of the recorded provider; `None` for a recording of voicegauge, which names it.
        output_format: "har", or "vcr" for a cassette that vcrpy reads.
        out: folder to write to; the file keeps its name with another suffix.
        names_to_mask: further names of fields, parameters and headers whose values are masked.
        names_to_keep: names whose values are not masked, although the contract does not document them.
        base_urls: URLs at which the provider was recorded if they differ from the contract's servers, by server name;
            `None` if none does.
        contracts: loaded contracts, or folders of your own.

    Returns:
        The written file, with remarks about what was left out.

    Raises:
        UsageError: the output file exists already, or the provider must be named.
        UnknownNameError: there is no such provider.
        DataError: the file cannot be converted.
    """
    redaction = RedactionSettings(names_to_mask=names_to_mask, names_to_keep=names_to_keep)
    return _RecordingConverter(
        to_catalogue(contracts), provider, output_format, Path(out), redaction, base_urls or {}
    ).convert(Path(file), Path(file).stem)


def run_convert(request: ConvertRequest) -> Conversion:
    """Convert files and whole folders. A file that cannot be converted does not stop the conversion of the others.

    Returns:
        The written files, those of which nothing was converted, and what was left out.

    Raises:
        UsageError: there is only one file, whose output exists already, or the provider must be named.
        UnknownNameError: there is no such provider.
        DataError: there is only one file, and it cannot be converted; or a folder has no file that may be a recording.
    """
    converter = _RecordingConverter(
        to_catalogue(request.contracts),
        request.provider,
        request.output_format,
        Path(request.out),
        RedactionSettings(names_to_mask=request.names_to_mask, names_to_keep=request.names_to_keep),
        request.base_urls,
    )
    inputs = [one for path in request.paths for one in _list_input_files_with_output_stems(Path(path))]
    converted: list[ConvertedFile] = []
    unconverted: list[UnconvertedFile] = []
    remarks: list[tuple[str, ImportRemark]] = []
    for file, name in inputs:
        try:
            one = converter.convert(file, name)
        except (DataError, UsageError) as error:
            if len(inputs) == 1:
                raise
            rejected = error.remarks if isinstance(error, _NothingConvertedError) else ()
            reason = str(error).removeprefix(f"{file}: ")
            unconverted.append(UnconvertedFile(path=str(file), reason=reason, rejected_request_count=len(rejected)))
            remarks += [(str(file), remark) for remark in rejected]
            continue
        converted.append(one)
        remarks += [(one.input_path, remark) for remark in one.remarks]
        if request.on_file_converted is not None:
            request.on_file_converted(one)
    return Conversion(
        converted_files=tuple(converted),
        unconverted_files=tuple(unconverted),
        rejected_requests=group_rejected_requests(remarks),
    )


convert_all = create_keyword_function(ConvertRequest, run_convert, name="convert_all")


def _list_input_files_with_output_stems(path: Path) -> list[tuple[Path, str]]:
    """Return a file, or the files of a folder that may be recordings, each with the stem of its output file's name."""
    if not path.is_dir():
        return [(path, path.stem)]
    files = sorted(
        file for file in path.rglob("*") if file.suffix.lower() in _RECORDING_FILE_SUFFIXES and file.is_file()
    )
    if not files:
        raise DataError(f"{path}: has no file that may be a recording ({', '.join(_RECORDING_FILE_SUFFIXES)})")
    require_files_in_folder(files, path)
    # Files of the same name in several folders need outputs of different names.
    return [(file, "-".join((*file.relative_to(path).parent.parts, file.stem))) for file in files]


class _NothingConvertedError(DataError):
    """Raised if a file could be read, but none of its requests can be converted."""

    def __init__(self, message: str, remarks: tuple[ImportRemark, ...]) -> None:
        super().__init__(message)
        self.remarks = remarks


@dataclass(frozen=True)
class _RecordingConverter:
    """Converts files to one format, with the options of one command."""

    catalogue: Catalogue
    provider: str | None
    """Id of the provider of recordings of other tools; `None` if the user names none."""
    output_format: RecordingFormat
    out_folder: Path
    redaction: RedactionSettings
    """Which names are masked, and which are left."""
    base_urls: Mapping[str, str]
    """URLs at which the provider was recorded, by server name."""

    def __post_init__(self) -> None:
        if self.provider is not None:  # recordings of voicegauge do not need it, but an unknown one is a mistake
            self.catalogue.find_provider(self.provider)

    def convert(self, file: Path, output_stem: str) -> ConvertedFile:
        """Convert one file. The output file is named `output_stem`, with the suffix of the output format."""
        written = self.out_folder / f"{output_stem}{SUFFIX_BY_RECORDING_FORMAT[self.output_format]}"
        if written.exists():
            raise UsageError(f"{written} exists already: choose another folder with --out")
        if is_recording(file):
            return self._convert_own_recording(file, written)
        if self.provider is None:
            raise UsageError(f"{file}: name the provider that was recorded with --provider")
        contract = self.catalogue.find_provider(self.provider)
        imported_recording = import_recording(file, contract, dict(self.base_urls))
        # A path, a host or the name of a header may contain the key of the same recording.
        secrets = (*read_secrets(contract), *imported_recording.secrets)
        imported_recording = msgspec.structs.replace(
            imported_recording, secrets=secrets, remarks=mask_record(imported_recording.remarks, secrets)
        )
        if not imported_recording.exchanges:
            reasons = "; ".join(dict.fromkeys(remark.message for remark in imported_recording.remarks)) or "it is empty"
            message = f"{file}: {imported_recording.file_format}, but nothing in it can be imported: {reasons}"
            raise _NothingConvertedError(message, imported_recording.remarks)
        return self._convert_foreign_recording(file, written, imported_recording, contract)

    def _convert_own_recording(self, file: Path, out_file: Path) -> ConvertedFile:
        recording = load_har(file)
        if self.output_format == "har":
            raise UsageError(f"{file} is a recording of voicegauge already: --to vcr writes a cassette of it")
        contract = self.catalogue.find_provider(recording.provider)
        redaction = msgspec.structs.replace(self.redaction, secrets=read_secrets(contract))
        recording = save_vcr_cassette(out_file, recording, contract=contract, redaction=redaction)
        return _build_converted_file(file, "a recording of voicegauge", out_file, recording, ())

    def _convert_foreign_recording(
        self, file: Path, out_file: Path, imported_recording: ImportedRecording, contract: Contract
    ) -> ConvertedFile:
        recorded_at, remarks = _read_recording_time(file, imported_recording)
        redaction = msgspec.structs.replace(self.redaction, secrets=imported_recording.secrets)
        provenance = _determine_provenance(imported_recording)
        if self.output_format == "har":
            recording = save_har(
                out_file,
                imported_recording.exchanges,
                provenance=provenance,
                contract=contract,
                redaction=redaction,
                recorded_at=recorded_at,
            )
        else:
            read = Recording(
                provenance=provenance,
                provider=contract.id,
                contract_version=contract.version,
                contract_sha256=contract.document.sha256,
                recorded_at=recorded_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
                exchanges=imported_recording.exchanges,
            )
            recording = save_vcr_cassette(out_file, read, contract=contract, redaction=redaction)
        return _build_converted_file(file, imported_recording.file_format, out_file, recording, remarks)


def _determine_provenance(imported_recording: ImportedRecording) -> Provenance:
    """Return `EMULATED` if any response came from the emulator, whichever tool recorded it, otherwise `RECORDED`."""
    emulated = any(map(is_emulated, imported_recording.exchanges))
    return Provenance.EMULATED if emulated else Provenance.RECORDED


def _read_recording_time(
    file: Path, imported_recording: ImportedRecording
) -> tuple[dt.datetime, tuple[ImportRemark, ...]]:
    """Return the time at which `file` was recorded, and all remarks about its conversion.

    If the content of the file does not state the time, the modification time of the file is returned, and a further
    remark says so.
    """
    if imported_recording.recorded_at is not None:
        return imported_recording.recorded_at, imported_recording.remarks
    when = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
    message = "the file does not hold a time of recording: its modification time is used, so its age may be wrong"
    return when, (
        *imported_recording.remarks,
        ImportRemark(interaction_number=0, method_and_url="the whole file", is_imported=True, message=message),
    )


def _build_converted_file(
    file: Path, original_format: str, out_file: Path, recording: Recording, remarks: tuple[ImportRemark, ...]
) -> ConvertedFile:
    return ConvertedFile(
        input_path=str(file),
        original_format=original_format,
        output_path=str(out_file),
        provenance=recording.provenance,
        recorded_at=recording.recorded_at,
        exchange_count=len(recording.exchanges),
        rejected_request_count=sum(not remark.is_imported for remark in remarks),
        remarks=remarks,
        redaction_counts=recording.redaction_count_by_location,
    )

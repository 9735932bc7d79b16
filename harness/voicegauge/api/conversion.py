"""Converts recordings of other tools to HAR files, and recordings to VCR cassettes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from voicegauge.api.calls import function_of
from voicegauge.api.local_requests import ConvertRequest
from voicegauge.api.target_selection import ContractsOrFolders, to_catalogue
from voicegauge.client.keys import read_secrets
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import Catalogue
from voicegauge.emulator.process import is_emulated
from voicegauge.errors import DataError, UsageError
from voicegauge.files import require_files_in_folder
from voicegauge.model.base import Provenance
from voicegauge.options import PathLike, with_checked_arguments
from voicegauge.recording.foreign_recordings import (
    Conversion,
    ConvertedFile,
    ImportedRecording,
    ImportRemark,
    UnconvertedFile,
    group_rejected_requests,
    import_recording,
    is_recording,
    save_vcr_cassette,
)
from voicegauge.recording.har_files import load_har, save_har
from voicegauge.recording.masking import mask_record
from voicegauge.recording.recorded_exchanges import Recording

RecordingFormat = Literal["har", "vcr"]
SUFFIX_BY_RECORDING_FORMAT: Mapping[RecordingFormat, str] = {"har": ".har", "vcr": ".yaml"}

_INPUT_SUFFIXES = (".har", ".json", ".yaml", ".yml")
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
        provider: id of the recorded provider; needed for files of other tools.
        output_format: "har", or "vcr" for a cassette that vcrpy reads.
        out: folder to write to; the file keeps its name with another suffix.
        names_to_mask: further names of fields, parameters and headers whose values are masked.
        names_to_keep: names whose values are not masked, although the contract does not document them.
        base_urls: URLs at which the provider was recorded if they differ from the contract's servers, by server name.
        contracts: loaded contracts, or folders of your own.

    Returns:
        The written file, with remarks about what was left out.

    Raises:
        UsageError: the output file exists already, or the provider must be named.
        DataError: the file cannot be converted.
    """
    return _Converter(
        to_catalogue(contracts), provider, output_format, Path(out), names_to_mask, names_to_keep, base_urls or {}
    ).convert(Path(file), Path(file).stem)


def run_convert(request: ConvertRequest) -> Conversion:
    """Convert files and whole folders. A file that cannot be converted does not stop the conversion of the others.

    Returns:
        The written files, those of which nothing was converted, and what was left out.

    Raises:
        UsageError: there is only one file, whose output exists already, or the provider must be named.
        DataError: there is only one file, and it cannot be converted; or a folder has no file that may be a recording.
    """
    converter = _Converter(
        to_catalogue(request.contracts),
        request.provider,
        request.output_format,
        Path(request.out),
        request.names_to_mask,
        request.names_to_keep,
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


convert_all = function_of(ConvertRequest, run_convert, name="convert_all")


def _list_input_files_with_output_stems(path: Path) -> list[tuple[Path, str]]:
    """Return a file, or the files of a folder that may be recordings, each with the stem of its output file's name."""
    if not path.is_dir():
        return [(path, path.stem)]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _INPUT_SUFFIXES and file.is_file())
    if not files:
        raise DataError(f"{path}: has no file that may be a recording ({', '.join(_INPUT_SUFFIXES)})")
    require_files_in_folder(files, path)
    return [(file, "-".join((*file.relative_to(path).parent.parts, file.stem))) for file in files]


class _NothingConvertedError(DataError):
    """Raised if a file could be read, but none of its requests can be converted."""

    def __init__(self, message: str, remarks: tuple[ImportRemark, ...]) -> None:
        super().__init__(message)
        self.remarks = remarks


@dataclass(frozen=True)
class _Converter:
    """Converts files to one format, with the options of one command."""

    catalogue: Catalogue
    provider: str | None
    output_format: RecordingFormat
    out_folder: Path
    names_to_mask: Sequence[str]
    names_to_keep: Sequence[str]
    base_urls: Mapping[str, str]

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
        recording = save_vcr_cassette(
            out_file,
            recording,
            contract=contract,
            secrets=read_secrets(contract),
            names_to_mask=self.names_to_mask,
            names_to_keep=self.names_to_keep,
        )
        return _build_converted_file(file, "a recording of voicegauge", out_file, recording, ())

    def _convert_foreign_recording(
        self, file: Path, out_file: Path, imported_recording: ImportedRecording, contract: Contract
    ) -> ConvertedFile:
        recorded_at, remarks = _read_recording_time(file, imported_recording)
        keys = imported_recording.secrets
        provenance = _determine_provenance(imported_recording)
        if self.output_format == "har":
            recording = save_har(
                out_file,
                imported_recording.exchanges,
                provenance=provenance,
                contract=contract,
                secrets=keys,
                names_to_mask=self.names_to_mask,
                names_to_keep=self.names_to_keep,
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
            recording = save_vcr_cassette(
                out_file,
                read,
                contract=contract,
                secrets=keys,
                names_to_mask=self.names_to_mask,
                names_to_keep=self.names_to_keep,
            )
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

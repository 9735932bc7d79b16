"""`voicegauge convert`: recordings of other tools into ours, and ours into a VCR cassette."""

from __future__ import annotations

import datetime as dt
import functools
import os
from collections.abc import Sequence
from pathlib import Path

import click

from voicegauge.cli.console import console, write_json
from voicegauge.cli.options import OutputFolder, base_url_option, contracts_option, json_option
from voicegauge.contract import Catalogue, Contract, load_catalogue
from voicegauge.errors import DataError, UsageError
from voicegauge.model import Provenance, Record
from voicegauge.recording import Recording, load_har, save_har, save_vcr_cassette
from voicegauge.recording.importing import ImportedRecording, ImportRemark, import_recording, is_recording

_SUFFIXES = {"har": ".har", "vcr": ".yaml"}


class Converted(Record, frozen=True, kw_only=True):
    """What became of one file."""

    file: str
    format: str
    """What it was, in words."""
    written: str
    provenance: Provenance
    recorded_at: str
    """UTC, ISO 8601."""
    exchanges: int
    left_out: int
    remarks: tuple[ImportRemark, ...]
    redactions: dict[str, int]
    """Places in which something was masked, with how often."""


class Conversion(Record, frozen=True, kw_only=True):
    """All that `voicegauge convert --json` writes."""

    schema: str = "voicegauge/convert/2"
    files: tuple[Converted, ...]


@click.command("convert")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--provider", metavar="ID", help="Whose API a file of another tool is a recording of.")
@click.option(
    "--to",
    "form",
    type=click.Choice(list(_SUFFIXES)),
    default="har",
    show_default=True,
    help="A recording of voicegauge, or a VCR cassette as vcrpy reads it.",
)
@click.option(
    "--out",
    type=OutputFolder(),
    default=Path(),
    metavar="DIR",
    help="Folder to write to, a file of the same name each; here, if left out.",
)
@click.option(
    "--mask", multiple=True, metavar="NAME", help="Mask this field, parameter or header too. May be repeated."
)
@functools.partial(base_url_option, help="Where the provider was reached, if elsewhere. May be repeated.")
@contracts_option
@json_option
def command(
    *,
    files: tuple[Path, ...],
    provider: str | None,
    form: str,
    out: Path,
    mask: tuple[str, ...],
    base_url: dict[str, str],
    contracts: tuple[Path, ...],
    json_to: str | None,
) -> None:
    """Turn recordings of other tools into ours, and ours into a VCR cassette.

    FILES are cassettes of vcrpy, Ruby VCR or betamax, HAR files of browsers and proxies,
    tapes of huggingface.js, or recordings of voicegauge. Keys are masked on the way; what
    cannot be taken over is said, one line each.
    """
    job = _Job(load_catalogue(contracts), provider, form, out, mask, base_url)
    done = []
    for file in files:
        converted = job.convert(file)
        done.append(converted)
        if json_to != "-":
            _print(converted)
    if json_to:
        write_json(Conversion(files=tuple(done)), json_to)


class _Job:
    """Settings of one call."""

    def __init__(
        self,
        catalogue: Catalogue,
        provider: str | None,
        form: str,
        out: Path,
        mask: Sequence[str],
        base_urls: dict[str, str],
    ) -> None:
        self._catalogue, self._provider, self._form = catalogue, provider, form
        self._out, self._mask, self._base_urls = out, mask, base_urls

    def convert(self, file: Path) -> Converted:
        """Read `file`, write what it comes to, and say what is lost."""
        written = self._out / f"{file.stem}{_SUFFIXES[self._form]}"
        if written.exists():
            raise UsageError(f"{written} is there already: name another folder with --out")
        if is_recording(file):
            return self._own(file, written)
        if self._provider is None:
            raise UsageError(f"{file}: name the provider it is a recording of with --provider")
        contract = self._catalogue.provider(self._provider)
        imported = import_recording(file, contract, self._base_urls)
        if not imported.exchanges:
            reasons = "; ".join(dict.fromkeys(remark.message for remark in imported.remarks)) or "it is empty"
            raise DataError(f"{file}: {imported.format}, but nothing in it can be imported: {reasons}")
        return self._foreign(file, written, imported, contract)

    def _own(self, file: Path, written: Path) -> Converted:
        recording = load_har(file)
        if self._form == "har":
            raise UsageError(f"{file} is a recording of voicegauge already: --to vcr makes a cassette of it")
        contract = self._catalogue.provider(recording.provider)
        recording = save_vcr_cassette(written, recording, contract=contract, secrets=_keys(contract), mask=self._mask)
        return _converted(file, "a recording of voicegauge", written, recording, ())

    def _foreign(self, file: Path, written: Path, imported: ImportedRecording, contract: Contract) -> Converted:
        recorded_at, remarks = _recorded_at(file, imported)
        keys = (*_keys(contract), *imported.secrets)
        provenance = _provenance(imported)
        if self._form == "har":
            recording = save_har(
                written,
                imported.exchanges,
                provenance=provenance,
                contract=contract,
                secrets=keys,
                mask=self._mask,
                recorded_at=recorded_at,
            )
        else:
            read = Recording(
                provenance=provenance,
                provider=contract.id,
                contract_version=contract.version,
                contract_sha256=contract.document.sha256,
                recorded_at=recorded_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
                exchanges=imported.exchanges,
            )
            recording = save_vcr_cassette(written, read, contract=contract, secrets=keys, mask=self._mask)
        return _converted(file, imported.format, written, recording, remarks)


def _keys(contract: Contract) -> tuple[str, ...]:
    key = os.environ.get(contract.provider.key_env)
    return (key,) if key else ()


def _provenance(imported: ImportedRecording) -> Provenance:
    """What the emulator answered stays emulated, whichever tool recorded it."""
    from voicegauge.emulator import is_emulated

    emulated = any(map(is_emulated, imported.exchanges))
    return Provenance.EMULATED if emulated else Provenance.RECORDED


def _recorded_at(file: Path, imported: ImportedRecording) -> tuple[dt.datetime, tuple[ImportRemark, ...]]:
    """When it was recorded: by the file's content, else by its own time on disk, which is said."""
    if imported.recorded_at is not None:
        return imported.recorded_at, imported.remarks
    when = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
    says = "no time of recording is in the file: its own time on disk is taken, so its age may be wrong"
    return when, (*imported.remarks, ImportRemark(number=0, request="the whole file", imported=True, message=says))


def _converted(
    file: Path, format: str, written: Path, recording: Recording, remarks: tuple[ImportRemark, ...]
) -> Converted:
    return Converted(
        file=str(file),
        format=format,
        written=str(written),
        provenance=recording.provenance,
        recorded_at=recording.recorded_at,
        exchanges=len(recording.exchanges),
        left_out=sum(not remark.imported for remark in remarks),
        remarks=remarks,
        redactions=recording.redactions,
    )


def _print(converted: Converted) -> None:
    out = console()
    for remark in converted.remarks:
        verb = "" if remark.imported else "left out: "
        place = f"{remark.number} ({remark.request})" if remark.number else remark.request
        out.print(f"{converted.file}: {place}: {verb}{remark.message}", soft_wrap=True)
    masked = ", ".join(f"{place} ({count})" for place, count in converted.redactions.items())
    lost = f", {converted.left_out} left out" if converted.left_out else ""
    counts = f"{converted.exchanges} exchanges{lost}"
    out.print(f"{converted.file}: {converted.format}: {counts} -> {converted.written}", soft_wrap=True)
    if masked:
        out.print(f"{converted.file}: masked: {masked}", soft_wrap=True)

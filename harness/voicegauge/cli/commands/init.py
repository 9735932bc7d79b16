"""`voicegauge init`: propose a contract for a provider's OpenAPI document."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import create_console, show_result
from voicegauge.cli.options import OutputFile, add_json_option
from voicegauge.errors import ContractError, UsageError
from voicegauge.files import open_file, write_file

if TYPE_CHECKING:
    from voicegauge.contract import OverlayProposal


_MAX_SEARCHED_BYTES = 4096
"""Number of bytes at the start of a file in which `_RECORDING_KEY_PATTERN` is searched."""
_MAX_OMISSIONS_SHOWN = 20
"""Largest number of recorded requests that are listed as left out of the contract; --json has all."""
_RECORDING_KEY_PATTERN = re.compile(
    rb"""^[\s{[]*["']?(?:interactions|http_interactions|log|recorded_with)["']?\s*:""", re.MULTILINE
)
"""Matches the JSON or YAML key with which a HAR file or a cassette begins, to recognize it whatever its suffix is."""


@click.command("init")
@click.argument("document_or_recording", metavar="DOCUMENT|URL|RECORDING")
@click.option("--provider", metavar="ID", default="", help="Id of the provider. Default: from the document's server.")
@click.option(
    "--operation",
    "operations",
    multiple=True,
    metavar="PATH|ID",
    help="Propose this operation of a document. May be repeated. Default: all that turn a text into audio or a job.",
)
@click.option(
    "--host",
    metavar="HOST",
    default="",
    help="Propose this host of recordings, such as api.acme.test. Default: that of the first speech request.",
)
@click.option(
    "--out",
    type=OutputFile(path_type=Path),
    metavar="FILE",
    help="File to write. Default: overlay.yaml in the folder of the document; openapi.yaml for recordings.",
)
@add_json_option
def command(
    *,
    document_or_recording: str,
    provider: str,
    operations: tuple[str, ...],
    host: str,
    out: Path | None,
    json_path: str | None,
) -> None:
    """Propose a contract for a provider's OpenAPI document, or from recordings.

    The document stays as it is; one at an https URL is saved in the current folder first.
    An OpenAPI Overlay beside it adds what OpenAPI cannot say: which operation speaks, and
    where its request and response have text, voice and audio. What the document does not
    state is marked TODO. Prices are never guessed.

    RECORDING is a HAR file, a VCR cassette, or a folder of them. The contract that is
    written describes the requests in it that produce speech; everything in it is inferred.

    The exit status is 0 if a proposal was written, whether or not anything has to be completed.
    """
    from voicegauge import api

    if _is_recording(Path(document_or_recording)):
        if operations:
            raise UsageError("--operation is for documents: all recorded speech requests are proposed")
        out = out or Path("openapi.yaml")
        _reject_existing_file(out)
        proposal = api.propose_contract(document_or_recording, provider=provider, host=host)
    elif host:
        raise UsageError("--host is for recordings: a document names its servers itself")
    else:
        document = _get_or_download_document(document_or_recording, out.parent if out else Path())
        out = out or document.with_name("overlay.yaml")
        if out.resolve().parent != document.resolve().parent:
            raise UsageError(f"--out: {out} must be in the folder of {document}, which it extends")
        _reject_existing_file(out)
        proposal = api.propose_overlay(document, provider=provider, operations=operations)
    write_file(out, proposal.overlay.encode())
    show_result(proposal, json_path, lambda: _print_proposal(proposal, out))


def _reject_existing_file(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} exists: name another file with --out, or delete it")


def _is_recording(path: Path) -> bool:
    """Whether the user names a folder, a HAR file or a cassette, not an OpenAPI document."""
    if path.is_dir():
        return True
    if not path.is_file():
        return False
    with open_file(path) as file:
        head = file.read(_MAX_SEARCHED_BYTES)
    return path.suffix.lower() == ".har" or _RECORDING_KEY_PATTERN.search(head) is not None


def _get_or_download_document(path_or_url: str, folder: Path) -> Path:
    """Return the document that the user names; one at a URL is saved in `folder` first."""
    from voicegauge import api

    if path_or_url.lower().startswith(("http://", "https://")):
        path = api.download_document(path_or_url, folder)
        create_console(to_stderr=True).print(f"saved {path}", soft_wrap=True)
        return path
    if not Path(path_or_url).is_file():
        raise UsageError(f"{path_or_url}: is not a file: name an OpenAPI document, or the https URL of one")
    return Path(path_or_url)


def _print_proposal(proposal: OverlayProposal, path: Path) -> None:
    from voicegauge import api

    out = create_console()
    for operation in proposal.operations:
        out.print(f"{operation.request}: {', '.join(operation.targets)}", soft_wrap=True)
    out.print(f"wrote {path}: complete in it", soft_wrap=True)
    for item in proposal.todo:
        out.print(f"  {item}", soft_wrap=True)
    if proposal.left_out:
        out.print("left out:", soft_wrap=True)
    for item in proposal.left_out[:_MAX_OMISSIONS_SHOWN]:
        out.print(f"  {item}", soft_wrap=True)
    if len(proposal.left_out) > _MAX_OMISSIONS_SHOWN:
        out.print(f"  and {len(proposal.left_out) - _MAX_OMISSIONS_SHOWN} more: --json has all", soft_wrap=True)
    try:
        api.load_contracts([path])
    except ContractError as error:
        out.print(f"it cannot be used before this is completed: {error}", soft_wrap=True)
        first = "complete it, then "
    else:
        first = ""
    file = shlex.quote(str(path))
    out.print(f"next: {first}voicegauge check {proposal.provider} --emulated --contracts {file}", soft_wrap=True)

"""`voicegauge init`: propose a contract for a provider's OpenAPI document, or from recordings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voicegauge.cli._commands import command_of_requests
from voicegauge.cli._console import create_console, show_result
from voicegauge.cli._output_options import JsonOutput, output_file_option
from voicegauge.errors import ContractError, UsageError
from voicegauge.files import open_file, write_file
from voicegauge.options import Trust, argument, option, request

if TYPE_CHECKING:
    from voicegauge.contract.overlay_proposal import OverlayProposal


_MAX_SEARCHED_BYTES = 4096
"""Number of bytes at the start of a file in which `_RECORDING_KEY_PATTERN` is searched."""
_MAX_OMISSIONS_SHOWN = 20
"""Largest number of recorded requests that are listed as left out of the contract; --json has all."""
_RECORDING_KEY_PATTERN = re.compile(
    rb"""^[\s{[]*["']?(?:interactions|http_interactions|log|recorded_with)["']?\s*:""", re.MULTILINE
)
"""Matches the JSON or YAML key with which a HAR file or a cassette begins, to recognize it whatever its suffix is."""


@request
class InitOptions(JsonOutput):
    """The inputs from which a contract is proposed, and the folder to which it is written."""

    document_or_recording: str = argument(
        kw_only=False,
        help="An OpenAPI or AsyncAPI document, its https URL, or recordings.",
        metavar="DOCUMENT|URL|RECORDING",
    )
    provider: str = option(
        default="",
        help="Id of the provider.",
        default_text="from the document's server",
        metavar="ID",
        found_file=Trust.ANY_VALUE,
    )
    operations: Sequence[str] = option(
        default=(),
        flag="--operation",
        help='Propose this operation of a document: "POST /v1/speech", its path alone, or its operationId.',
        default_text="all that turn a text into audio or a job",
        metavar="OPERATION",
        found_file=Trust.ANY_VALUE,
    )
    host: str = option(
        default="",
        help="Propose this host of recordings, such as api.acme.test.",
        default_text="that of the first speech request",
        metavar="HOST",
        found_file=Trust.ANY_VALUE,
    )
    out: Path | None = output_file_option(
        "File to write.",
        flag="--out",
        default_text="overlay.yaml or asyncapi-overlay.yaml in the folder of the document; openapi.yaml for recordings",
    )


@command_of_requests("init", InitOptions, has_time_limit=True)
def command(options: InitOptions) -> None:
    """Propose a contract for a provider's OpenAPI or AsyncAPI document, or from recordings.

    The document stays as it is; one at an https URL is saved in the current folder first.
    An OpenAPI Overlay beside it adds what OpenAPI cannot say: which operation speaks, and
    where its request and response have text, voice and audio. What the document does not
    state is marked TODO. Prices are never guessed.

    RECORDING is a HAR file, a VCR cassette, or a folder of them. The contract that is
    written describes the requests in it that produce speech; everything in it is inferred.

    The exit status is 0 if a proposal was written, whether or not anything has to be completed.
    """
    from voicegauge.api.contract_documents import propose_contract, propose_overlay
    from voicegauge.contract.document_assembly import is_asyncapi_file

    document_or_recording, provider, operations = options.document_or_recording, options.provider, options.operations
    out, host = options.out, options.host
    if _is_recording(Path(document_or_recording)):
        if operations:
            raise UsageError("--operation is for documents: all recorded speech requests are proposed")
        out = out or Path("openapi.yaml")
        proposal = propose_contract(document_or_recording, provider=provider, host=host)
        _reject_existing_file(out)
    elif host:
        raise UsageError("--host is for recordings: a document names its servers itself")
    else:
        document = _get_or_download_document(document_or_recording, out.parent if out else Path())
        out = out or document.with_name("asyncapi-overlay.yaml" if is_asyncapi_file(document) else "overlay.yaml")
        if out.resolve().parent != document.resolve().parent:
            raise UsageError(f"--out: {out} must be in the folder of {document}, which it extends")
        proposal = propose_overlay(document, provider=provider, operations=operations)
        _reject_existing_file(out)
    write_file(out, proposal.overlay.encode())
    show_result(proposal, options.json_path, lambda: _print_proposal(proposal, out))


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
    from voicegauge.api.contract_documents import download_document

    if path_or_url.lower().startswith(("http://", "https://")):
        path = download_document(path_or_url, folder)
        create_console(to_stderr=True).print(f"saved {path}")
        return path
    if not Path(path_or_url).is_file():
        raise UsageError(f"{path_or_url}: is not a file: name an OpenAPI document, or the https URL of one")
    return Path(path_or_url)


def _print_proposal(proposal: OverlayProposal, path: Path) -> None:
    from voicegauge.api.target_selection import load_contracts

    out = create_console()
    for operation in proposal.operations:
        out.print(f"{operation.request}: {', '.join(operation.targets)}")
    out.print(f"wrote {path}; still to complete in it:" if proposal.todo else f"wrote {path}")
    for item in proposal.todo:
        out.print(f"  {item}")
    if proposal.left_out:
        out.print("left out:")
    for item in proposal.left_out[:_MAX_OMISSIONS_SHOWN]:
        out.print(f"  {item}")
    if len(proposal.left_out) > _MAX_OMISSIONS_SHOWN:
        out.print(f"  and {len(proposal.left_out) - _MAX_OMISSIONS_SHOWN} more: --json has all")
    try:
        load_contracts([path])
    except ContractError as error:
        out.print(f"it cannot be used before this is completed: {error}")
        first = "complete it, then "
    else:
        first = ""
    file = shlex.quote(str(path))
    out.print(f"next: {first}voicegauge check {proposal.provider} --emulated --contracts {file}")

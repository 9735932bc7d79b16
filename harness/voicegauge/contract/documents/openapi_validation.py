"""Validates a document against the OpenAPI specification."""

from __future__ import annotations

import inspect
import re

from voicegauge.contract.schemas import MAX_REASON_CHARACTERS, to_pointer
from voicegauge.formats import Document, escape_pointer_token

_PATH_TEMPLATE = re.compile(r"(?:[^{}]|\{[^{}]+\})*")


def validate_openapi(document: Document) -> None:
    """Check that a document is valid OpenAPI 3.1 or 3.2.

    Raises:
        ContractError: it is not; the message has the line of the first error.
    """
    from openapi_spec_validator import OpenAPIV31SpecValidator, OpenAPIV32SpecValidator

    paths = document.data.get("paths")
    for path in paths if isinstance(paths, dict) else ():
        if not _PATH_TEMPLATE.fullmatch(path):  # the validator raises a ValueError for these
            raise document.error(
                f"/paths/{escape_pointer_token(path)}", f"the braces of the path {path!r} do not match"
            )
    # The method itself would keep every document in a cache without a limit.
    is_32 = document.data["openapi"].startswith("3.2.")
    validator = OpenAPIV32SpecValidator if is_32 else OpenAPIV31SpecValidator
    for error in inspect.unwrap(validator.iter_errors)(validator(document.data)):
        pointer = to_pointer(list(getattr(error, "absolute_path", ())))
        reason = (str(error.args[0]) if error.args else str(error)).strip().splitlines()[0]
        raise document.error(pointer, f"is not valid OpenAPI: {reason[:MAX_REASON_CHARACTERS]}")

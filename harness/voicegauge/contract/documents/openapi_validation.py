"""Validates a document against the OpenAPI specification, except for its schemas, which `check_schemas` validates."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator
from typing import Any

from voicegauge.contract.schemas import MAX_REASON_CHARACTERS, format_json_pointer
from voicegauge.formats import Document, escape_pointer_token

_PATH_TEMPLATE_PATTERN = re.compile(r"(?:[^{}]|\{[^{}]+\})*")


def validate_openapi(document: Document) -> None:
    """Check that a document is valid OpenAPI 3.1 or 3.2.

    Raises:
        ContractError: the document is not valid; the message has the line of the first error.
    """
    paths = document.data.get("paths")
    for path in paths if isinstance(paths, dict) else ():
        if not _PATH_TEMPLATE_PATTERN.fullmatch(path):  # the validator raises a ValueError for these
            raise document.build_error(
                f"/paths/{escape_pointer_token(path)}", f"the braces of the path {path!r} do not match"
            )
    validator = _create_validator_class(document.data["openapi"][:3])
    # The method itself would keep every document in a cache without a limit.
    for error in inspect.unwrap(validator.iter_errors)(validator(document.data)):
        pointer = format_json_pointer(list(getattr(error, "absolute_path", ())))
        reason = (str(error.args[0]) if error.args else str(error)).strip().splitlines()[0]
        raise document.build_error(pointer, f"is not valid OpenAPI: {reason[:MAX_REASON_CHARACTERS]}")


@functools.cache
def _create_validator_class(version: str) -> Any:
    """Return the validator for OpenAPI "3.1" or "3.2".

    The validator's own checks of schemas are left out: for large documents they take most of the time.
    """
    from openapi_spec_validator import OpenAPIV31SpecValidator, OpenAPIV32SpecValidator
    from openapi_spec_validator.validation.keywords import KeywordValidator

    class NoCheck(KeywordValidator):
        def __call__(self, *_values: Any) -> Iterator[Any]:
            return iter(())

    base = OpenAPIV32SpecValidator if version == "3.2" else OpenAPIV31SpecValidator
    left_out = dict.fromkeys(("schema", "responses", "components"), NoCheck)
    return type("Validator", (base,), {"keyword_validators": {**base.keyword_validators, **left_out}})

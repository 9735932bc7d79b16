"""Reads many mutated documents with one reader."""

from __future__ import annotations

import faulthandler
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from reader_fuzzing.document import Document
from reader_fuzzing.mutations import mutated_documents
from reader_fuzzing.readers import EXPECTED_ERRORS, Reader, temporary_folders
from voicegauge.errors import MAX_ERROR_MESSAGE_CHARACTERS

MAX_CASE_S = 10.0
"""Maximum CPU time of one case in seconds. Most take a few milliseconds."""
HANG_S = 120.0
"""Time in seconds after which a case has hung: the process prints where it is, and exits."""
_EXCERPT_BYTES = 1500
_BATCH = 500
"""Number of documents after which Hypothesis starts again, because it remembers all that it has generated."""


@dataclass
class FuzzingResult:
    """What happened to the mutated documents of one reader."""

    cases: int = 0
    rejected: int = 0
    """Documents that the reader rejected with an error that it documents. It read the others."""
    slowest_s: float = 0.0
    """CPU time of the slowest case in seconds."""


def fuzz(reader: Reader, cases: int, random_seed: int = 0, *, hang_s: float | None = None) -> FuzzingResult:
    """Read `cases` mutated documents.

    Args:
        reader: the reader.
        cases: number of documents.
        random_seed: seed of the mutations; the same one gives the same documents.
        hang_s: exit from the process if one case takes longer than this, in seconds; `None` never exits.

    Raises:
        Exception: an error that the reader does not document, or a warning; a note has the smallest document found that
            causes it.
        TimeoutError: a case took more than `MAX_CASE_S` of CPU time.
        AssertionError: a reader rejected a valid document, or its message is not short.
    """
    documents, folders, result = reader.documents(), temporary_folders(), FuzzingResult()

    def read(data: bytes) -> None:
        if hang_s is not None:
            faulthandler.dump_traceback_later(hang_s, exit=True)
        result.cases += 1
        started, message = time.process_time(), "none"
        try:
            reader.read(data, next(folders))
        except EXPECTED_ERRORS as error:
            result.rejected += 1
            message = str(error)
        assert 0 < len(message) <= MAX_ERROR_MESSAGE_CHARACTERS, f"a message of {len(message)} characters"
        case_s = time.process_time() - started
        result.slowest_s = max(result.slowest_s, case_s)
        if case_s > MAX_CASE_S:
            raise TimeoutError(f"took {case_s:.1f} s of CPU time")

    try:
        for document in documents:
            read(document.data)
            if document.structure is not None:
                read(document.serialize(document.structure))
        assert result.rejected == 0, f"the {reader.name} reader rejected a valid document"
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a command would print it
            for start in range(0, cases, _BATCH):
                _read_mutated(reader, documents, read, min(_BATCH, cases - start), random_seed * cases + start)
    finally:
        faulthandler.cancel_dump_traceback_later()
        folders.close()
    return result


def _read_mutated(
    reader: Reader, documents: Sequence[Document], read: Callable[[bytes], None], cases: int, random_seed: int
) -> None:
    @seed(random_seed)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        verbosity=Verbosity.quiet,  # it would print the whole document
    )
    @given(mutated_documents(documents, reader.tokens))
    def read_one(data: bytes) -> None:
        try:
            read(data)
        except Exception as error:
            error.add_note(f"{reader.name}, {len(data)} bytes: {data[:_EXCERPT_BYTES]!r}")
            raise

    read_one()

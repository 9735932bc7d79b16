"""Prints what is left to do by hand for twenty official documents, and what the first emulated check finds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.table import Table

from first_checks import check_document, load_documents
from voicegauge.cli._console import create_console
from voicegauge.errors import VoicegaugeError


def main() -> int:
    """Print the table; return 1 if a check finds something, or a document is missing or not usable."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with a checkout of each repository, as OWNER/NAME")
    parser.add_argument("providers", nargs="*", help="names in documents.yaml; by default all")
    arguments = parser.parse_args()
    documents = load_documents()
    table = Table("document", "lines", "marked TODO", "completed by hand", "requests", "findings")
    is_wrong = False
    for provider in arguments.providers or documents:
        official = documents[provider]
        file = arguments.folder / official.repository / official.path
        try:
            check = check_document(provider, official, file)
        except (VoicegaugeError, OSError) as error:
            is_wrong = True
            table.add_row(provider, str(error))
            continue
        is_wrong |= check.finding_count > 0
        table.add_row(provider, *(str(getattr(check, name)) for name in check.__struct_fields__))
        print(provider, check, file=sys.stderr, flush=True)
    create_console().print(table)
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())

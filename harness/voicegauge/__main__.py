"""The `voicegauge` command, also as `python -m voicegauge`."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import NoReturn

INTERRUPTED = 130
"""What a shell reports for a program ended by Ctrl-C."""


def main() -> NoReturn:
    """Run the command line and leave with its exit status.

    It is imported here, so that Ctrl-C in that first tenth of a second is no traceback.
    """
    try:
        # A stream that was closed before the start (`>&-`, `<&-`) swallows what is written to it, or is empty.
        sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open to the end
        sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
        sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Providers speak in letters that the locale may lack, and files have names that are no text.
            sys.stdout.reconfigure(errors="backslashreplace")
        from voicegauge.cli import run

        status = run()
    except KeyboardInterrupt:
        sys.stderr.write("\nvoicegauge: stopped\n")
        status = INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()

"""Runs the `voicegauge` command, also as `python -m voicegauge`."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from pathlib import Path
from typing import NoReturn

EXIT_INTERRUPTED = 130
"""Exit status that a shell reports for a program ended by Ctrl-C. It is not imported from `errors`,
because the user may press Ctrl-C during imports."""


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        # Read when numpy is imported: its threads spin between small matrix products, which doubles the CPU time.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # A stream that was closed by the shell (`>&-`, `<&-`) is `None`; printing to it would fail.
        sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open to the end
        sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
        sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Texts of providers and names of files may contain characters that the locale cannot encode.
            sys.stdout.reconfigure(errors="backslashreplace")
        # The collections at the end of a process would walk over all contracts, which takes a quarter of a second.
        atexit.register(gc.freeze)
        from voicegauge.cli import run  # here, so that Ctrl-C during the import does not print a traceback

        status = run()
    except KeyboardInterrupt:
        sys.stderr.write("\nvoicegauge: stopped\n")
        status = EXIT_INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()

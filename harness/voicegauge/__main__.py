"""Runs the `voicegauge` command, also as `python -m voicegauge`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sys
    from types import FrameType
    from typing import NoReturn

EXIT_INTERRUPTED = 130
"""Exit status that a shell reports for a program ended by Ctrl-C. It is not imported from `errors`,
because the user may press Ctrl-C during imports."""


def main() -> NoReturn:
    """Run the command line and exit with its status.

    Ctrl-C before this function is called is out of its reach: Python, which is starting, then prints a traceback
    and exits with 1 or by the signal.
    """
    try:
        import atexit  # all imports are here, so that Ctrl-C during one does not print a traceback
        import gc
        import io
        import os
        import signal
        import sys
        import threading  # noqa: F401 - the handler below needs all of it, also while another module imports it
        from pathlib import Path

        handles_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        # The event loop replaces the default handler while it runs, and sets it again at its end. SIGTERM uses it too,
        # also where Ctrl-C is ignored, as in a background job of a shell.
        signal.default_int_handler = _interrupt_after_imports  # type: ignore[assignment]
        sys.unraisablehook = _repeat_lost_interrupt
        if handles_ctrl_c:
            signal.signal(signal.SIGINT, signal.default_int_handler)
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
        from voicegauge.cli import run

        status = run()
    except KeyboardInterrupt:
        import sys

        sys.stderr.write("\nvoicegauge: stopped\n")
        status = EXIT_INTERRUPTED
    if status == EXIT_INTERRUPTED:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the repetition of a Ctrl-C that was seen meanwhile
    sys.exit(status)


def _interrupt_after_imports(_number: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt`: at once, or during an import when the next module is looked for or the imports end.

    Python ignores what is raised in the callback that frees the lock of an import, modules of others catch it, and
    before 3.12 the definition of a class may turn it into a `RuntimeError`.

    Args:
        _number: number of the signal.
        frame: innermost call that the signal interrupted; `None` if no Python code ran.
    """
    while frame is not None and frame.f_code is not main.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            import sys

            sys.meta_path.insert(0, _InterruptedImport())
            _repeat_interrupt()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


class _InterruptedImport:
    """A module finder that raises `KeyboardInterrupt` once, when the next module is looked for.

    At that moment neither a callback nor the definition of a class runs, which could hide the exception.
    """

    def find_spec(self, *_: object) -> NoReturn:
        import sys

        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _InterruptedImport)]
        raise KeyboardInterrupt


def _repeat_lost_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    """Report an exception that Python ignores, but repeat an interrupt, as in a callback of the garbage collector."""
    import sys

    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _repeat_interrupt()
    else:
        sys.__unraisablehook__(unraisable)


def _repeat_interrupt() -> None:
    import threading

    timer = threading.Timer(0.1, _interrupt_main_thread)
    timer.daemon = True
    timer.start()


def _interrupt_main_thread() -> None:
    """Send the main thread SIGINT, or SIGTERM if it ignores SIGINT; nothing if it handles neither any more."""
    import signal
    import threading

    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            return


if __name__ == "__main__":
    main()

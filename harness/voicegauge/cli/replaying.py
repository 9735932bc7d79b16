"""`voicegauge serve --replay`: recordings on a port of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voicegauge.cli.console import console
from voicegauge.contract import Contract
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK
from voicegauge.hosts import url_of

if TYPE_CHECKING:
    from voicegauge.recording import Recording, Replay

UNUSED_SHOWN = 10


def serve_recordings(paths: Sequence[Path], contracts: Sequence[Contract], *, host: str, port: int, pace: float) -> int:
    """Answer from the recordings at `paths` until Ctrl-C, then say what was asked for in vain, or not at all.

    Args:
        paths: HAR files, or folders of them.
        contracts: of the providers to answer for; recordings of others are left out.
        host: a loopback address.
        port: 0 takes a free one.
        pace: multiplies the recorded pauses.

    Returns:
        1 where a request had no recorded answer, else 0.

    Raises:
        DataError: a file is no recording, or none is of these providers.
        UsageError: the address cannot be had.
    """
    from voicegauge.emulator.server import bind, serve_app
    from voicegauge.recording import Replay, ReplayApp, load_recordings
    from voicegauge.recording.replay import enable_realtime_scheduling

    ids = {contract.id for contract in contracts}
    recordings = [recording for recording in load_recordings(paths) if recording.provider in ids]
    replay = Replay(recordings, contracts)
    errors = console(stderr=True)
    app = ReplayApp(replay, pace=pace, on_unmatched=lambda text: errors.print(text, style="yellow"))
    bound = bind(host, port)
    url = url_of(host, bound.getsockname()[1])
    if pace > 0:
        enable_realtime_scheduling()
    try:
        serve_app(app, bound, ready=lambda _stop: _announce(recordings, replay, url))
    except KeyboardInterrupt:
        pass
    finally:
        bound.close()
    _sum_up(replay)
    return EXIT_FINDINGS if replay.unmatched else EXIT_OK


def _announce(recordings: Sequence[Recording], replay: Replay, url: str) -> None:
    out = console()
    out.print(f"REPLAYED providers at {url} (Ctrl-C ends it)\n", soft_wrap=True)
    for provider in dict.fromkeys(recording.provider for recording in recordings):
        kinds = {r.provenance.value.upper() for r in recordings if r.provider == provider}
        count = sum(one.signature.provider == provider for one in replay.recorded_requests)
        out.print(f"  {url}/{provider}  {count} recorded requests, {', '.join(sorted(kinds))}", soft_wrap=True)


def _sum_up(replay: Replay) -> None:
    out = console()
    used = len(replay.recorded_requests) - len(replay.unused)
    out.print(
        f"{used} of {len(replay.recorded_requests)} recorded requests were asked for, {len(replay.unmatched)} others"
    )
    for name in replay.unused[:UNUSED_SHOWN]:
        out.print(f"  not asked for: {name}", style="dim", soft_wrap=True)
    if len(replay.unused) > UNUSED_SHOWN:
        out.print(f"  ... and {len(replay.unused) - UNUSED_SHOWN} more", style="dim")

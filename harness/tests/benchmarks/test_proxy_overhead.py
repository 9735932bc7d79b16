"""The traffic by which the overhead of the proxy is measured has no findings, each of which would cost time."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from proxy_overhead.__main__ import running_process, running_voicegauge, send_requests
from proxy_overhead.server import serve


@pytest.mark.slow  # starts a server, a proxy and its judge
def test_the_proxy_finds_nothing_in_the_measured_traffic(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # as for this process
    with running_process(serve) as server, running_voicegauge(server.port) as proxy:
        asyncio.run(send_requests(proxy.port, 2, 1))

    assert capsys.readouterr().out.strip().endswith("3 requests; LIVE 3 exchanges, 1 operation: no findings")

"""The emulator over TLS: its certificate is trusted by its authority alone, for each of its names."""

from __future__ import annotations

import ssl

import httpx
import pytest

import voicegauge


def test_the_authority_is_needed_and_suffices() -> None:
    with voicegauge.emulate("pixelapi", tls=True) as emulator:
        assert emulator.base_url("pixelapi").startswith("https://127.0.0.1:")
        file = emulator.authority_file
        assert file is not None
        assert "PRIVATE" not in file.read_text()
        trusting = ssl.create_default_context(cafile=str(file))
        for host in ("127.0.0.1", "localhost"):
            url = f"https://{host}:{emulator.port}/_emulator/health"
            assert httpx.get(url, verify=trusting).status_code == 200
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                httpx.get(url)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{emulator.port}/_emulator/health")
    assert not file.exists()


def test_a_check_over_https_finds_what_one_over_http_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "k-0123456789")

    def check(*, tls: bool) -> voicegauge.CheckReport:
        with voicegauge.emulate("deepgram", time_scale=0, tls=tls, faults=["socket-silent"]) as emulator:
            if emulator.authority_file is not None:
                monkeypatch.setenv("SSL_CERT_FILE", str(emulator.authority_file))
            live = voicegauge.LiveOptions(base_urls={"": emulator.base_url("deepgram")}, max_cost_usd=1)
            return voicegauge.check("deepgram/aura-2-socket", live=live, max_calls=3)

    encrypted, plain = check(tls=True), check(tls=False)
    assert [one.verdict for one in encrypted.case_results] == [one.verdict for one in plain.case_results] != []
    assert {one.rule for one in encrypted.findings} == {one.rule for one in plain.findings} != set()

"""An ini file in a stranger's repository decides neither where keys go nor what a live run costs."""

from __future__ import annotations

import pytest

from voicegauge.options import DeclaredOption, Trust
from voicegauge.plugin._service_checks import get_plugin_flag, list_plugin_options

NOTHING = "def test_nothing(): pass"


VALUES = {
    "--vg-max-cost": "=100",
    "--vg-plan": "=free",
    "--vg-price": "=pixelapi=0",
    "--vg-contracts": "=own",
    "--vg-allow-key": "=ACME_KEY=evil.test",
}
REFUSED = [one for one in list_plugin_options() if one.spec.found_file is not Trust.ANY_VALUE]


@pytest.mark.parametrize("declared", REFUSED, ids=get_plugin_flag)
def test_an_ini_file_sets_no_option_of_live_tests(
    run_pytest, pytester: pytest.Pytester, declared: DeclaredOption
) -> None:
    """Every option that a found settings file may not set is refused here too."""
    flag = get_plugin_flag(declared)
    option = f"{flag}{VALUES.get(flag, '')}"
    pytester.makeini(f"[pytest]\naddopts = {option}\n")
    pytester.mkdir("own")
    result = run_pytest(NOTHING, *([] if flag == "--vg-live" else ["--vg-live"]))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{flag} is set in *tox.ini, which may not decide about keys and money: *"])


def test_an_ini_file_sets_options_of_emulated_tests(run_pytest, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = --vg-max-cost=100 --vg-seed=3\n")
    run_pytest(NOTHING).assert_outcomes(passed=1)


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_live_run_first_prints_where_keys_go(
    run_pytest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    for variable in ("PIXAZO_API_KEY", "TTSAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIXELAPI_KEY", "sk-secret")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--vg-live --vg-max-cost 0.5" if by_environment else "")
    pytester.makeini("[pytest]\naddopts = -q\n")
    result = run_pytest(NOTHING, *([] if by_environment else ["--vg-live", "--vg-max-cost", "0.5"]))
    result.assert_outcomes(passed=1)
    printed = [line for line in result.outlines if line.startswith("LIVE: ")]
    assert printed[0] == f"LIVE: options are read from {pytester.path / 'tox.ini'} too"
    assert printed[1:] == ["LIVE: pixelapi sends the key in PIXELAPI_KEY to https://api.pixelapi.dev"]

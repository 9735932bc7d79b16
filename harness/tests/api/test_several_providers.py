"""Several providers in one live run: each has its own URL, its own key and its own part of the budget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import voicegauge
from voicegauge.cli import run
from voicegauge.errors import BudgetError, UsageError

TARGETS = ["deepgram/aura-2", "openai/tts-1"]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "dg-key-of-this-test")
    monkeypatch.setenv("OPENAI_API_KEY", "oa-key-of-this-test")
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with voicegauge.emulate(["deepgram", "openai"], time_scale=0) as emulator:
        yield {name: emulator.base_url(name) for name in ("deepgram", "openai")}


def bench(urls: dict[str, str], out: Path, **live: object) -> voicegauge.BenchResult:
    """Measure three texts, which cost half a cent at one provider and a quarter of a cent at the other."""
    options = voicegauge.LiveOptions(base_urls=urls, **live)  # type: ignore[arg-type]
    return voicegauge.benchmark(TARGETS, live=options, suite="smoke", max_texts=3, warmup=0, asr="none", out=out)


def test_each_provider_is_reached_at_its_own_url_with_its_own_budget(urls: dict[str, str], tmp_path: Path) -> None:
    result = bench(urls, tmp_path, max_cost_usd={"deepgram": 0.2, "openai": 0.05})
    assert [one.failure_count for one in result.targets] == [0, 0]
    assert result.manifest.base_urls == urls
    assert result.manifest.max_cost_usd == 0.25


def test_a_plan_that_exceeds_the_budget_of_one_provider_is_rejected(urls: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"deepgram cost up to \$0.00537, more than --max-cost deepgram=0.001"):
        bench(urls, tmp_path, max_cost_usd={"": 5.0, "deepgram": 0.001})
    assert not list(tmp_path.glob("*/run.json"))


def test_each_exceeded_budget_of_a_provider_is_named_with_its_limit(urls: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as caught:
        bench(urls, tmp_path, max_cost_usd={"deepgram": 0.001, "openai": 0.0001})
    assert "more than --max-cost deepgram=0.001; requests to openai cost" in str(caught.value)
    assert "more than --max-cost openai=0.0001: raise them, or plan fewer requests" in str(caught.value)
    assert "0.0011" not in str(caught.value)


def test_the_total_limits_providers_together(urls: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"more than --max-cost 0.001"):
        bench(urls, tmp_path, max_cost_usd={"": 0.001, "deepgram": 1.0})


def test_a_check_spends_at_each_provider_only_its_part(urls: dict[str, str]) -> None:
    def check(**budgets: float) -> voicegauge.CheckReport:
        live = voicegauge.LiveOptions(base_urls=urls, max_cost_usd=budgets)
        return voicegauge.check(TARGETS, live=live, case_ids=[f"{target}: a full delivery" for target in TARGETS])

    with pytest.raises(BudgetError, match=r"at deepgram, more than --max-cost deepgram=0.0001"):
        check(deepgram=0.0001, openai=1.0)
    assert check(deepgram=0.5, openai=0.5).case_results


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ({"deepgram": 1.0}, "names no budget of openai: add --max-cost openai=USD"),
        ({"": 1.0, "azure": 1.0}, "no target of azure is named"),
        ({"": 1.0, "openai": -1.0}, "choose a number of at least 0"),
    ],
)
def test_budgets_that_fit_no_provider_are_rejected(
    urls: dict[str, str], tmp_path: Path, budgets: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bench(urls, tmp_path, max_cost_usd=budgets)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "write --base-url PROVIDER=URL for each"),
        ("azure/eu", "no target of azure is named"),
        ("staging", "write --base-url PROVIDER=URL"),
        ("openai/staging", "openai has no server 'staging'"),
    ],
)
def test_urls_of_which_the_provider_is_not_known_are_rejected(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bench({name: "http://127.0.0.1:1"}, tmp_path)


def test_the_command_takes_a_budget_and_a_url_for_each_provider(
    urls: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    live = ["--live", *(word for name, url in urls.items() for word in ("--base-url", f"{name}={url}"))]
    plan = ["bench", *TARGETS, "--suite", "smoke", "--limit", "2", "--warmup", "0", "--asr", "none", "--no-report"]
    assert run([*plan, *live, "--max-cost", "deepgram=0.2", "--max-cost", "openai=0.1"]) == 0
    printed = capsys.readouterr()
    assert "of at most $0.30 (deepgram $0.20, openai $0.10)" in " ".join(printed.err.split())
    assert run([*plan, *live, "--max-cost", "openai=much"]) == 2
    assert "'openai=much' is not a budget: write USD or PROVIDER=USD" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "voicegauge.toml").write_text("[bench.max-cost]\ndeepgram = 0.9\nopenai = 0.9\n")
    assert run([*plan, *live]) == 2
    assert "only you may decide about the budget of a provider" in " ".join(capsys.readouterr().err.split())

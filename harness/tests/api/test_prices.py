"""Prices that the caller states: for a provider, a target or an operation."""

from __future__ import annotations

import json

import pytest

import voicegauge
from voicegauge.api.target_selection import find_shortest_prices, resolve_prices
from voicegauge.contract.loading import load_catalogue
from voicegauge.files import find_bundled_folder


@pytest.fixture
def unpriced(tmp_path) -> str:
    """A folder with PixelAPI's contract, in which no document states a price in dollars."""
    document = (find_bundled_folder("contracts") / "pixelapi" / "openapi.yaml").read_text(encoding="utf-8")
    lines = [
        line
        for line in document.splitlines(keepends=True)
        if not line.strip().startswith(("usd_per_unit:", "usd_per_credit:"))
    ]
    folder = tmp_path / "contracts" / "pixelapi"
    folder.mkdir(parents=True)
    (folder / "openapi.yaml").write_text("".join(lines), encoding="utf-8")
    return str(folder.parent)


def plan(unpriced: str, **prices: float) -> voicegauge.PricedPlan:
    live = voicegauge.LiveOptions(max_cost_usd=1.0)
    named = {name.replace("__", "/").replace("_", "-"): usd for name, usd in prices.items()}
    return voicegauge.plan_check("pixelapi", live=live, contracts=[unpriced], prices=named)


def test_a_price_of_a_provider_holds_for_all_its_targets_and_operations(unpriced) -> None:
    assert plan(unpriced).ids_without_price
    free = plan(unpriced, pixelapi=0.0)
    assert free.ids_without_price == ()
    assert free.price_usd == 0.0


def test_the_price_of_a_target_wins_over_that_of_its_provider(unpriced) -> None:
    prices = {"pixelapi": 0.0, "pixelapi__voice_design": 1.0}
    priced = plan(unpriced, **prices)
    assert priced.price_usd == sum(c.is_billable and c.id.startswith("pixelapi/voice-design") for c in priced.cases)
    assert priced.price_usd > 0


def test_requests_that_should_be_rejected_need_no_price(unpriced) -> None:
    live = voicegauge.LiveOptions(max_cost_usd=1.0)
    priced = voicegauge.plan_check("pixelapi", live=live, contracts=[unpriced])
    billable = {case.id.split(":")[0] for case in priced.cases if case.is_billable}
    assert all(any(item in case for case in billable) for item in priced.ids_without_price)
    assert {case.price_usd for case in priced.cases if not case.is_billable} == {0.0}


@pytest.mark.parametrize(
    "stated",
    [
        {"deepgram": 0.0},
        {"deepgram": 0.0, "pixelapi": 0.0},
        {"deepgram": 0.0, "deepgram/aura-2-socket": 0.25},
        {"pixelapi": 0.5},
        {"deepgram/aura-2-socket": 0.25},
    ],
)
def test_the_shortest_prices_mean_the_same(stated: dict[str, float]) -> None:
    catalogue = load_catalogue()
    prices = resolve_prices(catalogue, stated)
    contracts = [catalogue.find_provider(provider) for provider in ("deepgram", "pixelapi", "openai")]
    shortened = find_shortest_prices(contracts, prices)
    assert resolve_prices(catalogue, shortened) == prices
    assert len(shortened) <= len(stated)


def test_an_unknown_name_is_rejected_with_the_nearest_one(unpriced) -> None:
    with pytest.raises(voicegauge.errors.UnknownNameError, match="pixelapi"):
        plan(unpriced, pixelap=0.0)


def test_unknown_prices_are_not_summed_to_zero(unpriced, capfd) -> None:
    from voicegauge.cli import run

    arguments = ["check", "pixelapi", "--live", "--dry-run", "--max-cost", "1", "--contracts", unpriced]
    run(arguments)
    printed = capfd.readouterr().out
    assert "price in dollars not documented for pixelapi/voice-design, pixelapi/voice-clone" in " ".join(
        printed.split()
    )
    assert "$0" not in printed


@pytest.mark.parametrize(
    ("option", "usd", "notice"),
    [
        ("pixelapi=0.001", 0.05, None),
        ("pixelapi=0", 0.0, "--price: $0.00 / request replaces the documented $0.05 / request"),
        (
            "pixelapi/voice-design=0.02",
            0.02,
            "--price: $0.02 / request replaces the documented $0.05 / request",
        ),
    ],
)
def test_a_documented_price_is_never_replaced_silently(option, usd, notice, capfd) -> None:
    from voicegauge.cli import run

    arguments = ["check", "pixelapi/voice-design", "--live", "--dry-run", "--max-calls", "1", "--price", option]
    assert run([*arguments, "--json", "-"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["spending"]["total"]["spent_usd"] == pytest.approx(usd)
    assert err.count("--price") == (notice is not None), "once, though the provider has other targets"
    assert (notice or "") in " ".join(err.split())


@pytest.mark.parametrize(
    ("command", "usd_pointer"),
    [
        (["check", "--max-calls", "1"], ("spending", "total", "spent_usd")),
        (["bench", "--limit", "1", "--warmup", "0"], ("cost_usd",)),
    ],
)
def test_credits_are_priced_at_the_rate_of_the_user(command, usd_pointer, capfd) -> None:
    from voicegauge.cli import run

    def read_usd(rate: str) -> float:
        name, *others = command
        assert run([name, "ttsai/tortoise", *others, "--live", "--dry-run", "--json", "-", "--credit-rate", rate]) == 0
        found = json.loads(capfd.readouterr().out)
        for key in usd_pointer:
            found = found[key]
        return float(found)

    assert read_usd("ttsai=0.002") == pytest.approx(2 * read_usd("ttsai=0.001"))
    assert read_usd("ttsai=0.001") > 0
    assert run([command[0], "ttsai/tortoise", "--live", "--dry-run", "--credit-rate", "pixazo=0.001"]) == 2
    assert "pixazo charges no credits: its prices are in dollars" in capfd.readouterr().err

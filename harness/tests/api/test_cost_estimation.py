"""What targets cost in a month: plans, own texts, limits of requests, credits, and the command that prints it."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

import voicegauge
from voicegauge.cli import run
from voicegauge.contract.loading import Catalogue
from voicegauge.errors import UnknownNameError, UsageError

from ..builders.contracts import MINIMAL_CONTRACT


def estimate(targets: str, catalogue: Catalogue, **options) -> dict[str | None, float | None]:
    """Return the cost in dollars by plan."""
    result = voicegauge.estimate_cost(targets, contracts=catalogue, **options)
    return {cost.account_plan: cost.price.usd or cost.price.low_usd for cost in result.costs}


def test_each_plan_has_its_cost_and_the_cheapest_depends_on_the_volume(voicegauge_catalogue: Catalogue) -> None:
    def find_cheapest(characters: int) -> tuple[str | None, ...]:
        result = voicegauge.estimate_cost(
            "lmnt/blizzard", characters_per_month=characters, contracts=voicegauge_catalogue
        )
        return tuple(cost.account_plan for cost in result.costs if cost.is_cheapest_plan)

    assert estimate("lmnt/blizzard", voicegauge_catalogue, characters_per_month=1_000_000) == {
        "free": None,  # 15,000 characters, and no more can be bought
        "indie": 50.0,
        "pro": 49.0,
        "premium": 199.0,
    }
    assert [find_cheapest(volume) for volume in (15_000, 900_000, 1_000_000, 9_000_000)] == [
        ("indie",),  # what is free makes no price lower
        ("indie",),
        ("pro",),
        ("premium",),
    ]
    assert estimate("lmnt/blizzard", voicegauge_catalogue, characters_per_month=10, account_plans=["pro"]) == {
        "pro": 49.0
    }


@pytest.mark.parametrize(
    ("socket", "over_http"),
    [
        ("lmnt/blizzard-session", "lmnt/blizzard"),
        ("cartesia/sonic-3.5-socket", "cartesia/sonic-3.5"),
        ("deepgram/flux-tts-socket", "deepgram/flux-tts"),
        ("elevenlabs/flash-multi-context", "elevenlabs/flash-v2-5"),
    ],
)
def test_a_target_over_a_websocket_costs_what_the_one_costs_whose_price_it_has(
    socket: str, over_http: str, voicegauge_catalogue: Catalogue
) -> None:
    expected = estimate(over_http, voicegauge_catalogue, characters_per_month=1_000_000)
    assert expected
    assert estimate(socket, voicegauge_catalogue, characters_per_month=1_000_000) == expected


def test_a_provider_stands_for_its_targets_that_speak_over_websockets_too(voicegauge_catalogue: Catalogue) -> None:
    result = voicegauge.estimate_cost("deepgram", characters_per_month=1_000_000, contracts=voicegauge_catalogue)
    assert {cost.target for cost in result.costs} == {
        "deepgram/aura-2",
        "deepgram/aura-2-socket",
        "deepgram/flux-tts",
        "deepgram/flux-tts-socket",
    }


def test_websockets_are_listed_among_the_operations(voicegauge_catalogue: Catalogue) -> None:
    (provider,) = voicegauge.list_providers("deepgram", contracts=voicegauge_catalogue).providers
    sockets = {one.path: one.emulation_description for one in provider.operations if one.method == "WebSocket"}
    assert sockets == {
        "/v1/listen": "transcribes the audio while it arrives",
        "/v2/listen": "transcribes the audio while it arrives",
        "/v1/speak": "speaks the text while it arrives",
        "/v2/speak": "speaks the text while it arrives",
    }


def test_of_several_named_plans_the_cheapest_is_found_and_each_has_its_own_price(
    voicegauge_catalogue: Catalogue,
) -> None:
    costs = voicegauge.estimate_cost(
        "lmnt/blizzard", characters_per_month=1_000_000, account_plans=["indie", "pro"], contracts=voicegauge_catalogue
    ).costs
    assert [(cost.account_plan, cost.price.low_usd, cost.is_cheapest_plan) for cost in costs] == [
        ("indie", 50.0, False),
        ("pro", 49.0, True),
    ]
    assert [cost.price_description for cost in costs] == [
        "(third party: $0.05 / 1,000 characters)",
        "(third party: $0.045 / 1,000 characters)",
    ]


@pytest.mark.parametrize("command", [["cost"], ["bench", "--live", "--dry-run"], ["check", "--live", "--dry-run"]])
def test_an_unknown_plan_has_one_line_with_the_known_plans(capsys, command) -> None:
    assert run([*command, "lmnt/blizzard", "--plan", "Pro"]) == 2
    error = capsys.readouterr().err
    assert error.endswith("unknown plan 'Pro': did you mean pro? Known: free, indie, premium, pro\n")
    assert error.count("\n") == 1


def test_the_last_text_of_a_month_may_be_shorter(voicegauge_catalogue: Catalogue) -> None:
    (cost,) = voicegauge.estimate_cost(
        "pixazo/xtts-v2", characters_per_month=2_500, text_length=1_000, contracts=voicegauge_catalogue
    ).costs
    assert (cost.request_count, cost.charged_characters, cost.price.usd) == (3, 2_500, 0.05)  # 3 x $0.015 = $0.045
    assert cost.price_per_1m_characters.usd == pytest.approx(20)


@pytest.mark.parametrize(
    ("volume", "requests"), [(2_000, 2), (2_001, 3), (400, 1)], ids=["whole texts", "a rest", "less than a text"]
)
def test_any_volume_is_sent_in_whole_texts_and_a_rest(
    voicegauge_catalogue: Catalogue, volume: int, requests: int
) -> None:
    for target in ("cartesia/sonic-3.5", "openai/tts-1"):  # without a limit of the text, and with one
        costs = voicegauge.estimate_cost(
            target, characters_per_month=volume, text_length=1_000, contracts=voicegauge_catalogue
        ).costs
        assert {(cost.request_count, cost.charged_characters) for cost in costs} == {(requests, volume)}


def test_own_texts_show_what_the_provider_counts(voicegauge_catalogue: Catalogue, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("今天天气很好。\nGood evening.\n", encoding="utf-8")
    result = voicegauge.estimate_cost(
        "azure/neural", characters_per_month=2_000_000, texts=texts, contracts=voicegauge_catalogue
    )
    assert result.text_length == 10
    # 7 and 13 characters, of which 6 count twice: 26 of 20.
    assert result.costs[0].charged_characters == pytest.approx(2_600_000)
    assert (result.costs[0].price.low_usd, result.costs[0].price.high_usd) == (39, 41.6)


def test_credits_are_converted_at_the_rate_of_the_user(voicegauge_catalogue: Catalogue) -> None:
    assert estimate("ttsai/kokoro", voicegauge_catalogue, characters_per_month=3_000_000) == {None: None}
    rates = {"ttsai": 0.00001, "pixelapi": 0.002}
    assert estimate("ttsai/kokoro", voicegauge_catalogue, characters_per_month=3_000_000, credit_prices_usd=rates) == {
        None: 60.0
    }
    assert estimate(
        "pixelapi/voice-design", voicegauge_catalogue, characters_per_month=5_000, credit_prices_usd=rates
    ) == {None: 0.5}, "50 credits per request are documented in dollars as well, which the rate does not change"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"credit_prices_usd": {"openai": 1.0}}, UsageError),
        ({"credit_prices_usd": {"nobody": 1.0}}, UnknownNameError),
        ({"characters_per_month": 0}, UsageError),
        ({"characters_per_month": "2M"}, UsageError),
        ({"characters_per_month": math.nan}, UsageError),
        ({"characters_per_month": math.inf}, UsageError),
        ({"characters_per_month": 1.5}, UsageError),
        ({"characters_per_month": True}, UsageError),
        ({"characters_per_month": 10**13}, UsageError),
        ({"text_length": 0}, UsageError),
        ({"text_length": "500"}, UsageError),
        ({"credit_prices_usd": {"ttsai": 1e300}}, UsageError),
        ({"credit_prices_usd": {"ttsai": math.nan}}, UsageError),
        ({"credit_prices_usd": {"ttsai": "0.1"}}, UsageError),
        ({"targets": "ttsai/stt-whisper"}, UsageError),
    ],
)
def test_what_cannot_be_computed_is_an_error(voicegauge_catalogue: Catalogue, options, error) -> None:
    with pytest.raises(error):
        voicegauge.estimate_cost(**{"targets": "openai/tts-1", "contracts": voicegauge_catalogue, **options})


def test_a_whole_number_may_be_written_as_a_float(voicegauge_catalogue: Catalogue) -> None:
    by_int, by_float = (
        voicegauge.estimate_cost("openai/tts-1", contracts=voicegauge_catalogue, **numbers)
        for numbers in (
            {"characters_per_month": 1_000_000, "text_length": 400},
            {"characters_per_month": 1e6, "text_length": 4e2},
        )
    )
    assert by_float == by_int
    assert isinstance(by_float.characters_per_month, int)
    assert isinstance(by_float.text_length, int)


def test_the_command_prints_the_cheapest_plan_and_writes_all(capsys) -> None:
    volume = ["--characters-per-month", "1M", "--text-length", "300"]
    assert run(["cost", "lmnt/blizzard", "ttsai/kokoro", *volume]) == 0
    printed = capsys.readouterr().out
    assert "$49.00" in printed
    assert "premium" not in printed
    assert "--credit-rate ttsai=USD" in printed
    assert run(["cost", "lmnt/blizzard", *volume, "--json", "-"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert [cost["account_plan"] for cost in written["costs"]] == ["free", "indie", "pro", "premium"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--characters-per-month", "2Q"], "is not a number of characters, such as 2M"),
        (["--characters-per-month", "1000000000000000"], "is more than 1,000,000,000,000 characters"),
        (["--credit-rate", "ttsai"], "write PROVIDER=USD"),
        (["--credit-rate", "ttsai=1e300"], "price of a credit of ttsai: is not from 0 to $1,000"),
        (["--texts", "own.txt", "--text-length", "9"], "--text-length and --texts exclude each other"),
    ],
)
def test_a_malformed_option_has_one_line(capsys, arguments, message) -> None:
    assert run(["cost", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("volume", "length", "line"),
    [
        ("2M", "1000000", "2,000,000 characters per month, in texts of 1,000,000 characters"),
        ("2", "1", "2 characters per month, in texts of 1 character"),
    ],
)
def test_the_command_states_the_length_of_the_texts(capsys, volume, length, line) -> None:
    assert run(["cost", "openai/tts-1", "--characters-per-month", volume, "--text-length", length]) == 0
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(("text", "number"), [("2M", 2e6), ("1.5k", 1500), ("1,500,000", 1.5e6), ("7", 7), ("1B", 1e9)])
def test_a_number_of_characters_may_have_a_multiplier(capsys, text, number) -> None:
    assert run(["cost", "openai/tts-1", "--characters-per-month", text, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["characters_per_month"] == number


@pytest.mark.parametrize(("volume", "amounts"), [("2M", ("$8.00", "$0.00")), ("5M", ("$20.00", "$4.00"))])
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_free_quota_says_what_the_month_costs_with_it(volume, amounts, form, capsys) -> None:
    assert run(["cost", "google/standard", "--characters-per-month", volume, "--format", form]) == 0
    table, _, quota = " ".join(capsys.readouterr().out.replace("\\", "").split()).partition("free quota of google: ")
    usual, with_quota = amounts
    assert usual in table
    assert f"with it, this month costs {with_quota} (quoted) for standard" in quota


def test_a_free_quota_that_is_too_small_for_the_month_says_so(capsys) -> None:
    assert run(["cost", "lmnt", "--characters-per-month", "2M"]) == 0
    (line,) = (one for one in " ".join(capsys.readouterr().out.split()).split("free quota of ")[1:])
    assert line.startswith(
        "lmnt: 15,000 characters per month on its plan free; that plan has no more, which is too little for this month "
        "of blizzard, blizzard-session, blizzard-timestamps"
    )


def test_servers_of_ones_own_are_compared_with_services_only_if_they_are_named(
    voicegauge_catalogue: Catalogue,
) -> None:
    named = voicegauge.estimate_cost("openai-compatible/speech", contracts=voicegauge_catalogue)
    assert [cost.target for cost in named.costs] == ["openai-compatible/speech"]
    listed = {cost.target.partition("/")[0] for cost in voicegauge.estimate_cost(contracts=voicegauge_catalogue).costs}
    assert "openai" in listed
    assert "openai-compatible" not in listed


def test_all_plans_of_a_target_are_listed_by_price(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["cost", "lmnt/blizzard", "--characters-per-month", "1M", "--all-plans", "--format", "csv"]
    assert run(command) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[1] for line in lines][:3] == ["pro", "indie", "premium"]
    page = (Path(__file__).resolve().parents[3] / "docs/prices.md").read_text()
    columns = page.partition("| column | contains |")[2].partition("\n\n")[0]
    assert [name for name in heading.split(",") if f"`{name}`" not in columns] == []


def test_credits_have_one_name_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "ttsai/kokoro", "--format", "csv"]) == 0
    assert "2,000 credits / 1,000 characters" in capsys.readouterr().out
    assert run(["providers", "ttsai/kokoro"]) == 0
    assert "2,000 credits" in capsys.readouterr().out


def test_targets_of_one_provider_that_cost_the_same_are_one_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run(["cost", "murf", "openai/tts-1", "openai/tts-1-hd", "--format", "text"]) == 0
    rows = [line.split("$")[0].strip() for line in capsys.readouterr().out.splitlines() if "/" in line]
    assert rows[:2] == ["openai/tts-1", "murf/gen2, gen2-base64, gen2-stream"]
    assert "openai/tts-1-hd" in rows


def test_the_price_of_a_month_has_its_upper_bound(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["cost", "openai/gpt-4o-mini-tts", "--characters-per-month", "2M"]
    assert run([*command, "--format", "text"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert run([*command, "--format", "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    amount, _, bound = row["month_price_text"].rstrip(")").partition(" (at most ")
    assert f"{amount} (at" in printed
    assert bound in printed


def test_a_target_without_a_documented_price_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "openapi.yaml").write_text(MINIMAL_CONTRACT)
    for form in ("text", "markdown"):
        assert run(["cost", "acme", "lmnt/blizzard", "--contracts", str(tmp_path), "--format", form]) == 0
        assert "no document states a price of acme/" in capsys.readouterr().out

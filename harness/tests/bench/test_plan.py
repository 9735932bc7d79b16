from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voicegauge
from voicegauge.api.progress import ProgressListener
from voicegauge.bench.benchmark_plan import BenchPlan, BenchPlanSettings, build_measured_target, plan_benchmark_requests
from voicegauge.bench.request_building import build_speech_request
from voicegauge.bench.suites import Suite, load_own_texts
from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.contract import Target
from voicegauge.contract.loading import Catalogue
from voicegauge.errors import BudgetError, DataError, UsageError
from voicegauge.model.base import Provenance, VoiceSample

LIVE = Provenance.LIVE
SETTINGS = st.builds(
    BenchPlanSettings,
    sessions=st.integers(1, 3),
    repetitions=st.integers(1, 3),
    warmup=st.integers(0, 5),
    seed=st.integers(0, 99),
)


def plan(
    suite: Suite, targets: dict[str, Target], settings: BenchPlanSettings | None = None, **words: object
) -> BenchPlan:
    words = {"provenance": LIVE, **words}
    return plan_benchmark_requests(suite, list(targets.values()), settings or BenchPlanSettings(), **words)  # type: ignore[arg-type]  # as above


@given(settings=SETTINGS)
def test_targets_are_interleaved_text_by_text(
    suite: Suite, targets: dict[str, Target], settings: BenchPlanSettings
) -> None:
    made = plan(suite, targets, settings)
    measured = [row for row in made.rounds if not row[0].is_warmup]
    speakers = {"en": set(targets), "fr": {"acme/job"}}
    for row in measured:
        assert len({one.text.id for one in row}) == 1
        assert sorted(one.target for one in row) == sorted(speakers[row[0].text.language])
        assert len({(one.session_number, one.repetition_number) for one in row}) == 1
    rounds = Counter((row[0].session_number, row[0].repetition_number, row[0].text.id) for row in measured)
    assert set(rounds.values()) == {1}
    assert len(rounds) == settings.sessions * settings.repetitions * len(suite.texts)


@given(settings=SETTINGS)
def test_every_sample_has_a_unique_id_and_sessions_do_not_mix(
    suite: Suite, targets: dict[str, Target], settings: BenchPlanSettings
) -> None:
    made = plan(suite, targets, settings)
    ids = [one.id for row in made.rounds for one in row]
    assert len(ids) == len(set(ids)) == made.request_count == sum(line.request_count for line in made.target_costs)
    sessions = [row[0].session_number for row in made.rounds]
    assert sessions == sorted(sessions)


@given(settings=SETTINGS)
def test_each_session_warms_every_target_up_first(
    suite: Suite, targets: dict[str, Target], settings: BenchPlanSettings
) -> None:
    made = plan(suite, targets, settings)
    for session in range(1, settings.sessions + 1):
        rows = [row for row in made.rounds if row[0].session_number == session]
        assert [row[0].is_warmup for row in rows] == sorted((row[0].is_warmup for row in rows), reverse=True)
        warm = Counter(one.target for row in rows for one in row if one.is_warmup)
        assert warm == (Counter(dict.fromkeys(targets, settings.warmup)) if settings.warmup else Counter())


@given(settings=SETTINGS)
def test_the_same_seed_gives_the_same_order(
    suite: Suite, targets: dict[str, Target], settings: BenchPlanSettings
) -> None:
    assert plan(suite, targets, settings) == plan(suite, targets, settings)


def test_another_seed_gives_another_order_and_digest(suite: Suite, targets: dict[str, Target]) -> None:
    first, second = (plan(suite, targets, BenchPlanSettings(repetitions=5, seed=seed)) for seed in (1, 2))
    assert [row[0].text.id for row in first.rounds] != [row[0].text.id for row in second.rounds]
    assert first.sha256 != second.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"base_urls": {"": "http://127.0.0.1:1"}},
        {"voice_sample": VoiceSample(url="https://example.test/voice.wav")},
        {"provenance": Provenance.EMULATED},
        {"settings": BenchPlanSettings(warmup=0)},
    ],
)
def test_everything_that_decides_what_is_sent_is_in_the_digest(
    suite: Suite, targets: dict[str, Target], change: dict[str, object]
) -> None:
    assert plan(suite, targets).sha256 != plan(suite, targets, **change).sha256
    assert plan(suite, targets).sha256 != plan(suite.select_texts(max_texts=1), targets).sha256


def test_the_plan_is_priced_by_request_and_by_character(suite: Suite, targets: dict[str, Target]) -> None:
    made = plan(suite.select_texts(languages=["en"]), targets, BenchPlanSettings(warmup=0))
    quoted = {line.target: line for line in made.target_costs}
    characters = sum(len(text.text) for text in suite.texts if text.language == "en")
    assert quoted["acme/job"].usd == pytest.approx(0.03)
    assert quoted["acme/now"].usd == pytest.approx(characters * 0.1 / 1000)
    assert quoted["acme/unpriced"].usd is None
    refs = {target.id: target for target in made.targets}
    assert [claim.compute_usd(700) for claim in refs["acme/job"].price.claims] == [0.01]
    assert [claim.compute_usd(700) for claim in refs["acme/now"].price.claims] == [pytest.approx(0.07)]
    assert refs["acme/now"].max_characters == 400


def test_an_undocumented_price_is_rejected_and_can_be_given(suite: Suite, targets: dict[str, Target]) -> None:
    with pytest.raises(UsageError, match=r"--price acme/unpriced=USD"):
        plan(suite, targets).check_budget(1.0)
    plan(suite, targets, user_price_usd_by_target={"acme/unpriced": 0.02}).check_budget(1.0)


def test_a_recommended_length_is_not_the_longest_text_of_a_target(voicegauge_catalogue: Catalogue) -> None:
    names = ("pixazo/xtts-v2", "pixelapi/voice-design", "rime/coda", "ttsai/kokoro")
    found = [build_measured_target(voicegauge_catalogue.targets[name]).max_characters for name in names]
    assert found == [None, 500, 1000, 500]


def test_a_price_given_by_the_user_leaves_the_credits_unchanged(voicegauge_catalogue: Catalogue) -> None:
    ref = build_measured_target(voicegauge_catalogue.targets["ttsai/kokoro"], 0.01)
    assert [claim.compute_usd(500) for claim in ref.price.claims] == [0.01, None, None]
    assert [claim.compute_credits(500) for claim in ref.price.claims] == [None, 1000, 500]  # Kokoro is disputed
    assert ref.price.description == "$0.01 / request (--price)"


def test_a_plan_more_expensive_than_the_budget_is_rejected_before_anything_is_sent(
    suite: Suite, targets: dict[str, Target]
) -> None:
    made = plan(suite, {"acme/job": targets["acme/job"]})
    assert made.cost_usd == 0.05
    made.check_budget(0.05)
    with pytest.raises(BudgetError, match=r"5 requests cost \$0\.05"):
        made.check_budget(0.04)


def test_prices_add_up_exactly(suite: Suite, targets: dict[str, Target]) -> None:
    """As a sum of binary fractions, thirty requests at $0.01 cost more than $0.30."""
    settings, prices = BenchPlanSettings(repetitions=6), {"acme/job": 0.01}
    made = plan(suite, {"acme/job": targets["acme/job"]}, settings, user_price_usd_by_target=prices)
    assert made.cost_usd == made.request_count / 100
    made.check_budget(made.request_count / 100)


def test_targets_that_support_no_language_of_the_suite_are_left_out_and_listed(
    suite: Suite, targets: dict[str, Target]
) -> None:
    made = plan(suite.select_texts(languages=["fr"]), targets)
    assert [target.id for target in made.targets] == ["acme/job"]
    assert set(made.unsupported_target_ids) == set(targets) - {"acme/job"}
    with pytest.raises(DataError, match=r"no target supports .* \(fr\), but acme/now: not documented: choose another"):
        plan(suite.select_texts(languages=["fr"]), {"acme/now": targets["acme/now"]})


def test_the_error_about_languages_names_those_of_the_targets_and_how_to_map_one(tmp_path: Path) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("language,text\nen-GB,Hello.\nxx,Hello.\n")
    with pytest.raises(DataError) as error:
        voicegauge.plan_benchmark(["lmnt/blizzard", "murf/gen2"], texts=texts)
    assert "(en-GB, xx), but lmnt/blizzard: " in str(error.value)
    assert "; murf/gen2: en, es: choose another suite or --language" in str(error.value)
    assert "provider_values: {en: en-GB}" in str(error.value)


def test_a_text_in_the_tag_of_the_provider_is_measured_as_the_language_of_the_contract(
    voicegauge_catalogue: Catalogue, tmp_path: Path
) -> None:
    """Murf's contract has "en" and sends "en-US"; no text is sent in another region, which Murf might reject."""
    texts = tmp_path / "texts.csv"
    texts.write_text("language,text\nen-US,Hello.\nen,Hello.\nen-GB,Hello.\n")
    target = voicegauge_catalogue.targets["murf/gen2"]
    assert isinstance(target, Target)
    made = plan(load_own_texts(texts), {target.id: target}, BenchPlanSettings(warmup=0))
    planned = {one.text for row in made.rounds for one in row}
    assert {text.language for text in planned} == {"en", "en-US"}
    requests = [map_speech_request(target, build_speech_request(target, text)) for text in planned]
    assert [request.body["locale"] for request in requests] == ["en-US", "en-US"]


@pytest.mark.parametrize("is_named", [True, False])
def test_languages_that_no_document_lists_are_measured_if_the_user_asks_for_them(is_named, tmp_path) -> None:
    """A target whose documented languages do not include that of the texts is left out in both cases."""
    notices: list[str] = []
    progress = ProgressListener()
    progress.notice = notices.append  # type: ignore[method-assign]
    texts = tmp_path / "texts.csv"
    texts.write_text("language,text\nxx,Guten Tag.\nen,Hello.\n" if is_named else "language,text\nen,Hello.\n")
    names = ("openai/tts-1", "lmnt/blizzard")
    found = voicegauge.plan_benchmark(names, texts=texts, progress=progress)
    requests = {one.target: one.request_count - found.settings.warmup for one in found.targets}
    assert requests == {"openai/tts-1": 2 if is_named else 1, "lmnt/blizzard": 1}
    said = "languages of openai/tts-1 are not documented; measured in xx"
    assert (said in notices) is is_named

"""Requirements are judged by the results of their cases, and what was not judged never counts as passed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec
import pytest

from voicegauge.cases.plan import CasePatterns, matches_case_pattern, plan_cases
from voicegauge.conformance.check_report import CaseResult, CheckReport
from voicegauge.errors import UnknownNameError
from voicegauge.profiles.judging import (
    Profile,
    ProfileReport,
    compute_profile_digest,
    describe_all_verdicts,
    judge_profile,
    list_profiles,
    load_profile,
    load_profile_contract,
    render_profile_page,
)

ID = "openai-speech@2026-11"
PROFILE = load_profile(ID)
DELIVERY = "speech: a full delivery"
BY_BREAKAGE = load_profile("openai-speech@2026-11b")
"""It separates what breaks clients from what does not."""
OF_TRANSCRIPTION = load_profile("openai-transcription@2026-11")
NEWER = (BY_BREAKAGE, OF_TRANSCRIPTION)


def judge(
    *,
    profile: Profile = PROFILE,
    claimed: tuple[str, ...] = (),
    missing: str = "",
    statuses: Mapping[str, int] = {},
    **changes: dict[str, str],
) -> ProfileReport:
    """Judge a check in which every case passed, but for those in `changes`, which have violations or were skipped."""
    cases = []
    for pattern in profile.case_patterns:
        name = pattern.replace("*", "nova")
        violations = changes.get(name.partition("/")[2], {})
        reason = violations.pop("skipped", None) if violations else None
        if name.partition("/")[2] != missing:
            verdict = "failed" if violations else "skipped" if reason else "passed"
            case = CaseResult(
                id=name,
                operation="",
                verdict=verdict,  # type: ignore[arg-type]
                status=statuses.get(name.partition("/")[2]),
                not_judged_reason=reason,
                message_by_violated_rule=violations,
            )
            cases.append(case)
    report = CheckReport(
        voicegauge_version="1", created_at="", is_finished=True, seed=0, targets=(), case_results=tuple(cases)
    )
    return judge_profile(profile, report, server="http://127.0.0.1:1/v1", claimed_capabilities=claimed)


def find_ids(report: ProfileReport, verdict: str) -> set[str]:
    return {one.id for one in report.requirement_results if one.verdict == verdict}


def test_published_profiles_never_change() -> None:
    """A profile with another checksum would judge servers differently under the same name: publish a new one."""
    assert {name: compute_profile_digest(name) for name in list_profiles()} == {
        ID: "5cbc3528dd971a41d5d91c9607afb2b19adf4f9385093eedf169292e4db94f04",
        BY_BREAKAGE.id: "4df9616628529f114831899a4b22e4e3e53e93cf2bfcb1665af12ed30fed1f1d",
        OF_TRANSCRIPTION.id: "8b3104cf06726c8f4b7d68062441e7157ef237235d0d1d0c54c88a76f6cee940",
    }


def test_the_requests_of_a_published_profile_never_change() -> None:
    """Another request or expected outcome under the same name would change results: keep what the profile plans."""
    contract = load_profile_contract(PROFILE)
    plan = plan_cases(list(contract.targets.values()), is_emulated=False, include_all_billable_cases=True)
    cases = CasePatterns(patterns=PROFILE.case_patterns).select_cases(plan).cases
    bodies = {one.id: one.request.body for one in cases if one.request is not None}
    speech = {one.id: one.speech_request for one in cases if one.speech_request is not None}
    bodies |= {name: [one.text, one.voice, one.format, one.speed, one.extra] for name, one in speech.items()}
    rows = sorted((one.id, one.expected_response.acceptance, repr(bodies[one.id])) for one in cases)
    assert len(rows) == 31
    assert hashlib.sha256(msgspec.json.encode(rows)).hexdigest()[:16] == "e4a00ed8f026de2d"


@pytest.mark.parametrize("profile", [PROFILE, *NEWER], ids=lambda profile: profile.id)
def test_a_profile_states_where_each_requirement_comes_from(profile: Profile) -> None:
    levels = [one.level for one in profile.requirements]
    assert levels.count("required") >= 15
    assert len({one.id for one in profile.requirements}) == len(levels)
    for one in profile.requirements:
        assert profile.sources[one.source.document_name].url.startswith("https://")
        assert bool(one.not_scored_reason) == (one.level == "not-scored") == (not one.case_patterns)
        assert (one.capability in profile.capabilities) == (one.level == "optional")
        assert set(one.permissive_rule_ids) <= set(one.rule_ids)


@pytest.mark.parametrize("profile", NEWER, ids=lambda profile: profile.id)
def test_the_plan_has_the_cases_of_every_requirement(profile: Profile) -> None:
    contract = load_profile_contract(profile)
    targets = [*contract.targets.values()] or [*contract.audio_input_targets.values()]
    plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=True)
    ids = [case.id for case in CasePatterns(patterns=profile.case_patterns).select_cases(plan).cases]
    assert [one for one in profile.case_patterns if not any(matches_case_pattern(name, one) for name in ids)] == []


def test_to_accept_more_than_documented_is_no_failure_but_a_server_error_is() -> None:
    accepted = {"createSpeech: speed 0.24": {"accepts-invalid": "accepted with 200"}}
    report = judge(profile=BY_BREAKAGE, **accepted)
    assert find_ids(report, "more-permissive") == {"speed-too-slow"}
    assert (report.verdict, report.score.percent, report.score.more_permissive_count) == ("passed", 100, 1)
    assert report.score.required_count == judge(profile=BY_BREAKAGE).score.required_count - 1
    assert "more permissive than documented in 1" in render_profile_page(report)
    said = re.fullmatch(
        r"\d+ of (\d+) required passed \(100%\), (1) more permissive; optional: (\d+) passed; (\d+) not scored",
        describe_all_verdicts(report),
    )
    assert said is not None
    assert sum(map(int, said.groups())) == len(report.requirement_results)
    assert find_ids(judge(**accepted), "failed") == {"speed-too-slow"}  # in the first edition
    disguised = {"createSpeech: speed 0.24": {"accepts-invalid": "an error is sent with the success status 200"}}
    assert find_ids(judge(profile=BY_BREAKAGE, **disguised), "failed") == {"speed-too-slow"}
    crashed = {"createSpeech: speed 0.24": {"server-error": "got status 500"}}
    report = judge(profile=BY_BREAKAGE, **crashed, statuses={"createSpeech: speed 0.24": 500})
    assert (find_ids(report, "failed"), find_ids(report, "more-permissive")) == ({"speed-too-slow"}, set())


def test_a_format_or_a_list_that_the_server_rejects_is_not_offered() -> None:
    lacking = {f"{DELIVERY} as aac": {"rejects-valid": "rejected with 400"}}
    report = judge(profile=BY_BREAKAGE, **lacking, statuses={"listModels: a plain request": 404})
    assert find_ids(report, "not-offered") == {"format-aac", "models-list"}
    assert report.verdict == "passed"
    wrong = judge(profile=BY_BREAKAGE, **{f"{DELIVERY} as aac": {"audio-format": "expected aac, got wav"}})
    assert (find_ids(wrong, "failed"), wrong.verdict) == ({"format-aac"}, "passed")


def test_an_unknown_profile_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match=f"unknown profile 'openai@2020-01': .*Known: {ID}"):
        load_profile("openai@2020-01")


def test_everything_passed() -> None:
    report = judge()
    assert (report.verdict, report.score.required_passed_count, report.score.percent) == (
        "passed",
        report.score.required_count,
        100,
    )


@pytest.mark.parametrize(
    ("passed", "judged", "percent"),
    [(11, 23, 48), (10, 23, 43), (299, 300, 99), (1, 300, 1), (0, 300, 0), (300, 300, 100), (0, 0, None)],
)
def test_the_percentage_is_rounded_and_is_100_only_if_all_passed(passed: int, judged: int, percent: int | None) -> None:
    score = msgspec.structs.replace(judge().score, required_passed_count=passed, required_judged_count=judged)
    assert score.percent == percent


def test_a_violated_rule_fails_its_requirement_with_the_reason() -> None:
    report = judge(**{f"{DELIVERY} with speed 2": {"speed-ignored": "as long as at speed 1"}})
    (failed,) = (one for one in report.requirement_results if one.verdict == "failed")
    assert (failed.id, failed.verdict_reason, failed.broken_rule_ids) == (
        "speed-changes",
        "as long as at speed 1",
        ("speed-ignored",),
    )
    assert failed.case_ids == ("openai-speech/speech: a full delivery with speed 2",)
    assert report.verdict == "failed"


def test_what_depends_on_another_requirement_is_not_judged() -> None:
    report = judge(**{DELIVERY: {"audio-undecodable": "no audio"}})
    assert "audio-readable" in find_ids(report, "failed")
    assert {"audio-audible", "audio-length", "text-whole", "format-default"} <= find_ids(report, "not-judged")
    assert report.score.required_judged_count + report.score.required_not_judged_count == report.score.required_count


def test_a_skipped_or_unplanned_case_is_not_judged_and_does_not_count() -> None:
    skipped = judge(**{"createSpeech: speed 4": {"skipped": "busy (503)"}})
    unplanned = judge(missing=f"{DELIVERY} with the voice nova")
    assert find_ids(skipped, "not-judged") == {"speed-fastest"}
    assert find_ids(unplanned, "not-judged") == {"voice-changes"}
    for report in (skipped, unplanned):
        score = report.score
        assert report.verdict == "not-judged"
        assert score.required_passed_count == score.required_judged_count == score.required_count - 1


def test_one_busy_response_is_not_judged_and_more_are_a_server_error() -> None:
    def judge_busy(*names: str) -> ProfileReport:
        cases = [CaseResult(id=name, operation="", verdict="passed") for name in PROFILE.case_patterns]
        busy = {
            "status": 503,
            "not_judged_reason": "busy (503)",
            "message_by_violated_rule": {"status-undocumented": "got status 503"},
        }
        cases = [msgspec.structs.replace(one, **(busy if one.id.endswith(names) else {})) for one in cases]
        report = CheckReport(
            voicegauge_version="1", created_at="", is_finished=True, seed=0, targets=(), case_results=tuple(cases)
        )
        return judge_profile(PROFILE, report, server="http://127.0.0.1:1/v1")

    once = judge_busy("createSpeech: speed 0.25")
    assert find_ids(once, "not-judged") == {"speed-slowest"}
    (requirement,) = (one for one in once.requirement_results if one.id == "speed-slowest")
    assert requirement.verdict_reason == "busy (503)"
    twice = judge_busy("createSpeech: speed 0.25", "createSpeech: speed 4")
    assert {"speed-slowest", "speed-fastest"} <= find_ids(twice, "failed")
    assert {one.verdict_reason for one in twice.requirement_results if one.id == "speed-fastest"} == {
        "got status 503 in 2 cases"
    }


def test_one_rejection_is_enough_to_judge_the_shape_of_errors() -> None:
    accepted = {"accepts-invalid": "accepted with 200"}
    assert "error-shape" in find_ids(judge(**{"createSpeech: speed 4.01": dict(accepted)}), "passed")
    both = {"createSpeech: speed 4.01": dict(accepted), "createSpeech: input left out": dict(accepted)}
    assert "error-shape" in find_ids(judge(**both), "not-judged")


def test_a_redirect_is_no_rejection_and_gives_no_verdict_on_the_shape_of_errors() -> None:
    cases = tuple(
        CaseResult(id=name, operation="", verdict="passed", status=307)
        for name in PROFILE.case_patterns
        if name.partition("/")[2].startswith(("createSpeech: input left out", "createSpeech: speed 4.01"))
    )
    report = CheckReport(
        voicegauge_version="1", created_at="", is_finished=True, seed=0, targets=(), case_results=cases
    )
    judged = judge_profile(PROFILE, report, server="http://127.0.0.1:1/v1")
    assert find_ids(judged, "failed") == {"input-missing", "speed-too-fast"}
    assert "error-shape" in find_ids(judged, "not-judged")


def test_a_capability_that_the_server_lacks_counts_only_if_it_is_claimed() -> None:
    rejected = {"speech-sse: a full delivery": {"rejects-valid": "rejected with 400"}}
    sse = {"sse-events", "sse-audio", "stream-format-unknown"}
    report = judge(**rejected)
    assert find_ids(report, "not-offered") == sse
    assert report.verdict == "passed"
    claimed = judge(claimed=("sse",), **rejected)
    assert find_ids(claimed, "failed") == sse
    assert claimed.score.required_count == report.score.required_count + 3
    with pytest.raises(UnknownNameError, match="known: instructions, models, pcm, sse"):
        judge(claimed=("video",))

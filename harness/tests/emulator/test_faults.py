"""Each fault changes the behavior that it describes, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.emulator.process import SCENARIO_HEADER, EmulatorSettings
from voicegauge.errors import UnknownNameError
from voicegauge.rules._metamorphic import MAX_SAME_WORDS_MISMATCH
from voicegauge.speech.audio_measurement import is_silent, measure_leading_silence_s, measure_speech_mismatch
from voicegauge.speech.decoding import decode
from voicegauge.speech.speech_signal import is_steady_sound, measure_clipped_share

TEXT = "Good morning, this is a test of ten words or so."
EXPIRES_S = 3600  # documented by the fictional contract


class Step:
    """One response, without the parts that differ between runs."""

    def __init__(self, response: httpx.Response | None, root: str) -> None:
        self.status = response.status_code if response is not None else 0
        self.content = response.content if response is not None else b""
        headers = response.headers.items() if response is not None else ()
        self.headers = {name: value for name, value in headers if name not in ("date", "server", "content-length")}
        self.text = self.content.decode(errors="replace").replace(root, "ROOT")

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and (self.status, self.headers, self.text) == (
            other.status,
            other.headers,
            other.text,
        )

    __hash__ = None  # type: ignore[assignment]  # steps are compared, never looked up


Steps = dict[str, Step]


async def _latest(api: Any) -> str:
    """The id of the latest job."""
    return str((await api.control("GET", "/state"))["acme"]["jobs"][-1]["id"])


async def _play(api: Any) -> Steps:
    """Send all kinds of requests: jobs (completed, cancelled, expired), synchronous speech, a list, and errors."""
    steps: Steps = {}

    async def note(name: str, method: str, path: str, **more: Any) -> Step:
        try:
            response = await api.send(method, path, **more)
        except httpx.TransportError:
            response = None
        steps[name] = Step(response, api.url)
        return steps[name]

    await note("submit", "POST", "/speech", json={"text": TEXT, "format": "wav"})
    job = await _latest(api)
    for number in (1, 2, 3, 4):
        await note(f"poll{number}", "GET", f"/jobs/{job}")
    await note("audio", "GET", f"{api.url}/_emulator/media/acme/{job}.wav")
    await note("again", "POST", "/speech", json={"text": TEXT, "format": "wav"})
    cancelled = await _latest(api)
    await note("cancel", "DELETE", f"/jobs/{cancelled}")
    await note("cancelled", "GET", f"/jobs/{cancelled}")
    await note("now", "POST", "/now", data={"text": TEXT})
    await note("list", "GET", "/voices")
    await note("fastest", "POST", "/speech", json={"text": TEXT, "speed": 2})
    await note("no-key", "POST", "/speech", json={"text": TEXT}, key=None)
    await note("too-fast", "POST", "/speech", json={"text": TEXT, "speed": 3})
    await note("limited", "POST", "/speech", json={"text": TEXT}, headers={SCENARIO_HEADER: "rate-limited"})
    await api.control("POST", "/clock", {"advance_s": EXPIRES_S + 1})
    await note("expired", "GET", f"/jobs/{job}")
    return steps


SUBMITS = {"submit", "again", "fastest"}
POLLS = {"poll1", "poll2", "poll3", "poll4"}
ENDED = {"poll2", "poll3", "poll4"}
STATUS_RESPONSES = POLLS | {"cancelled"}
ERRORS = {"no-key", "too-fast", "limited", "expired"}
HAS_AUDIO = {"audio", "now"}
HAS_BODY = SUBMITS | STATUS_RESPONSES | HAS_AUDIO | {"list"}


def _states(steps: Steps) -> list[str]:
    return [steps[name].json["state"] for name in sorted(POLLS)]


def _shorter_or_longer(right: Steps, wrong: Steps) -> bool:
    ratio = decode(wrong["now"].content).duration_s / decode(right["now"].content).duration_s
    return ratio < 0.5 or ratio > 2


def _shorter(right: Steps, wrong: Steps) -> bool:
    return decode(wrong["now"].content).duration_s < 0.8 * decode(right["now"].content).duration_s


def _longer(right: Steps, wrong: Steps) -> bool:
    return decode(wrong["now"].content).duration_s > 1.5 * decode(right["now"].content).duration_s


def _has_a_gap(right: Steps, wrong: Steps) -> bool:
    """Whether a tenth of a second is quiet where the speech is loudest."""
    before, after = (decode(one["now"].content).samples for one in (right, wrong))
    loudest, margin = int(np.argmax(np.abs(before))), round(0.03 * 24_000)
    gap = slice(loudest - margin, loudest + margin)
    return len(before) == len(after) and bool(np.abs(after[gap]).max() < 0.1 * np.abs(before[gap]).max())


def _same_words_in_other_sound(right: Steps, wrong: Steps) -> bool:
    before, after = decode(right["now"].content), decode(wrong["now"].content)
    mismatch = measure_speech_mismatch(before.samples, before.sample_rate_hz, after.samples, after.sample_rate_hz)
    return 0.1 < mismatch < MAX_SAME_WORDS_MISMATCH


Check = Callable[[Steps, Steps], bool]
EXPECTED: dict[str, tuple[set[str], Check]] = {
    "wrong-type": (SUBMITS | STATUS_RESPONSES, lambda _, wrong: isinstance(wrong["submit"].json["cost"], dict)),
    "missing-field": (SUBMITS | STATUS_RESPONSES, lambda _, wrong: "cost" not in wrong["submit"].json),
    "renamed-field": (SUBMITS | STATUS_RESPONSES, lambda _, wrong: {"cost_", "id"} <= set(wrong["submit"].json)),
    "null-field": (SUBMITS | STATUS_RESPONSES, lambda _, wrong: wrong["submit"].json["cost"] is None),
    "wrong-error-shape": (ERRORS, lambda _, wrong: isinstance(wrong["no-key"].json, list)),
    "empty-body": (HAS_BODY, lambda _, wrong: wrong["now"].content == b""),
    "wrong-content-type": (
        HAS_BODY | {"cancel"},
        lambda right, wrong: (
            (wrong["submit"].headers["content-type"], wrong["submit"].text) == ("text/plain", right["submit"].text)
        ),
    ),
    "unknown-status": (ENDED, lambda _, wrong: _states(wrong)[1] == "voicegauge-unknown"),
    "backwards-transition": (
        ENDED,
        lambda _, wrong: _states(wrong) == ["working", "queued", "working", "done"],
    ),
    "terminal-flip": ({"poll3", "poll4", "audio"}, lambda _, wrong: _states(wrong)[1:3] == ["done", "failed"]),
    "failure-undone": (ENDED, lambda _, wrong: _states(wrong)[1:3] == ["failed", "done"]),
    "stuck-job": (ENDED | {"audio", "expired"}, lambda _, wrong: _states(wrong) == ["working"] * 4),
    "completed-without-output": (ENDED, lambda _, wrong: wrong["poll2"].json["audio"] is None),
    "failed-without-reason": (
        ENDED | {"cancelled", "audio"},
        lambda _, wrong: (wrong["poll2"].json["state"], wrong["poll2"].json["reason"]) == ("failed", None),
    ),
    "bad-timestamps": (
        STATUS_RESPONSES,
        lambda _, wrong: wrong["poll2"].json["created"] > wrong["poll2"].json["finished"],
    ),
    "created-changed": (
        STATUS_RESPONSES,
        lambda _, wrong: wrong["poll1"].json["created"] != wrong["poll2"].json["created"],
    ),
    "id-changed": (STATUS_RESPONSES, lambda right, wrong: wrong["poll1"].json["id"] != right["poll1"].json["id"]),
    "wrong-model": (STATUS_RESPONSES, lambda _, wrong: wrong["poll1"].json["model"] == "model-small-lite"),
    "ignores-cancelling": (
        {"cancelled", "fastest"},  # without a refund, the next job finds a lower balance
        lambda right, wrong: (
            (right["cancelled"].json["state"], wrong["cancelled"].json["state"]) == ("void", "working")
            and right["fastest"].json["left"] - wrong["fastest"].json["left"] == wrong["cancelled"].json["cost"]
        ),
    ),
    "never-expires": (
        {"expired"},
        lambda right, wrong: right["expired"].status == 404 and wrong["expired"].text == wrong["poll4"].text,
    ),
    "wrong-polling-url": (SUBMITS, lambda _, wrong: wrong["submit"].json["id"] not in wrong["submit"].json["poll"]),
    "wrong-charge": (
        SUBMITS | POLLS | {"now"},
        lambda right, wrong: wrong["submit"].json["cost"] > 2 * right["submit"].json["cost"],
    ),
    "excess-usage": (set(), lambda right, wrong: right == wrong),  # no price depends on usage
    "markup-spoken": (set(), lambda right, wrong: right == wrong),  # no text is markup
    "silent-audio": (HAS_AUDIO, lambda _, wrong: is_silent(decode(wrong["now"].content).samples, 24000)),
    "noise-as-speech": (HAS_AUDIO, lambda _, wrong: is_steady_sound(decode(wrong["now"].content).samples, 24000)),
    "another-voice": (HAS_AUDIO, _same_words_in_other_sound),
    "long-silence": (
        HAS_AUDIO,
        lambda _, wrong: measure_leading_silence_s(decode(wrong["now"].content).samples, 24000) >= 5,
    ),
    "speech-interrupted": (HAS_AUDIO, _has_a_gap),
    "clipped-audio": (HAS_AUDIO, lambda _, wrong: measure_clipped_share(decode(wrong["audio"].content).samples) > 0.02),
    "speech-cut": (HAS_AUDIO, _shorter),
    "speech-repeated": (HAS_AUDIO, _longer),
    "speech-too-fast": (HAS_AUDIO, _shorter),
    "word-replaced": (HAS_AUDIO, lambda right, wrong: right["now"].content != wrong["now"].content),
    "same-audio-for-all-texts": (
        HAS_AUDIO,
        lambda right, wrong: decode(wrong["now"].content).duration_s != decode(right["now"].content).duration_s,
    ),
    "wrong-format": (
        HAS_AUDIO,
        lambda right, wrong: (
            decode(wrong["now"].content).container == "flac" and wrong["now"].headers == right["now"].headers
        ),
    ),
    "text-ignored": (HAS_AUDIO, _shorter_or_longer),
    # The steps compare no two values of a parameter.
    "speed-ignored": (set(), lambda right, wrong: right == wrong),
    "speed-limited": (set(), lambda right, wrong: right == wrong),
    "voice-ignored": (set(), lambda right, wrong: right == wrong),
    "language-ignored": (set(), lambda right, wrong: right == wrong),
    "seed-ignored": (set(), lambda right, wrong: right == wrong),
    "format-changes-text": (set(), lambda right, wrong: right == wrong),
    "format-changes-words": (set(), lambda right, wrong: right == wrong),
    "seed-not-kept": (HAS_AUDIO, lambda right, wrong: right != wrong),
    "response-kind-ignored": (set(), lambda right, wrong: right == wrong),  # nothing selects a kind
    "unauthorized-cut-off": ({"no-key"}, lambda _, wrong: wrong["no-key"].status == 0),
    "default-format-changed": ({"now"}, lambda _, wrong: decode(wrong["now"].content).container == "wav"),
    "audio-swapped": (set(), lambda right, wrong: right == wrong),  # no requests at the same moment
    "long-text-cut": (set(), lambda right, wrong: right == wrong),
    "truncated-audio": (HAS_AUDIO, lambda right, wrong: right["audio"].content.startswith(wrong["audio"].content)),
    "html-as-audio": (
        HAS_AUDIO,
        lambda right, wrong: "<html>" in wrong["now"].text and wrong["now"].headers == right["now"].headers,
    ),
    "server-error-at-boundary": ({"fastest"}, lambda _, wrong: wrong["fastest"].status == 500),
    "flaky-503": ({"now"}, lambda _, wrong: wrong["now"].status == 503),
    "drops-connection": (HAS_BODY | ERRORS, lambda _, wrong: wrong["submit"].status == 0),
    "crosstalk": (set(), lambda right, wrong: right == wrong),  # only one job exists at a time
    "slow": (set(), lambda right, wrong: right == wrong),
    "ignored-key": ({"no-key"}, lambda _, wrong: wrong["no-key"].status == 202),
    "accepts-invalid": ({"too-fast"}, lambda _, wrong: wrong["too-fast"].status == 202),
    "missing-retry-after": ({"limited"}, lambda _, wrong: "retry-after" not in wrong["limited"].headers),
    "negative-retry-after": ({"limited"}, lambda _, wrong: int(wrong["limited"].headers["retry-after"]) < 0),
    "missing-header": (SUBMITS | {"now"}, lambda _, wrong: "x-limit" not in wrong["submit"].headers),
    "undocumented-status": (HAS_BODY - {"audio"} | {"cancel"}, lambda _, wrong: wrong["submit"].status == 203),
}


# Faults of features that the fictional contract lacks: streams, uploads, webhooks, timestamps, rate limits, resources.
NOT_IN_ACME = ("stream-", "upload-", "other-", "webhook-", "timestamps-", "socket-", "wrong-rate-limit")
RESOURCE_FAULTS = {
    "uses-deleted",
    "lists-deleted",
    "ignores-state",
    "shares-accounts",
    "accepts-too-many",
    "ignores-filters",
}


def test_every_fault_has_an_expected_effect() -> None:
    here = {fault for fault in FAULTS if not fault.startswith(NOT_IN_ACME)} - RESOURCE_FAULTS
    assert set(EXPECTED) == here
    assert len(FAULTS) >= 20
    assert len({fault.description for fault in FAULTS.values()}) == len(FAULTS)


_RIGHT: list[Steps] = []


@pytest.fixture
async def right(start: Any) -> Steps:
    """What the emulator does without a fault, played once."""
    if not _RIGHT:
        _RIGHT.append(await _play(await start(credits=1e9)))
    return _RIGHT[0]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=pytest.mark.slow if number % 6 else ())
        for number, fault in enumerate(sorted(set(EXPECTED) - {"slow", "flaky-503", "seed-not-kept"}))
    ],
)
async def test_a_fault_changes_only_the_described_behavior(start: Any, fault: str, right: Steps) -> None:
    wrong = await _play(await start(credits=1e9, faults=(fault,)))
    steps, check = EXPECTED[fault]
    assert {name for name in right if right[name] != wrong[name]} == steps
    assert check(right, wrong)


async def test_a_seed_that_is_not_kept_gives_other_audio_the_next_time(start: Any) -> None:
    for faults, count in (((), 1), (("seed-not-kept",), 2)):
        api = await start(credits=1e9, faults=faults)
        bodies = [(await api.send("POST", "/now", data={"text": TEXT})).content for _ in range(2)]
        assert len(set(bodies)) == count


async def test_crosstalk_reports_the_latest_job(start: Any) -> None:
    api = await start(credits=1e9, faults=("crosstalk",))
    first, second = [(await api.submit()).json()["id"] for _ in range(2)]
    assert [(await api.send("GET", f"/jobs/{job}")).json()["id"] for job in (first, second)] == [second, second]


async def test_flaky_503_rejects_every_second_speech_request(start: Any) -> None:
    api = await start(faults=("flaky-503",), credits=1e9)
    assert [(await api.submit()).status_code for _ in range(4)] == [503, 202, 503, 202]
    assert (await api.send("GET", "/voices")).status_code == 200


async def test_slow_delays_a_correct_response(start: Any) -> None:
    api = await start(faults=("slow@acme/voices",), clock="real", time_scale=0)
    response = await api.send("GET", "/voices")
    assert response.json()["total"] == 2
    others = [(await api.submit()).elapsed for _ in range(3)]
    assert min(others) < response.elapsed


async def test_a_fault_can_be_limited_to_a_target_or_an_operation(start: Any) -> None:
    for location, small, large in (("small", True, False), ("submit", True, True), ("status", False, False)):
        api = await start(faults=(f"empty-body@acme/{location}",), credits=1e9)
        assert ((await api.submit()).content == b"") == small
        assert ((await api.submit(model="large")).content == b"") == large
    api = await start(faults=("wrong-error-shape@acme/small",))
    assert isinstance((await api.submit(key=None)).json(), list), "before the target is known, its operation decides"


@pytest.mark.parametrize("name", ["nonsense", "slow@nobody", "slow@acme/nothing"])
def test_an_unknown_fault_or_target_lists_the_known_ones(plain_acme: Contract, name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"known: |--fault list` lists all"):
        create_app([plain_acme], EmulatorSettings(faults=(name,)))


# Features of jobs that only the fictional contract has.
ONLY_IN_ACME = {"never-expires"}


def test_every_fault_applies_to_a_target(plain_acme: Contract) -> None:
    bundled = load_catalogue().targets.values()
    nowhere = {fault.id for fault in FAULTS.values() if not any(map(fault.applies_to, bundled))}
    assert nowhere - {"markup-spoken"} == ONLY_IN_ACME  # see conformance/test_other_shapes.py
    for fault in ONLY_IN_ACME:
        assert any(map(FAULTS[fault].applies_to, plain_acme.targets.values())), fault


@pytest.mark.parametrize(
    ("fault", "feature"),
    [
        ("wrong-polling-url", lambda job: job.submit_response.polling_url_location),
        ("ignores-cancelling", lambda job: job.cancellation),
        ("never-expires", lambda job: job.ended_job_lifetime_s),
    ],
)
def test_a_fault_applies_to_targets_that_document_the_feature(
    plain_acme: Contract, fault: str, feature: Callable[[JobSpec], object]
) -> None:
    targets = [*load_catalogue().targets.values(), *plain_acme.targets.values()]
    jobs = {target.id: target.job_operation.job for target in targets if target.job_operation is not None}
    applicable = {target.id for target in targets if FAULTS[fault].applies_to(target)}
    assert applicable == {name for name, job in jobs.items() if job is not None and feature(job)}
    assert applicable < {target.id for target in targets}


def test_each_fault_says_where_it_is_visible() -> None:
    said = {fault.id: fault.describe_condition() for fault in FAULTS.values()}
    everywhere = {"a target speaks over HTTP", "a target speaks over a WebSocket"}
    for fault in FAULTS.values():
        where, default = said[fault.id], type(fault).__dataclass_fields__
        is_restricted = fault.applies_to is not default["applies_to"].default
        is_restricted |= fault.applies_to_socket is not default["applies_to_socket"].default
        assert (where not in everywhere) == is_restricted, fault.id
        assert "Whether" not in where
        assert not where.endswith(".")
    assert said["webhook-never"] == "requests to the target may name a webhook URL"
    assert said["socket-audio-leaked"] == "over a WebSocket a connection can have several turns"

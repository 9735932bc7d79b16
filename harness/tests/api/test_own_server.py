"""A check of a server of the user's own needs nothing but its URL."""

from __future__ import annotations

import re
import shlex
import socket

import pytest

import voicegauge
from voicegauge import cli
from voicegauge.conformance.check_report import describe_result
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.fault_injection import explain_ineffective_faults
from voicegauge.errors import MissingKeyError, TimedOutError, UnreachableError, UsageError

from ..builders.notices import NoticeList
from ..builders.own_server import running_own_server

NAME = "openai-compatible"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path_factory.mktemp("state")))


def options(url: str, **more: object) -> voicegauge.LiveOptions:
    return voicegauge.LiveOptions(base_urls={"": url}, **more)  # type: ignore[arg-type]


@pytest.mark.slow
def test_one_line_finds_what_the_server_does_wrong() -> None:
    notices = NoticeList()
    with running_own_server(voices=[{"id": "zoe"}, {"id": "max"}, {"id": "clone:<id>"}]) as url:
        report = voicegauge.check(NAME, live=options(f"{url}/v1"), progress=notices)
    assert f"{NAME}: 1 model, 2 voices listed; uses model tiny and voice zoe" in notices.lines
    found = {finding.rule for finding in report.findings}
    assert {"speed-ignored", "voice-ignored", "audio-format", "response-kind-ignored", "accepts-invalid"} <= found
    assert not found & {"rejects-valid", "audio-missing", "wrong-error-status"}
    assert report.spent_usd == 0
    (planned,) = (line for line in notices.lines if line.startswith("live: "))
    assert planned.endswith("to be accepted; none costs anything")  # and no budget after it
    messages = [message for finding in report.findings for message in finding.message_counts or {finding.message: 1}]
    assert any("voice 'no-such-value'" in message for message in messages)
    assert any("expected mp3, the documented default, got wav" in message for message in messages)
    (status,) = (finding for finding in report.findings if finding.rule == "status-undocumented")
    assert status.occurrence_count > 3
    assert "422" in status.message
    assert "listVoicesOutsideAudio" not in " ".join(report.operations)


def test_requests_have_models_and_voices_of_the_server_or_of_the_user() -> None:
    with running_own_server(voices=["zoe"]) as url:
        for live, model, voice in (
            (options(f"{url}/v1"), "tiny", "zoe"),
            (options(f"{url}/v1", own_server_models=["big"], own_server_voices=["ann"]), "big", "ann"),
        ):
            report = voicegauge.check(NAME, live=live, case_ids=[f"{NAME}/speech: a full delivery"])
            command = next(finding.reproduction_command for finding in report.findings if finding.reproduction_command)
            case = voicegauge.plan_check(NAME, live=live, case_ids=[f"{NAME}/speech: a full delivery"])
            assert case.spending.total.spent_usd == 0
            shown = f"--model {model} --voice {voice}" if model == "big" else "--case"
            assert shown in command


@pytest.mark.slow
def test_documented_requests_have_a_model_and_a_voice_of_the_server() -> None:
    with running_own_server(voices=["zoe"], is_strict=True) as url:
        report = voicegauge.check(NAME, live=options(f"{url}/v1"))
    assert "rejects-valid" not in {finding.rule for finding in report.findings}


def test_a_listed_model_that_does_not_speak_is_left_out() -> None:
    notices = NoticeList()
    with running_own_server(voices=["zoe"], is_strict=True, other_models=["hears", "embeds"]) as url:
        report = voicegauge.check(
            NAME, live=options(f"{url}/v1"), case_ids=[f"{NAME}/speech: a full delivery"], progress=notices
        )
    assert f"{NAME}: 3 models, 1 voice listed; uses model tiny and voice zoe" in notices.lines
    assert "rejects-valid" not in {finding.rule for finding in report.findings}


def test_if_no_listed_model_answers_one_is_to_be_named() -> None:
    models = ["cpu:speech/base", "/models/cosy voice", "whisper-*"]  # the last one is a pattern
    with running_own_server(voices=["zoe"], is_strict=True, other_models=models, has_tiny_model=False) as url:
        with pytest.raises(UsageError) as raised:
            voicegauge.check(NAME, live=options(f"{url}/v1"))
        named = options(f"{url}/v1", own_server_models=["cpu:speech/base"])
        report = voicegauge.check(NAME, live=named, case_ids=[f"{NAME}/speech: a full delivery"])
    assert str(raised.value).startswith(
        f"{NAME}: none of the 2 models that were tried, of 2 listed, answers a valid request (cpu:speech/base: HTTP 400"
    )
    assert str(raised.value).endswith("): name one that works with --model")
    assert "rejects-valid" in {finding.rule for finding in report.findings}


def test_an_error_with_a_success_status_is_a_rejection() -> None:
    with running_own_server(voices=["zoe"], max_speed=2) as url:
        cases = [f"{NAME}/createSpeech: speed {speed}" for speed in ("0.25", "4", "4.01")]
        report = voicegauge.check(NAME, live=options(f"{url}/v1"), case_ids=cases)
    found = {finding.rule: finding.message_counts or {finding.message: 1} for finding in report.findings}
    assert "speed 4: an error is sent with the success status 200" in found["rejects-valid"]
    assert "speed 4.01: an error is sent with the success status 200" in found["accepts-invalid"]
    assert not {"content-type", "response-schema"} & set(found)  # one cause, one finding


def test_the_emulator_has_only_the_voices_that_it_lists() -> None:
    listed, unlisted = (
        f'{NAME}/createSpeech: voice "nova"',
        f"{NAME}/createSpeech: voice 'no-such-value', not one of its values",
    )
    with voicegauge.emulate(NAME, time_scale=0.05) as emulator:
        report = voicegauge.check(NAME, live=options(emulator.base_url(NAME)), case_ids=[listed, unlisted])
    assert list(report.findings) == []


@pytest.mark.parametrize(("server", "status"), [({}, 404), ({"has_models": False}, 404), ({"has_web_page": True}, 405)])
def test_a_base_url_without_its_path_is_recognized(server: dict[str, bool], status: int) -> None:
    with running_own_server(**server) as url:
        with pytest.raises(UsageError, match=f"has no /audio/speech .{status}.: use --base-url {url}/v1$"):
            voicegauge.check(NAME, live=options(url))
        with pytest.raises(UsageError, match=f"use --base-url {url}/v1$"):
            voicegauge.check(NAME, live=options(f"{url}/v2"))


def test_a_web_page_at_every_other_path_is_not_the_api() -> None:
    with running_own_server(has_web_page=True, page_methods=("GET", "POST")) as url:
        for base in (url, f"{url}/v2"):
            with pytest.raises(UsageError, match=f"has no /audio/speech .HTML.: use --base-url {url}/v1$"):
                voicegauge.check(NAME, live=options(base))
    with (
        running_own_server(prefix="/elsewhere", has_web_page=True, page_methods=("GET", "POST")) as url,
        pytest.raises(UsageError, match="answers HTML: is this the base URL"),
    ):
        voicegauge.check(NAME, live=options(f"{url}/v1"))


def test_another_server_is_said_to_have_no_such_api() -> None:
    with (
        running_own_server(prefix="/elsewhere") as url,
        pytest.raises(UsageError, match="name the base URL of the API with --base-url"),
    ):
        voicegauge.check(NAME, live=options(f"{url}/v1"))


def test_a_required_key_is_found_out_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_own_server(key="k-123456") as url:
        with pytest.raises(MissingKeyError, match="set the environment variable OPENAI_COMPATIBLE_API_KEY"):
            voicegauge.check(NAME, live=options(f"{url}/v1"))
        monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "wrong-key")
        with pytest.raises(UsageError, match="rejects the key in OPENAI_COMPATIBLE_API_KEY with status 401"):
            voicegauge.check(NAME, live=options(f"{url}/v1"))
        monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "k-123456")
        report = voicegauge.check(NAME, live=options(f"{url}/v1"), case_ids=[f"{NAME}/speech: a full delivery"])
    assert report.exchange_count_by_provenance


def test_a_server_that_does_not_respond_is_given_up_after_the_longest_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # its queue of connections accepts them
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(TimedOutError, match=r"after 0\.2 s"):
            voicegauge.check(NAME, live=options(url), max_wait_s=0.2)


@pytest.mark.parametrize(
    ("target", "names", "message"),
    [
        (NAME, {"own_server_voices": [""]}, "a name must not be empty"),
        (NAME, {"own_server_models": [" "]}, "a name must not be empty"),
        ("openai", {"own_server_voices": ["nova"]}, "are for a server of your own"),
    ],
)
def test_names_that_cannot_be_used_are_refused_before_anything_is_sent(target, names, message) -> None:
    with pytest.raises(UsageError, match=message):
        voicegauge.plan_check(target, live=voicegauge.LiveOptions(**names))


def test_without_a_base_url_an_unreachable_server_is_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_client: object) -> None:
        raise UnreachableError("127.0.0.1:8880: cannot connect", request_was_sent=False)

    monkeypatch.setattr("voicegauge.api.target_selection.read_model_and_voice_names", refuse)
    with pytest.raises(
        UnreachableError, match="cannot connect: start the server, or name its base URL with --base-url"
    ):
        voicegauge.check(NAME, live=voicegauge.LiveOptions())


def test_https_to_a_server_without_tls_says_what_to_write() -> None:
    with (
        running_own_server() as url,
        pytest.raises(UnreachableError, match="write http:// instead of https://"),
    ):
        voicegauge.check(NAME, live=options(f"{url.replace('http:', 'https:')}/v1"))


@pytest.mark.parametrize(
    ("named", "notice"),
    [
        ({"own_server_voices": ["ann"]}, "1 model listed, 1 voice of --voice; uses model tiny and voice ann"),
        ({"own_server_models": ["big"]}, "1 model of --model, 2 voices listed; uses model big and voice zoe"),
    ],
)
def test_names_of_the_user_are_not_said_to_be_listed(named: dict[str, list[str]], notice: str) -> None:
    notices = NoticeList()
    with running_own_server(voices=["zoe", "max"]) as url:
        live = options(f"{url}/v1", **named)
        voicegauge.check(NAME, live=live, case_ids=[f"{NAME}/speech: a full delivery"], progress=notices)
    assert f"{NAME}: {notice}" in notices.lines


@pytest.mark.parametrize(
    ("target", "fault", "reason"),
    [
        ("cartesia/sonic-3.5", "socket-end-missing", "It changes WebSockets, and no chosen target has one."),
        (
            "deepgram/aura-2-socket",
            "speed-ignored",
            "It changes responses over HTTP",
        ),
        (
            "deepgram/aura-2-socket",
            "socket-transcript-end-late",
            "It changes transcripts of WebSockets",
        ),
        (
            "deepgram/aura-2-socket",
            "socket-other-context",
            "It has one at cartesia/",
        ),
        (
            "cartesia/sonic-3.5-socket",
            "socket-cancel-ignored",
            "only where over a WebSocket the documented effect of a cancellation is `stops`. It has one at deepgram/",
        ),
    ],
)
def test_a_fault_without_an_effect_has_its_reason(target: str, fault: str, reason: str) -> None:
    (line,) = explain_ineffective_faults([fault], load_catalogue().select_targets([target]))
    assert line.startswith(f"the fault {fault} has no effect here: ")
    assert reason in line


def test_a_fault_that_no_rule_finds_is_named_with_what_does() -> None:
    targets = load_catalogue().select_targets(["openai/tts-1"])
    assert list(explain_ineffective_faults(["another-voice"], targets)) == []
    (line,) = explain_ineffective_faults(["another-voice"], targets, is_check=True)
    assert line.startswith("no check finds the fault another-voice: Another voice speaks")
    assert line.endswith("`voicegauge bench --similarity` and `voicegauge history` do.")


def test_a_benchmark_names_a_fault_without_an_effect() -> None:
    notices = NoticeList()
    voicegauge.plan_benchmark("pixelapi/voice-design", max_texts=1, faults=["stream-stalled", "slow"], progress=notices)
    (line,) = [line for line in notices.lines if "has no effect here" in line]
    assert line.startswith("the fault stream-stalled has no effect here: ")


def test_a_fault_without_an_effect_is_said_to_have_none() -> None:
    notices = NoticeList()
    for fault in ("webhook-never", "speed-ignored"):
        case = f"{NAME}/createSpeech: input left out"
        report = voicegauge.check(NAME, emulated=True, faults=[fault], case_ids=[case], progress=notices)
        is_ineffective = fault == "webhook-never"
        assert report.ineffective_faults == ((fault,) if is_ineffective else ())
        assert describe_result(report).endswith(", without effect: the fault webhook-never") == is_ineffective
    lines = [line for line in notices.lines if "has no effect here" in line]
    (line,) = lines
    assert line.startswith("the fault webhook-never has no effect here: Callbacks are never sent.")
    where = "requests to the target may name a webhook URL"
    assert line.endswith(f" It is visible only where {where}. It has one at pixazo/xtts-v2.")


def test_the_longest_texts_are_sent_once() -> None:
    plan = voicegauge.plan_check(NAME, live=options("http://127.0.0.1:1/v1"))
    lengths = [case.id.split()[-2] for case in plan.cases if "createSpeech: input of" in case.id]
    assert sorted(lengths) == ["4096", "4097"]


def test_a_key_is_not_sent_unencrypted_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "k-123456")
    with pytest.raises(UsageError, match="would be sent unencrypted"):
        voicegauge.check(NAME, live=options("http://192.0.2.1/v1"))


def test_the_command_that_a_benchmark_names_checks_the_same_server(tmp_path, capfd) -> None:
    where = ["--texts", str(tmp_path / "texts.txt"), "--out", str(tmp_path / "runs"), "--price", "openai-compatible=0"]
    (tmp_path / "texts.txt").write_text("Good morning.\n")
    with running_own_server(voices=["zoe"]) as url:
        live = ["--live", "--base-url", f"{url}/v1"]
        cli.run(["bench", NAME, *live, *where, "--warmup", "0", "--asr", "none", "--no-listening", "--no-report"])
        command = re.search(r"of wav, not mp3 as requested or documented: `(.*?)` says more", capfd.readouterr().err)
        assert command is not None
        words = shlex.split(command[1])
        assert words == ["voicegauge", "check", f"{NAME}/speech", *live, "--price", f"{NAME}/speech=0"]
        cli.run([*words[1:], "--max-calls", "1"])
        assert "audio-format" in capfd.readouterr().out


def test_the_benchmark_uses_the_names_of_the_server(tmp_path) -> None:
    with running_own_server(voices=["zoe"]) as url:
        result = voicegauge.benchmark(
            f"{NAME}/speech",
            live=options(f"{url}/v1"),
            max_texts=1,
            warmup=0,
            asr="none",
            out=tmp_path,
            write_html_report=False,
        )
    assert result.stop_reason is None

"""Replicate's own Python client, unmodified, against the emulator over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import replicate
from replicate.exceptions import ModelError, ReplicateError

import voicegauge
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.speech.decoding import DecodedAudio, decode

TEXT = "Good morning. This is a short test."
KOKORO = load_catalogue().find_provider("replicate").targets["kokoro"]
VERSION = next(str(value) for value in KOKORO.target_spec.request_constants.values())


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with voicegauge.emulate("replicate", time_scale=0.2) as emulator:
        yield emulator.base_url("replicate")


@pytest.fixture(scope="module")
def open_client(base_url) -> Iterator[Callable[..., replicate.Client]]:
    """Open clients; the connections that they leave open are closed after the tests."""
    opened: list[replicate.Client] = []

    def open_one(token: str = "r8_test", **options: Any) -> replicate.Client:  # noqa: S107 - no secret
        opened.append(replicate.Client(api_token=token, base_url=base_url, **options))
        return opened[-1]

    yield open_one
    for client in opened:
        client._client.close()


@pytest.fixture(scope="module")
def client(open_client) -> replicate.Client:
    return open_client()


def _download(url: str) -> DecodedAudio:
    """Return the audio at a URL, which the client itself would only download with https."""
    return decode(httpx.get(url).content)


def test_a_model_by_version_is_run_to_its_audio(client) -> None:
    output = client.run(f"jaaari/kokoro-82m:{VERSION}", input={"text": TEXT, "voice": "af_bella"})
    audio = _download(output)
    assert (audio.container, audio.duration_s > 1) == ("wav", True)


def test_an_official_model_is_run_by_its_name(client) -> None:
    output = client.run("minimax/speech-02-turbo", input={"text": TEXT, "audio_format": "mp3"})
    assert _download(output).container == "mp3"


def test_a_prediction_that_waits_has_its_output(client) -> None:
    prediction = client.predictions.create(version=VERSION, input={"text": TEXT}, wait=True)
    assert prediction.status == "succeeded"
    assert prediction.output.endswith(".wav")
    assert prediction.metrics["predict_time"] > 0


def test_a_prediction_is_reloaded_until_it_ends(client) -> None:
    prediction = client.predictions.create(version=VERSION, input={"text": TEXT})
    assert (prediction.status, prediction.output) == ("starting", None)
    prediction.reload()
    assert prediction.status in ("starting", "processing", "succeeded")
    prediction.wait()
    assert prediction.status == "succeeded"
    assert client.predictions.get(prediction.id).output == prediction.output


def test_a_prediction_is_canceled(client) -> None:
    prediction = client.predictions.create(version=VERSION, input={"text": TEXT})
    prediction.cancel()
    prediction.reload()
    assert (prediction.status, prediction.output) == ("canceled", None)


def test_a_failed_prediction_has_its_reason(open_client) -> None:
    client = open_client(headers={SCENARIO_HEADER: "state:failed"})
    with pytest.raises(ModelError, match="could not be"):
        client.run(f"jaaari/kokoro-82m:{VERSION}", input={"text": TEXT})


@pytest.mark.parametrize(
    ("token", "version", "given", "status"),
    [("r8_test", VERSION, {"words": TEXT}, 422), ("invalid-r8", VERSION, {"text": TEXT}, 401)],
)
def test_a_rejection_is_the_documented_error(open_client, token, version, given, status) -> None:
    client = open_client(token)
    with pytest.raises(ReplicateError) as error:
        client.predictions.create(version=version, input=given)
    assert error.value.status == status

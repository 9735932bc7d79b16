"""What is measured of streamed recordings: delays that may be negative, turns cut early, and words taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench.speech_summaries import summarize_transcript_timing
from voicegauge.contract.loading import Catalogue
from voicegauge.contract.socket_turns import (
    MAX_COMPARED_WORDS,
    TranscribedText,
    TranscribedTurn,
    TranscriptReader,
    count_partial_words,
    count_words_taken_back,
)
from voicegauge.model.exchange import SocketMessage, TranscriptTiming


def build_turn(*texts: str) -> TranscribedTurn:
    return TranscribedTurn(0, [TranscribedText(float(at), "partial", text) for at, text in enumerate(texts)])


def build_timing(*ends_ms: float, texts_ms: tuple[float, ...] = (), flips: int = 0) -> TranscriptTiming:
    return TranscriptTiming(
        turn_ends_ms=ends_ms,
        new_texts_ms=texts_ms or ends_ms,
        first_text_ms=80,
        flip_count=flips,
        partial_word_count=10,
    )


@pytest.mark.parametrize(
    ("texts", "flips"),
    [
        (("call", "call me", "call me back"), 0),
        (("call", "Call me,", "call me back."), 0),  # punctuation and case do not count
        (("call her", "call me"), 1),
        (("call me", "please call me"), 0),  # a word that was added in front takes nothing back
        (("one two three", "", "one two three"), 3),
        (("a b", "b a"), 1),
    ],
)
def test_words_that_were_taken_back(texts: tuple[str, ...], flips: int) -> None:
    assert count_words_taken_back(build_turn(*texts)) == flips
    assert count_partial_words(build_turn(*texts)) == sum(len(text.split()) for text in texts[:-1])


def test_long_texts_are_compared_up_to_a_limit() -> None:
    """Nobody waits for what a service changes after two thousand words that all differ."""
    before, after = (" ".join(f"{letter}{number}" for number in range(50_000)) for letter in "ab")
    assert count_words_taken_back(build_turn(before, after)) == MAX_COMPARED_WORDS


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5).map(" ".join), min_size=1, max_size=5))
def test_no_more_words_are_taken_back_than_there_were(texts: list[str]) -> None:
    turn = build_turn(*texts)
    assert 0 <= count_words_taken_back(turn) <= count_partial_words(turn)


def test_an_agent_that_waits_is_not_cut_off_by_an_early_end() -> None:
    early = build_timing(-300.0, 250.0, texts_ms=(-300.0, -120.0, 250.0))
    assert early.is_cut_early
    assert early.final_delay_ms == -300
    assert early.find_answer_ms(0) == -300
    assert early.find_answer_ms(100) == -200
    assert early.find_answer_ms(200) == 450  # a text arrived 180 ms after the first end
    assert build_timing(texts_ms=(-100.0,)).find_answer_ms(0) is None


def test_the_curve_leaves_no_recording_out_and_cuts_nothing_off_at_zero() -> None:
    timings = [build_timing(-50.0, 300.0, flips=2), build_timing(200.0), build_timing(400.0), build_timing()]
    summary = summarize_transcript_timing([(str(index), one) for index, one in enumerate(timings)])
    assert summary is not None
    assert (summary.recording_count, summary.cut_early_count, summary.never_ended_count) == (4, 1, 1)
    assert summary.flip_share == 2 / 40
    assert summary.final_delay_ms is not None
    assert summary.final_delay_ms.value == 200
    first, waiting = summary.curve[0], summary.curve[3]
    assert (first.wait_ms, first.delay_p50_ms, first.cut_early_share, first.unanswered_share) == (0, 300, 0.25, 0.25)
    assert (waiting.wait_ms, waiting.cut_early_share) == (300, 0)
    most = summarize_transcript_timing([("a", build_timing()), ("b", build_timing()), ("c", build_timing(100.0))])
    assert most is not None
    assert most.curve[0].delay_p50_ms is None  # the median turn is never answered
    assert summarize_transcript_timing([]) is None


def test_the_texts_of_a_connection_have_a_limit(
    voicegauge_catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each final part is added to a text that is kept again with every message."""
    monkeypatch.setattr("voicegauge.contract.socket_turns.MAX_TRANSCRIPT_CHARACTERS", 1000)
    target = voicegauge_catalogue.find_provider("deepgram").transcription_socket_targets["nova-3-listen"]
    reader, times = TranscriptReader(target.socket), {"start_s": 0.0, "end_s": 1.0, "duration_s": 1.0}
    data = target.socket.build_server_message("final", transcript="again", word_items=[], **times)  # type: ignore[arg-type]
    assert data is not None
    for _ in range(100):
        reader.add_message(SocketMessage(sender="server", at_ms=0.0, data=data.encode(), is_binary=False))
    assert reader.conversation.has_too_much_text
    assert 900 < sum(len(one.text) + 1 for turn in reader.conversation.turns for one in turn.texts) <= 1000


def test_finals_are_joined_and_ends_are_read(voicegauge_catalogue: Catalogue) -> None:
    """Deepgram's Nova reports parts as final; a part that is final and ends the turn is one text."""
    target = voicegauge_catalogue.find_provider("deepgram").transcription_socket_targets["nova-3-listen"]
    reader = TranscriptReader(target.socket)
    for at, (kind, text) in enumerate(
        [("partial", "call"), ("final", "call me"), ("partial", "back"), ("turn-end", "back now")]
    ):
        data = target.socket.build_server_message(
            kind,
            transcript=text,
            word_items=[],
            start_s=0.0,
            end_s=1.0,
            duration_s=1.0,  # type: ignore[arg-type]
        )
        assert data is not None
        message = SocketMessage(sender="server", at_ms=float(at), data=data.encode(), is_binary=False)
        assert list(target.socket.iterate_violations("server", message.data, is_binary=False)) == []
        reader.add_message(message)
    (turn,) = reader.conversation.turns
    assert [one.text for one in turn.texts] == ["call", "call me", "call me back", "call me back now"]
    assert turn.ended_ms == 3
    assert reader.conversation.text == "call me back now"

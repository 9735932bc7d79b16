from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicegauge.bench.comparison import compare_runs
from voicegauge.errors import UsageError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Failure
from voicegauge.model.run import Run
from voicegauge.report.html_page import render_page, write_report
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.result_summaries import render_csv
from voicegauge.report.run_comparison import render_markdown

from ..builders.report_runs import BROKEN, HOSTILE, LANGUAGES_ALL, VOICES, Voice, make_run
from ..builders.runs import price_per


class Skeleton(HTMLParser):
    """The elements of a page with the names of their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[tuple[str, frozenset[str]]] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, frozenset(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "poster", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(*runs: tuple[Path, Run]) -> str:
    return render_page(analyze_runs(runs))


@pytest.fixture(scope="module")
def typical(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(make_run(tmp_path_factory.mktemp("typical"), (*VOICES[1:5], BROKEN), repetitions=2))


def test_an_emulated_page_says_so_in_its_title_its_banner_and_every_section(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, (*VOICES[1:5], BROKEN), provenance=Provenance.EMULATED, repetitions=2))
    assert re.search(r"<title>EMULATED: ", page)
    assert '<div class="banner" role="note">' in page
    headings = re.findall(r"<h2 id=\"h-(\w+)\">(.*?)</h2>", page)
    assert [name for name, text in headings if "EMULATED" not in text] == []


def test_an_emulated_page_ranks_nobody(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, (*VOICES[1:5], BROKEN), provenance=Provenance.EMULATED, repetitions=2))
    text = Skeleton(page).text
    assert re.search(r"EMULATED: \d+ of \d+ requests to 5 targets delivered audio", text)
    names = re.findall(r'<th scope="row" class="name">.*?<bdi>([^<]+)', page[page.index('<table class="comparison"') :])
    assert names[:5] == sorted(names[:5])
    claims = ("as fast as", "fewest errors", "is the cheapest", "Ranking", "Down and left is better", "stands out")
    for claim in (*claims, "Compare its error rates"):
        assert claim not in text
    assert "No target is compared with another." in text
    assert "data-ranking" not in page.split("<script>")[0]
    assert 'class="best"' not in page


def test_a_stand_in_for_a_hosted_service_is_a_rehearsal_and_an_own_server_is_not(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[1:3], repetitions=2)
    provider = run.manifest.targets[0].id.partition("/")[0]
    urls = {provider: "http://127.0.0.1:8080/v1"}
    stand_in = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, base_urls=urls))
    text = Skeleton(page_of((folder, stand_in))).text
    assert "REHEARSAL: " in text
    assert "LIVE" not in text
    assert "Ranking" not in text
    assert render_markdown(analyze_runs([(folder, stand_in)])).startswith("### REHEARSAL: ")
    assert analyze_runs([(folder, stand_in)]).report.rehearsal_label == "REHEARSAL"
    assert ",live,1,," in render_csv([(folder, stand_in)])
    own = tuple(msgspec.structs.replace(target, is_self_hosted=True) for target in run.manifest.targets)
    served = msgspec.structs.replace(run, manifest=msgspec.structs.replace(stand_in.manifest, targets=own))
    assert "Ranking" in Skeleton(page_of((folder, served))).text


def test_a_live_page_never_says_emulated(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, VOICES[:1], provenance=Provenance.LIVE, repetitions=1))
    assert "EMULATED" not in Skeleton(page).text


def test_a_mixed_page_marks_each_emulated_row_and_names_what_must_not_be_compared(tmp_path: Path) -> None:
    live = make_run(tmp_path / "a", VOICES[:2], provenance=Provenance.LIVE, repetitions=1, closed=False)
    emulated = make_run(tmp_path / "b", VOICES[:2], provenance=Provenance.EMULATED, repetitions=1)
    page = page_of(live, emulated)
    comparison = page[page.index('<table class="comparison"') : page.index('<section id="targets"')]
    assert comparison.count("EMULATED") == 2  # one for each row
    assert "differ in ASR engine, provenance" in comparison


def test_the_page_asks_for_nothing_but_itself(typical: str) -> None:
    links = Skeleton(typical).links
    assert links
    assert all(link.startswith(("#", "data:audio/mpeg;base64,", "data:audio/wav;base64,")) for link in links)
    assert not re.search(r"@import|url\((?!\"#)|https?:", typical)


def test_the_policy_names_the_digest_of_the_only_script_and_style(typical: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', typical)
    assert policy
    said = policy[1].replace("&#39;", "'")
    assert said.startswith("default-src 'none';")
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", typical, re.DOTALL)
        assert len(contents) == 1
        digest = base64.b64encode(hashlib.sha256(contents[0].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in said
    assert "unsafe" not in said
    assert " style=" not in typical


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, VOICES[:2], repetitions=1) for name in "ab"]
    assert page_of(runs[0]) == page_of(runs[1])


def test_every_section_is_there_for_every_kind_of_run(tmp_path: Path) -> None:
    kinds = {
        "nothing scored": make_run(tmp_path / "a", VOICES[:2], scored=False, repetitions=1),
        "nothing answered": make_run(tmp_path / "b", (BROKEN,), repetitions=1),
        "one sample": make_run(tmp_path / "c", VOICES[:1], repetitions=1, texts=2),
        "warm-up only": make_run(tmp_path / "d", VOICES[:1], repetitions=1, texts=1),
        "no error": make_run(tmp_path / "e", (Voice("a/b", "B", 100, 0.0),), repetitions=1),
    }
    for name, run in kinds.items():
        page = page_of(run)
        for section in (
            "comparison",
            "latency",
            "categories",
            "cost",
            "targets",
            "failures",
            "run",
            "meaning",
        ):
            assert f'<section id="{section}"' in page, name
    assert "Nothing was scored" in page_of(kinds["nothing scored"])
    assert "No request succeeded" in page_of(kinds["nothing answered"])
    assert "No request delivered audio" in page_of(kinds["nothing answered"])
    assert "A random clip" in page_of(kinds["no error"])


def test_a_run_without_clips_says_why(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:1], repetitions=1)
    replace = msgspec.structs.replace
    transcripts = replace(
        run,
        manifest=replace(run.manifest, kind="transcription"),
        samples=tuple(replace(sample, audio=None, transcript="words") for sample in run.samples),
    )
    assert "Speech to text delivers no audio, so there is nothing to play." in page_of((folder, transcripts))


def test_prices_of_speech_to_text_are_per_minute_and_hour_of_audio(tmp_path: Path) -> None:
    by_minute = price_per("minute", 0.006)
    folder, run = make_run(tmp_path, VOICES[:2], repetitions=1)
    replace = msgspec.structs.replace
    first, second = run.manifest.targets
    targets = replace(first, price=by_minute), second
    samples = tuple(
        replace(sample, audio=sample.audio and replace(sample.audio, audio_duration_s=30.0), transcript="words")
        for sample in run.samples
    )
    made = replace(run, manifest=replace(run.manifest, kind="transcription", targets=targets), samples=samples)
    page = page_of((folder, made))
    text = Skeleton(page[page.index("<main>") : page.index('<section id="meaning"')]).text
    assert "$0.006 for a minute of audio" in text
    assert "million characters" not in text
    assert "1M characters" not in text
    cost = page[page.index('<section id="cost"') : page.index('<section id="failures"')]
    assert set(re.findall(r"<td>(\$[\d.]+)</td>", cost)) >= {"$0.006", "$0.36", "$0.016", "$0.96"}
    columns = re.findall(r'<th scope="col" data-key="(\w+)"(?![^>]*class="more")', page)
    assert "minute" in columns
    assert re.findall(r'data-usd="([\d.]+)"', page)


def test_failures_are_counted_with_their_messages(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, (BROKEN,), repetitions=2, message="quota of <b>today</b> is used up"))
    assert "quota of &lt;b&gt;today&lt;/b&gt; is used up" in page
    assert re.search(r">17/17<", page)  # the warm-up is left out


def test_languages_are_separate_and_characters_are_not_mixed_with_words(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, VOICES[:2], languages=LANGUAGES_ALL, repetitions=2))
    assert "By language" in page
    assert '<bdi>ja</bdi> <span class="unit">CER</span>' in page
    assert '<bdi lang="ar">' in page


def test_targets_with_different_texts_are_marked_as_not_comparable(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:2], languages=LANGUAGES_ALL, repetitions=1)
    english = tuple(s for s in run.samples if s.language == "en" or s.target == VOICES[0].id)
    fewer = folder, msgspec.structs.replace(run, samples=english)
    for made, uneven in (((folder, run), False), (fewer, True)):
        assert ("Not the same texts." in page_of(made)) is uneven
        assert (
            "The targets were not measured in the same languages." in render_markdown(analyze_runs([made]))
        ) is uneven


def test_a_closed_vocabulary_is_pointed_out(tmp_path: Path) -> None:
    closed = page_of(make_run(tmp_path / "a", VOICES[:1], repetitions=1))
    open_ = page_of(make_run(tmp_path / "b", VOICES[:1], repetitions=1, closed=False))
    assert "Closed vocabulary: whisper:embedded" in closed
    assert "CLOSED" in closed
    assert "Closed vocabulary: whisper:embedded" not in open_


def test_a_target_has_a_section_of_its_own_with_everything_about_it(typical: str) -> None:
    start = typical.index('id="target-north-borealis"')
    section = typical[start : typical.index("</details>", start)]
    for heading in ("Requests complete after", "States of the jobs over time", "Where the time goes", "Contract"):
        assert heading in section
    assert "tongue twisters" in section
    assert "Worst clips" in section
    assert "A random clip" in section
    assert "Pricing page, 2026-11-20" in section
    assert typical.count('href="#target-north-borealis"') == 3  # in the ranking, the table and the section itself


def test_two_runs_are_compared_with_verdicts_texts_and_what_differed(tmp_path: Path) -> None:
    """The order of the page is: what changed between the runs, then each run."""
    before = make_run(tmp_path / "a", VOICES[:3], provenance=Provenance.LIVE, closed=False)
    slower = dataclasses.replace(VOICES[0], took_ms=14_000)
    folder, after = make_run(tmp_path / "b", (slower, *VOICES[1:3]), provenance=Provenance.LIVE, closed=False, seed=4)
    environment = {**after.manifest.environment, "python": "3.14.0"}
    moved = msgspec.structs.replace(after, manifest=msgspec.structs.replace(after.manifest, environment=environment))
    page = page_of(before, (folder, moved))
    comparison = page[page.index('class="verdict runs"') : page.index("</section>")]
    text = Skeleton(comparison).text
    assert "Run B against run A: north/aurora worse in total latency" in text
    assert re.search(r"total latency.*\+1[0-9]{2}%", text, re.DOTALL)
    assert "3.14.0" in text
    assert "2 facts differ between the runs" in text
    assert "Seed" in text
    assert "Texts that differ most in latency" in text
    assert "the typical difference of the same text on both sides" in text


def test_injected_faults_are_named_beside_emulated_and_among_what_differed(tmp_path: Path) -> None:
    usual = make_run(tmp_path / "a", VOICES[:2], provenance=Provenance.EMULATED, repetitions=1, texts=3)
    folder, run = usual
    manifest = msgspec.structs.replace(run.manifest, run_id="faulty", fault_ids=("flaky-503", "slow"))
    faulty = folder, msgspec.structs.replace(run, manifest=manifest)
    page = page_of(usual, faulty)
    assert page.count('class="chip faults"') == 1
    assert "Faults were injected on purpose into run B: <bdi>flaky-503, slow</bdi>." in page
    assert "1 fact differs between the runs" in page
    assert "Injected faults" in page[page.index('class="verdict runs"') :].partition("</section>")[0]
    assert render_markdown(analyze_runs([faulty])).startswith("### EMULATED (faults injected: flaky-503, slow): ")
    assert "Injected faults" not in page_of(usual)
    label = "EMULATED (faults injected: flaky-503, slow)"
    assert f"{label}: Run B against run A: " in page
    assert f"{label}: Run B against run A: " in render_markdown(analyze_runs([usual, faulty]))
    assert ",emulated,1,flaky-503 slow," in render_csv([faulty])
    assert compare_runs(usual[1], faulty[1]).rehearsal_label == label


def test_a_highlight_is_explained_only_where_there_is_one(typical: str, tmp_path: Path) -> None:
    assert "Highlighted</span>: the lowest" in typical
    alone = page_of(make_run(tmp_path, VOICES[:1], repetitions=1))
    assert "Highlighted" not in alone
    assert "No target stands out in any column." in alone


def test_runs_that_cannot_be_compared_say_why(tmp_path: Path) -> None:
    live = make_run(tmp_path / "a", VOICES[:2], provenance=Provenance.LIVE, repetitions=1, closed=False)
    emulated = make_run(tmp_path / "b", VOICES[:2], provenance=Provenance.EMULATED, repetitions=2)
    page = page_of(live, emulated)
    assert "Run B (EMULATED) and run A: not comparable: the baseline is live, the run is emulated." in page


WIRE = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=60), st.text("<>\"'&/={}%\x00\x1b\u202e\u2028 a", max_size=30)
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    voices = (VOICES[0], VOICES[3], BROKEN)
    return make_run(tmp_path_factory.mktemp("small"), voices, repetitions=2, texts=1)


def poisoned(run: Run, text: str) -> Run:
    """`run` with `text` wherever a provider, a contract, a suite or an ASR may have its say."""
    replace = msgspec.structs.replace
    name = {target.id: f"{target.id}{text}" for target in run.manifest.targets}
    targets = tuple(
        replace(
            t,
            id=name[t.id],
            title=text,
            price=replace(
                t.price,
                description=text,
                claims=tuple(replace(claim, title=text, url=text, note=text) for claim in t.price.claims),
            ),
            contract_version=text,
            contract_sha256=text,
        )
        for t in run.manifest.targets
    )
    manifest = replace(
        run.manifest,
        run_id=text,
        created_at=text,
        targets=targets,
        suite=replace(run.manifest.suite, id=text, sha256=text),
        base_urls={text: text},
        environment={text: text},
    )
    samples = tuple(
        replace(
            s,
            target=name[s.target],
            text=text,
            category=text,
            language=text,
            failure=s.failure and Failure(kind="failed", message=text),
        )
        for s in run.samples
    )
    scores = replace(run.score_sets[0], asr=text, asr_reason=text, normalizer=text, settings={text: text})
    said = tuple(replace(s, transcript=text, reference=text, hypothesis=text[::-1]) for s in scores.scores)
    floor = tuple(replace(f, language=text) for f in scores.reference_speech_errors)
    return replace(
        run,
        manifest=manifest,
        samples=samples,
        score_sets=(replace(scores, scores=said, reference_speech_errors=floor, unsupported_languages=(text,)),),
    )


@pytest.mark.slow
@given(text=WIRE)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_text_is_never_interpreted_as_markup(small: tuple[Path, Run], text: str) -> None:
    folder, run = small
    harmless = Skeleton(page_of((folder, poisoned(run, "en"))))
    page = page_of((folder, poisoned(run, text)))
    assert Skeleton(page).elements <= harmless.elements | DIFFERENCES
    assert page.count("<script") == page.count("<style") == 1
    assert page.encode()  # UTF-8 can write all of it
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]", page)


DIFFERENCES = {
    (tag, frozenset(names))
    for tag, names in (
        ("del", ()),
        ("ins", ()),
        ("span", ("class",)),
        ("span", ("aria-hidden",)),
        ("bdi", ()),
        ("bdi", ("lang",)),
        ("code", ()),
        ("text", ("x", "y", "text-anchor")),
        ("line", ("x1", "y1", "x2", "y2")),
        ("g", ("class",)),
        ("p", ("class",)),
    )
}
"""Elements that come and go with what was said: word differences, labels that find a place."""


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", VOICES[:1], repetitions=1)
    out = tmp_path / "deep" / "er" / "page.html"
    assert write_report([run], out) == out
    assert out.read_text().rstrip().endswith("</html>")
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    before = out.read_text()
    with pytest.raises(UsageError, match="is a folder, name a file"):
        write_report([run], tmp_path / "deep")
    assert out.read_text() == before

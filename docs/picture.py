"""Pictures of the first screen of reports, for README.md and for looking at the layout. They need Chromium.

Without arguments, writes docs/images/report.png, the first screen of reports/sample/report.html; `make sample` does so
after it has written the report. `--matrix FOLDER` writes the first screen of reports of 1, 4, 19 and 69 targets, and of
four runs together, emulated and of servers of one's own, at three widths, light and dark: FOLDER has 60 pictures, and
sheets with all pictures of one report. The two benchmarks behind them take ten minutes or more, and are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import yaml
from playwright.sync_api import Browser, sync_playwright

from voicegauge.bench.run_store import load_run
from voicegauge.model.run import Run
from voicegauge.report.html_page import write_report
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "sample" / "report.html"
PICTURE = ROOT / "docs" / "images" / "report.png"
SIZE = (1200, 760)
TARGET_COUNTS = (1, 4, 19, 69)
RUNS_TOGETHER = 4
SIZES = ((360, 740), (800, 1000), (1440, 900))
SCHEMES = ("light", "dark")
BUSY_STATUS = 3
"""Exit status of a benchmark on a machine that was too busy for valid times."""
SPEAKING = threading.Lock()

OWN_SERVER = """\
openapi: 3.1.0
info: {title: A server of one's own, version: "1"}
servers: [{url: "http://127.0.0.1:9"}]
x-provider:
  id: PROVIDER
  title: PROVIDER
  key_variable: OWN_SERVER_KEY
  is_key_optional: true
  self_hosted: {}
  sources: {notes.txt: {title: Notes, date: 2026-01-01}}
paths:
  /speak:
    post:
      operationId: speak
      security: []
      x-pricing: {unit: request, usd_per_unit: 0, source: {document_name: notes.txt, is_inferred: true}}
      x-speech:
        request_fields: {text: body#/text}
        response: {audio: {location: body, delivery_method: bytes}}
        targets: {}
      requestBody:
        required: true
        content:
          application/json:
            schema: {type: object, required: [text, model], properties: {text: {type: string}, model: {type: string}}}
      responses: {"200": {description: Speech, content: {audio/wav: {schema: {type: string, format: binary}}}}}
"""


def write_own_contracts(folder: Path, target_count: int) -> list[str]:
    """Write contracts of servers of one's own with so many models of different speeds, and return their providers."""
    providers = [f"server-{letter}" for letter in "abcd"]
    for index, provider in enumerate(providers):
        document = yaml.safe_load(OWN_SERVER.replace("PROVIDER", provider))
        document["paths"]["/speak"]["post"]["x-speech"]["targets"] = {
            f"model-{number:02}": {
                "title": f"Model {number}",
                "request_constants": {"body#/model": f"model-{number:02}"},
            }
            for number in range(index, target_count, len(providers))
        }
        path = folder / provider / "openapi.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return providers


def measure_run(folder: Path, words: Sequence[str]) -> tuple[Path, Run]:
    """Return the run in `folder`, after a benchmark with these words if there is none."""
    if not list(folder.glob("*/run.json")):
        command = [sys.executable, "-m", "voicegauge", "bench", *words, "--suite", "smoke", "--no-report"]
        done = subprocess.run([*command, "--out", str(folder)], check=False)
        if done.returncode not in {0, BUSY_STATUS}:
            raise SystemExit(done.returncode)
    (file,) = folder.glob("*/run.json")
    return file.parent, load_run(file)


class OwnServer(BaseHTTPRequestHandler):
    """Speaks with espeak-ng; each model needs a little longer than the one before."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Respond with speech."""
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not sent.keys() >= {"model", "text"}:
            self.send_error(400)
            return
        number = int(sent["model"].rpartition("-")[2])
        time.sleep(random.uniform(0.8, 1.25) * (0.08 + 0.02 * number))  # noqa: S311 - invented times
        audio = speak(sent["text"], 150 + 10 * (number % 4))
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(len(audio)))
        self.end_headers()
        self.wfile.write(audio)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@functools.cache
def speak(text: str, words_per_minute: int) -> bytes:
    """Return speech as a WAV file."""
    with SPEAKING:
        samples = synthesize(
            text,
            language="en",
            voice_variant="klatt3",
            words_per_minute=words_per_minute,
            pitch=50,
            sample_rate_hz=22_050,
            seed=0,
        )
    return encode(samples, 22_050, "wav")[0]


def measure_own_servers(folder: Path) -> tuple[Path, Run]:
    """Return a live run of servers on this machine, whose contracts are in `folder` too."""
    providers = write_own_contracts(folder / "contracts", max(TARGET_COUNTS))
    with ThreadingHTTPServer(("127.0.0.1", 0), OwnServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        urls = [f"--base-url={one}=http://127.0.0.1:{server.server_port}" for one in providers]
        words = [*providers, "--live", "--contracts", str(folder / "contracts"), *urls, "--fail-under", "0"]
        found = measure_run(folder / "runs", [*words, "--asr", "lexicon"])
        server.shutdown()
    return found


def select_targets(run: Run, target_ids: Sequence[str], run_id: str) -> Run:
    """Return the part of a run that measured some of its targets."""
    samples = tuple(one for one in run.samples if one.target in target_ids)
    sample_ids = {one.id for one in samples}
    listening = run.listening and msgspec.structs.replace(
        run.listening, verdicts=tuple(one for one in run.listening.verdicts if one.sample_id in sample_ids)
    )
    return msgspec.structs.replace(
        run,
        manifest=msgspec.structs.replace(
            run.manifest, run_id=run_id, targets=tuple(one for one in run.manifest.targets if one.id in target_ids)
        ),
        samples=samples,
        listening=listening,
        score_sets=tuple(
            msgspec.structs.replace(one, scores=tuple(score for score in one.scores if score.sample_id in sample_ids))
            for one in run.score_sets
        ),
    )


def write_reports(folder: Path, kind: str, measured: tuple[Path, Run]) -> Iterator[tuple[str, Path]]:
    """Write a report for each number of targets, and one of several runs, and yield the name of each."""
    run_folder, run = measured
    ids = [one.id for one in run.manifest.targets]
    spread = [ids[(7 * index) % len(ids)] for index in range(len(ids))]  # of several providers, however few
    for count in TARGET_COUNTS:
        name = f"{kind}-{count}"
        part = select_targets(run, list(dict.fromkeys(spread))[:count], run.manifest.run_id)
        yield name, write_report([(run_folder, part)], folder / f"{name}.html")
    together = [
        (run_folder, select_targets(run, ids[index:69:RUNS_TOGETHER], f"{run.manifest.run_id}-{index}"))
        for index in range(RUNS_TOGETHER)
    ]
    yield f"{kind}-runs", write_report(together, folder / f"{kind}-runs.html")


def take_picture(browser: Browser, page_file: Path, size: tuple[int, int], scheme: str, picture: Path) -> None:
    """Save the first screen of a page."""
    width, height = size
    with browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme) as session:  # type: ignore[arg-type]  # one of SCHEMES
        page = session.new_page()
        page.goto(page_file.as_uri())
        page.screenshot(path=picture)


def write_sheet(browser: Browser, pictures: Sequence[Path], sheet: Path) -> None:
    """Save one picture with several pictures side by side."""
    images = "".join(f'<img src="{picture.as_uri()}" style="height: 700px; margin: 4px">' for picture in pictures)
    page_file = sheet.with_suffix(".html")
    page_file.write_text(f"<body style='margin: 0; background: #888; white-space: nowrap'>{images}", encoding="utf-8")
    with browser.new_context(viewport={"width": 2060, "height": 710}) as session:
        page = session.new_page()
        page.goto(page_file.as_uri())
        page.locator("body").screenshot(path=sheet)
    page_file.unlink()


@contextmanager
def opening_browser() -> Iterator[Browser]:
    """Run Chromium as long as the context lasts."""
    with sync_playwright() as playwright:
        path = os.environ.get("VOICEGAUGE_CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def write_matrix(folder: Path) -> None:
    """Write the pictures of all reports at all sizes, and a sheet for each report and color scheme."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    measured = {
        "emulated": measure_run(folder / "emulated", []),
        "own": measure_own_servers(folder / "own"),
    }
    with opening_browser() as browser:
        for kind, one in measured.items():
            for name, page_file in write_reports(folder, kind, one):
                for scheme in SCHEMES:
                    pictures = [folder / f"{name}-{width}-{scheme}.png" for width, _ in SIZES]
                    for size, picture in zip(SIZES, pictures, strict=True):
                        take_picture(browser, page_file, size, scheme, picture)
                    write_sheet(browser, pictures, folder / f"sheet-{name}-{scheme}.png")
                    print(f"wrote {folder / f'sheet-{name}-{scheme}.png'}", flush=True)


def main() -> None:
    """Save what a reader sees first."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--matrix", type=Path, metavar="FOLDER", help="write the pictures of many reports to FOLDER")
    options = parser.parse_args()
    if options.matrix is not None:
        write_matrix(options.matrix)
        return
    PICTURE.parent.mkdir(exist_ok=True)
    with opening_browser() as browser:
        take_picture(browser, REPORT, SIZE, "light", PICTURE)
    print(f"wrote {PICTURE.relative_to(ROOT)} ({PICTURE.stat().st_size // 1024} KiB)")


if __name__ == "__main__":
    main()

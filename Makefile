# Everything a contributor does. `make bench` and `make test` set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Nothing but what the file lists, with the digests in it.
HASHED := $(PIP) --require-hashes --no-deps --requirement
# The project itself, with the build backend of the same list. pip cannot verify a folder.
EDITABLE := $(PIP) --no-deps --no-build-isolation --editable .
LOCK = printf '%s\n' hatchling editables pytest | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
  --no-annotate --no-header --generate-hashes --no-emit-package voicegauge --upgrade pyproject.toml - --output-file .lock
# torch and its CUDA libraries are left out: which build one wants depends on the machine, and with it the digest.
WITHOUT_TORCH = awk 'BEGIN { print "\# Written by `make lock`." } /^[a-z]/ { kept = !/^(torch|nvidia-|cuda-)/ } kept' .lock
# What a commit is checked with beside the tests.
CODE := harness contracts benchmarks docs

# Three at once on two cores: a fifth of the time, tests wait for sockets, clocks and other processes.
TESTS := $(BIN)/python -m pytest -n 3 --dist worksteal

# Hundreds of processes start in a run of the tests; without their bytecode each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: bench test slow lint types layers wheel docs site lock mutants sample pictures whisper phonemes release clean

bench: $(VENV)/.light   ## benchmark every target on the emulator and write the report
	$(BIN)/voicegauge bench --suite smoke

test: $(VENV)/.full     ## the suite, Whisper included
	$(TESTS) -m "not slow and not browser"

slow: $(VENV)/.full     ## what takes long: simulations, memory, all cases of long tables, the wheel, the report in a browser
	$(TESTS) -m "slow and not browser"
	$(BIN)/python -m pytest -m browser

lint: $(VENV)/.full
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(VENV)/.full
	$(BIN)/mypy

layers: $(VENV)/.full   ## imports point down only
	$(BIN)/lint-imports --no-cache

wheel: $(VENV)/.full    ## the built wheel, alone in an environment of its own, in an empty folder
	.ci/wheel

docs: $(VENV)/.full     ## the generated parts of docs/ and README.md
	$(BIN)/python docs/generate.py

site: $(VENV)/.full     ## the documentation site, in site/; fails on a broken link
	$(BIN)/python docs/reference.py
	$(BIN)/zensical build --clean --strict
	rm site/*.py

lock: $(VENV)/.full     ## newest versions that fit pyproject.toml, with the SHA-256 of every file of each release
	$(PIP) uv
	$(LOCK) --all-extras --constraint constraints.in
	$(WITHOUT_TORCH) >constraints.txt
	$(LOCK) --extra bench --constraint constraints.txt
	$(WITHOUT_TORCH) >constraints-light.txt
	$(LOCK) --constraint constraints.txt
	$(WITHOUT_TORCH) >constraints-slim.txt
	rm .lock

mutants: $(VENV)/.full  ## mutation tests of our own code: about an hour on two cores; resumable
	PYTHONPATH=benchmarks $(BIN)/python -m own_mutants

sample: $(VENV)/.full   ## reports/sample/report.html (few targets and clips: below a megabyte), and README's picture
	rm -rf .sample
	$(BIN)/voicegauge bench --suite smoke --repetitions 2 --out .sample --no-report pixazo/chatterbox pixazo/vibevoice \
	  pixelapi/voice-design ttsai/kokoro ttsai/kokoro-sync ttsai/melotts-stream
	$(BIN)/voicegauge report .sample/* --clips 4 --out reports/sample/report.html
	rm -rf .sample
	$(BIN)/python docs/picture.py

pictures: $(VENV)/.full ## the first screen of reports of 1 to 69 targets, at three widths, light and dark, in .pictures/
	$(BIN)/python docs/picture.py --matrix .pictures

whisper: $(VENV)/.full  ## train the embedded Whisper from scratch: about two hours on two cores; resumable
	PYTHONPATH=benchmarks $(BIN)/python -m embedded_whisper.corpus .whisper/shards
	PYTHONPATH=benchmarks $(BIN)/python -m embedded_whisper.train .whisper/shards .whisper/work
	PYTHONPATH=benchmarks $(BIN)/python -m embedded_whisper.export .whisper/work
	PYTHONPATH=benchmarks $(BIN)/python -m embedded_whisper.measure

phonemes: $(VENV)/.full ## train the phoneme network: half an hour on two cores; resumable
	PYTHONPATH=benchmarks $(BIN)/python -m phoneme_network.corpus .whisper/phonemes
	PYTHONPATH=benchmarks $(BIN)/python -m phoneme_network.train .whisper/phonemes .whisper/phonemes
	PYTHONPATH=benchmarks $(BIN)/python -m listening

release: $(VENV)/.full  ## check, build and tag: make release VERSION=0.2.0
	.ci/release $(VERSION)

clean:
	rm -rf $(VENV) dist build site docs/reference .sample .pictures reports/20* .mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.light: pyproject.toml constraints-light.txt | $(BIN)/python
	$(HASHED) constraints-light.txt
	$(EDITABLE)
	touch $@

$(VENV)/.full: pyproject.toml constraints.txt constraints-weights.txt | $(BIN)/python
	$(HASHED) constraints.txt
	$(HASHED) constraints-weights.txt
	$(PIP) --constraint constraints.in torch
	$(EDITABLE)
	touch $@ $(VENV)/.light

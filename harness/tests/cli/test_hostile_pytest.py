"""Every option of the pytest plugin, set by an ini file of a hostile repository to what an attacker would try.

Tests, `conftest.py` and modules beside them run by design; that code is left out here, or does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from voicegauge.options import DeclaredOption, Trust
from voicegauge.plugin._service_checks import get_plugin_flag, list_plugin_options

from .test_hostile_repository import SEPARATOR, Repository, repository, saved_run  # noqa: F401 - fixtures
from .test_hostile_settings import TEXTS, take_digests

SCRIPT = f"""
import json, pathlib, sys
import pytest
user_options, inis = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for name, text in inis:
    pathlib.Path(name).write_text(text)
    status = pytest.main(["-q", "-p", "no:cacheprovider", "test_mine.py", *user_options])
    sys.stderr.flush()
    print(f"\\n{{int(status)}}" + {SEPARATOR!r}, end="", flush=True)
    pathlib.Path(name).unlink()
"""
USAGE_ERROR = 4
INI_FILES = {
    "pytest.ini": "[pytest]\naddopts = {}\n",
    "tox.ini": "[pytest]\naddopts = {}\n",
    "setup.cfg": "[tool:pytest]\naddopts = {}\n",
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["{}"]\n',
}
LIVE_TEST = "def test_nothing(voicegauge_client): pass\n"
"""A test whose fixture opens the service and sends nothing."""
EMULATED_TEST = "def test_nothing(voicegauge_catalogue): pass\n"
"""A test that loads the contracts; an emulator would be started for each."""
HARMLESS = "--vg-max-cost=0"
"""A smaller budget than the default one."""


def list_hostile_options(one: DeclaredOption) -> list[str]:
    flag, shape = get_plugin_flag(one), one.shape
    if shape.item_type is bool:
        return [flag]
    if shape.item_type in {int, float}:
        return [f"{flag}={value}" for value in ("0", "-1", "1000000000", "nan", "x")]
    texts = (*TEXTS, "contracts", "../home", "/etc", "fifo.json", "suite.yaml")
    return [f"{flag}={text}" for text in texts if not set(text) & set("\x1b\x07\"'\\")]


def iterate_inis(port: int) -> Iterator[tuple[DeclaredOption, str, str]]:
    for one in list_plugin_options():
        for number, option in enumerate(list_hostile_options(one)):
            name = list(INI_FILES)[number % len(INI_FILES)]
            yield one, name, INI_FILES[name].format(option.replace("PORT", str(port)))


def run_all(
    repository: Repository,  # noqa: F811
    test: str,
    inis: list[tuple[DeclaredOption, str, str]],
    *user_options: str,
) -> list[tuple[int, str]]:
    for path in (*repository.folder.glob("*.py"), *repository.folder.glob("*/__init__.py")):
        path.unlink()  # pytest itself imports modules beside the tests
    (repository.folder / "test_mine.py").write_text(test)
    (repository.folder / "conftest.py").write_text("")
    before = take_digests(repository.folder)
    arguments = json.dumps(user_options), json.dumps([(name, text) for _, name, text in inis])
    with repository.start(SCRIPT, *arguments) as process:
        printed, _ = process.communicate(timeout=600)
    assert "Traceback" not in printed
    repository.assert_unharmed(printed)
    after = take_digests(repository.folder)
    assert {name: digest for name, digest in after.items() if "__pycache__" not in name} == before
    parts = printed.split(SEPARATOR)[:-1]
    assert len(parts) == len(inis), printed
    return [(int(part.rpartition("\n")[2]), part) for part in parts]


@pytest.mark.slow
def test_an_ini_file_decides_nothing_about_keys_and_money_of_live_tests(repository: Repository) -> None:  # noqa: F811
    inis = list(iterate_inis(repository.stranger.port))
    assert len(inis) > 100
    for (one, _, text), (status, printed) in zip(inis, run_all(repository, LIVE_TEST, inis, "--vg-live"), strict=True):
        is_refused = one.spec.found_file is not Trust.ANY_VALUE or one.spec.live_refusal_reason is not None
        is_refused = is_refused and HARMLESS not in text
        if is_refused and get_plugin_flag(one) != "--vg-live":
            assert status == USAGE_ERROR, (text, printed)


@pytest.mark.slow
def test_an_ini_file_does_no_harm_to_emulated_tests(repository: Repository) -> None:  # noqa: F811
    inis = list(iterate_inis(repository.stranger.port))
    done = run_all(repository, EMULATED_TEST, inis)
    assert {status for status, _ in done} <= {0, 1, USAGE_ERROR}
    live = [
        printed for (one, _, _), (_, printed) in zip(inis, done, strict=True) if get_plugin_flag(one) == "--vg-live"
    ]
    assert all("--vg-live is set in" in printed for printed in live)

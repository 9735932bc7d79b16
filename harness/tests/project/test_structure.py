"""The structure of the library: private modules, unique class names, folders that one can keep in mind, plain words."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "harness" / "voicegauge"
MAX_FOLDERS = 26
"""Folders with modules. More of them hide where something is."""
MAX_MODULE_LINES = 600
"""A longer module tells more than one story."""
MAX_PACKAGE_SHARE = 1 / 7
"""Largest share of the library's lines in one package."""
TEXTS = (".py", ".md", ".yaml", ".toml", ".j2", ".js", ".css", ".json")

_PER = r"an? (minute|second|hour|day|month|sample|request|call|character)"
FORBIDDEN = {
    "told": ("told", r"\btold\b", "write 'reported', 'named', 'passed' or 'given'"),
    "heard": ("heard", r"\bheard\b", "write 'transcribed', 'received' or 'audio_content'"),
    "dear": ("dear", r"\bdear(er|est|ly)?\b", "write 'expensive'"),
    "anew": ("anew", r"\banew\b", "write 'again'"),
    "mend": ("mend", r"\bmend(s|ed|ing)?\b", "write 'fix' or 'correct'"),
    "hush": ("hush", r"\bhush(ed|es)?\b", "write 'silence' or 'suppress'"),
    "whoever": ("ever", r"\bwho(so)?ever\b", "write 'anyone who', or name the person or program"),
    "is no X": (
        " no ",
        r"(?<!\bthere )\b(is|are|was) no (?!longer\b|more\b|one\b|other\b)",
        "write 'is not a', or 'there is no'",
    ),
    "a minute": (
        " a",
        rf"\b(dollars|USD|credits|requests|characters|price|money|cents|calls|polls|cases) {_PER}\b",
        "write 'per minute'",
    ),
}
"""Old-fashioned or ambiguous words: a part of each in lower case, the pattern that finds it, and what to write."""


@cache
def modules() -> list[Path]:
    return sorted(LIBRARY.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def dotted_name(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    return dotted_name(path.parent / "__init__.py")


@cache
def library_imports(path: Path) -> tuple[tuple[int, str, str], ...]:
    """The line, module and name of each `from voicegauge... import name`."""
    return tuple(
        (node.lineno, node.module, alias.name)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "voicegauge"
        for alias in node.names
    )


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout")
def test_git_tracks_no_ignored_file() -> None:
    """A tracked link named `.venv` replaces the environment folder of each checkout that merges it."""
    listing = ["git", "ls-files", "--cached", "--ignored", "--exclude-per-directory=.gitignore"]
    tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert tracked == [], "remove them with `git rm --cached`"


def test_private_modules_are_imported_inside_their_package_only() -> None:
    names = {dotted_name(path) for path in modules()}
    outside = [
        f"{path.relative_to(ROOT)}:{line}: {module} is private to its package"
        for path in modules()
        for line, module, name in library_imports(path)
        for private in (module, f"{module}.{name}")
        if private.rpartition(".")[2].startswith("_")
        and private in names
        and not (package_of(path) + ".").startswith(private.rpartition(".")[0] + ".")
    ]
    assert outside == []


def test_one_function_formats_amounts_of_dollars() -> None:
    formatted = [
        f"{path.relative_to(ROOT)}:{node.lineno}: use format_price_usd"
        for path in modules()
        if path.name != "price.py" and "${" in path.read_text(encoding="utf-8")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.JoinedStr)
        for text, value in itertools.pairwise(node.values)
        if isinstance(text, ast.Constant) and str(text.value).endswith("$")
        if isinstance(value, ast.FormattedValue) and value.format_spec is not None
    ]
    assert formatted == []


def test_packages_export_nothing_but_the_library_itself() -> None:
    """One name has one place; `__init__.py` files import other modules of the library only to register rules."""
    registering = {"voicegauge.rules", "voicegauge.drift"}
    code = {"voicegauge", "voicegauge.cli", "voicegauge.plugin"}
    exporting = [
        dotted_name(path)
        for path in modules()
        if path.name == "__init__.py" and dotted_name(path) not in registering | code and library_imports(path)
    ]
    assert exporting == []


def test_a_public_class_name_is_defined_once() -> None:
    homes = defaultdict(list)
    for path in modules():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(dotted_name(path))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_no_module_is_long() -> None:
    assert {
        path: count
        for path in modules()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_MODULE_LINES
    } == {}


def test_there_are_few_folders_and_none_holds_most_of_the_library() -> None:
    lines_by_package: dict[str, int] = defaultdict(int)
    for path in modules():
        lines_by_package[path.relative_to(LIBRARY).parts[0]] += len(path.read_text(encoding="utf-8").splitlines())
    total = sum(lines_by_package.values())
    assert {name for name, lines in lines_by_package.items() if lines > total * MAX_PACKAGE_SHARE} == set()
    folders = {path.parent for path in modules()}
    assert len(folders) <= MAX_FOLDERS
    assert max(len(folder.relative_to(LIBRARY).parts) for folder in folders) <= 2


@cache
def written_files() -> list[Path]:
    folders = [LIBRARY, ROOT / "docs", ROOT / "contracts", ROOT / "benchmarks", ROOT / "harness" / "tests"]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in TEXTS]
    files += [
        ROOT / name
        for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")
    ]
    data = {ROOT / "benchmarks" / "embedded_whisper" / "words.py", Path(__file__).resolve()}
    return [path for path in files if path not in data and path.parent.name != "suites"]


@cache
def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("word", FORBIDDEN)
def test_plain_words(word) -> None:
    # An underscore or a capital also begins a word: `_told_of`, `HeardText`.
    part, expression, advice = FORBIDDEN[word]
    pattern = re.compile(expression.replace(r"\b", r"(?:\b|(?<=_)|(?=_))"), re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in written_files()
        for number, line in enumerate(lines_of(path), 1)
        if part in line.lower() and pattern.search(line)
    ]
    assert found == [], advice

"""The structure of the library: public faces of packages, unique class names, folder sizes, and plain words."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "harness" / "voicegauge"
MAX_MODULES = 15
"""Modules in one folder, `__init__.py` left out; ARCHITECTURE.md gives the reason for each larger one."""
TEXTS = (".py", ".md", ".yaml", ".toml", ".j2", ".js", ".css", ".json")

_PER = r"an? (minute|second|hour|day|month|sample|request|call|character)"
FORBIDDEN = {
    "told": ("told", r"\btold\b"),
    "heard": ("heard", r"\bheard\b"),
    "dear": ("dear", r"\bdear(er|est|ly)?\b"),
    "anew": ("anew", r"\banew\b"),
    "mend": ("mend", r"\bmend(s|ed|ing)?\b"),
    "hush": ("hush", r"\bhush(ed|es)?\b"),
    "whoever": ("ever", r"\bwho(so)?ever\b"),
    "is no X": (" no ", r"(?<!\bthere )\b(is|are|was) no (?!longer\b|more\b|one\b|other\b)"),
    "a minute": (" a", rf"\b(dollars|USD|credits|requests|characters|price|money|cents|calls|polls|cases) {_PER}\b"),
}
"""Old-fashioned or ambiguous words, each with a part of it, in lower case, and the pattern that finds it."""


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


def test_packages_are_imported_by_their_public_face() -> None:
    packages = {dotted_name(path.parent / "__init__.py"): path for path in modules() if path.name == "__init__.py"}
    deep = []
    for path in modules():
        inside = package_of(path) + "."
        for line, module, _ in library_imports(path):
            home = module if module in packages else module.rpartition(".")[0]
            if module not in packages and home != "voicegauge" and not inside.startswith(home + "."):
                deep.append(f"{path.relative_to(ROOT)}:{line}: import from {home}, not from {module}")
    assert deep == []


@pytest.mark.parametrize("path", [p for p in modules() if p.name == "__init__.py"], ids=dotted_name)
def test_a_face_lists_what_it_exports(path) -> None:
    imported = {name for _, _, name in library_imports(path)}
    exported: set[str] = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            exported = set(ast.literal_eval(node.value))
    defined = {getattr(node, "name", "") for node in tree_of(path).body}
    assert exported <= imported | defined | {"__version__"}


def test_a_public_class_name_is_defined_once() -> None:
    homes = defaultdict(list)
    for path in modules():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(dotted_name(path))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_folders_are_small_or_say_why() -> None:
    architecture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    large = {}
    for folder in {path.parent for path in modules()}:
        count = sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        name = dotted_name(folder / "__init__.py").removeprefix("voicegauge.").replace(".", "/")
        if count > MAX_MODULES and f"`{name}` has {count} modules" not in architecture:
            large[name] = count
    assert large == {}


@cache
def written_files() -> list[Path]:
    folders = [LIBRARY, ROOT / "docs", ROOT / "contracts", ROOT / "benchmarks", ROOT / "harness" / "tests"]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in TEXTS]
    files += [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "pyproject.toml")]
    data = {ROOT / "benchmarks" / "embedded_whisper" / "words.py", Path(__file__).resolve()}
    return [path for path in files if path not in data and path.parent.name != "suites"]


@cache
def lines_of(path: Path) -> list[str]:
    """The lines of a file; without the changelog's list of renamed keys, which quotes the old words."""
    text = path.read_text(encoding="utf-8")
    if path.name == "CHANGELOG.md":
        text = re.sub(r"(?s)\n### Renamed\n.*?(?=\n## )", "", text)
    return text.splitlines()


@pytest.mark.parametrize("word", FORBIDDEN)
def test_plain_words(word) -> None:
    # An underscore or a capital also begins a word: `_told_of`, `HeardText`.
    part, expression = FORBIDDEN[word]
    pattern = re.compile(expression.replace(r"\b", r"(?:\b|(?<=_)|(?=_))"), re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in written_files()
        for number, line in enumerate(lines_of(path), 1)
        if part in line.lower() and pattern.search(line)
    ]
    assert found == []

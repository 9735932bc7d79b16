"""Draw docstrings and identifiers of the library at random, for a reader to grade: clear, unclear or misleading.

    python docs/sample_names.py [--seed N] [--count N]

Docstrings are drawn from modules, classes, functions and fields; identifiers from classes, functions, parameters,
fields, constants and modules. An identifier is shown with its module, since its path is part of its meaning.
"""

from __future__ import annotations

import argparse
import ast
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "harness" / "voicegauge"
Owner = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(path: Path) -> Iterator[str]:
    """Each docstring of a module with the name of what it describes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    place = path.relative_to(LIBRARY)
    for node in ast.walk(tree):
        if not isinstance(node, Owner):
            continue
        text = ast.get_docstring(node)
        name = getattr(node, "name", "(module)")
        if text:
            yield f"{place} {name}: {text}"
        for statement, following in zip(node.body, node.body[1:], strict=False):
            fields = _assigned(statement)
            if fields and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                yield f"{place} {name}.{fields[0]}: {following.value.value}"


def identifiers(path: Path) -> Iterator[str]:
    """Each identifier that a module defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    place = path.relative_to(LIBRARY)
    yield f"{place} (module name)"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield f"{place} class {node.name}"
            yield from (f"{place} {node.name}.{name}" for child in node.body for name in _assigned(child))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{place} {node.name}()"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from (f"{place} {node.name}({a.arg})" for a in arguments if a.arg not in {"self", "cls"})
        elif isinstance(node, ast.Module):
            yield from (f"{place} {name}" for child in node.body for name in _assigned(child))


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def main() -> None:
    """Print the seed, then the samples, numbered."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="draw the same again; default: a new one each time")
    parser.add_argument("--count", type=int, default=100, help="docstrings and identifiers to draw; default 100 each")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    chooser = random.Random(seed)  # noqa: S311 - a sample, not a secret
    files = sorted(LIBRARY.rglob("*.py"))
    print(f"seed {seed}")
    for title, read in (("Docstrings", docstrings), ("Identifiers", identifiers)):
        found = [one for path in files for one in read(path)]
        print(f"\n## {title}: {options.count} of {len(found)}\n")
        for number, one in enumerate(chooser.sample(found, min(options.count, len(found))), 1):
            print(f"{number}. {one}\n")


if __name__ == "__main__":
    main()

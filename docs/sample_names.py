"""Draw docstrings and identifiers of the library at random, for a reader to grade: clear, unclear or misleading.

    python docs/sample_names.py [--seed N] [--count N]

Docstrings are drawn from modules, classes, functions and fields; identifiers from classes, functions, parameters,
fields, constants and modules. Each is shown as a reader of the code sees it: with its module, a method with its class,
a function with its parameters, and what is typed with its type.

    python docs/sample_names.py --all FOLDER

lists all docstrings and identifiers of a folder of the library instead.
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
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function

MAX_VALUE_CHARACTERS = 60


def docstrings(path: Path) -> Iterator[str]:
    """Each docstring of a module with the name of what it describes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = path.relative_to(LIBRARY)
    if text := ast.get_docstring(tree):
        yield f"{module} (module): {text}"
    yield from (f"{module} {name}: {text}" for name, text in _docstrings_of_fields(tree, ""))
    for name, node in _definitions(tree):
        if text := ast.get_docstring(node):
            yield f"{module} {name}{_parameter_list(node)}: {text}"
        yield from (f"{module} {field}: {text}" for field, text in _docstrings_of_fields(node, f"{name}."))


def identifiers(path: Path) -> Iterator[str]:
    """Each identifier that a module defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = path.relative_to(LIBRARY)
    yield f"{module} (module name)"
    yield from (f"{module} {name}" for child in tree.body for name in _typed_names(child))
    for name, node in _definitions(tree):
        if isinstance(node, ast.ClassDef):
            yield f"{module} class {name}"
            yield from (f"{module} {name}.{field}" for child in node.body for field in _typed_names(child))
        else:
            signature = name + _parameter_list(node)
            yield f"{module} {signature}" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")
            yield from (f"{module} {signature}: parameter {_with_type(one)}" for one in _arguments(node))


def _definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Classes and functions below a node, with the name that includes the class or function around each."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield prefix + child.name, child
            yield from _definitions(child, f"{prefix}{child.name}.")
        else:
            yield from _definitions(child, prefix)


def _docstrings_of_fields(node: ast.Module | Definition, prefix: str) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        fields = _assigned_names(statement)
        if fields and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            yield prefix + fields[0], str(following.value.value)


def _arguments(node: Function) -> list[ast.arg]:
    variadic = [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, *variadic]
    return [argument for argument in arguments if argument.arg not in {"self", "cls"}]


def _with_type(argument: ast.arg) -> str:
    return f"{argument.arg}: {ast.unparse(argument.annotation)}" if argument.annotation else argument.arg


def _parameter_list(node: Definition) -> str:
    """The names of the parameters in parentheses; nothing for a class or a property."""
    if isinstance(node, ast.ClassDef) or any("property" in ast.unparse(one) for one in node.decorator_list):
        return ""
    return f"({', '.join(argument.arg for argument in _arguments(node))})"


def _assigned_names(node: ast.AST) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _typed_names(node: ast.AST) -> list[str]:
    """The assigned names, each with its type, or with its value if that is short."""
    if isinstance(node, ast.AnnAssign):
        return [f"{name}: {ast.unparse(node.annotation)}" for name in _assigned_names(node)]
    if isinstance(node, ast.Assign) and len(value := ast.unparse(node.value)) <= MAX_VALUE_CHARACTERS:
        return [f"{name} = {value}" for name in _assigned_names(node)]
    return _assigned_names(node)


def main() -> None:
    """Print the seed, then the samples, numbered; or the whole list."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="draw the same again; default: a new one each time")
    parser.add_argument("--count", type=int, default=100, help="docstrings and identifiers to draw; default 100 each")
    parser.add_argument("--all", metavar="FOLDER", help="list all of a folder of the library, such as bench")
    options = parser.parse_args()
    if options.all:
        paths = sorted((LIBRARY / options.all).rglob("*.py"))
        print("\n".join(line for read in (docstrings, identifiers) for path in paths for line in read(path)))
        return
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    chooser = random.Random(seed)  # noqa: S311 - a sample, not a secret
    files = sorted(LIBRARY.rglob("*.py"))
    print(f"seed {seed}")
    for title, read in (("Docstrings", docstrings), ("Identifiers", identifiers)):
        drawable = [line for path in files for line in read(path)]
        print(f"\n## {title}: {options.count} of {len(drawable)}\n")
        for number, line in enumerate(chooser.sample(drawable, min(options.count, len(drawable))), 1):
            print(f"{number}. {line}\n")


if __name__ == "__main__":
    main()

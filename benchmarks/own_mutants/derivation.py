"""Derives the mutants of a module with the operators of mutmut.

A mutant is one function with one change. Functions with decorators (rules, properties) are mutated like any other,
because only the code object of the changed function is used: it is compiled without decorators, inside empty classes
of the right names.
"""

from __future__ import annotations
import __future__

import ast
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing libcst takes a third of a second, also in test processes that derive no mutant
    import libcst as cst

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function or method as it is."""

    module: str
    """Path of the module, relative to the repository."""
    name: str
    """Qualified name: `Ledger.reserve`."""
    first_line: int
    """Line of its first decorator, or else of `def`."""
    last_line: int
    source: str = field(repr=False)
    """The function without decorators, inside empty classes of the right names."""

    @cached_property
    def digest(self) -> str:
        """Digest of the function's syntax tree, which does not depend on its position or on comments."""
        return hashlib.sha256(ast.dump(ast.parse(self.source)).encode()).hexdigest()


@dataclass(frozen=True)
class Mutant:
    """A function with one change."""

    function: Function
    lines: tuple[int, int]
    """The first and the last line in the module of what is changed."""
    before: str
    """The changed lines as they are, without indentation."""
    after: str
    """The changed lines of the mutant, without indentation."""
    source: str = field(repr=False)
    """The changed function, inside empty classes of the right names."""

    @cached_property
    def key(self) -> str:
        """What identifies the mutant for as long as its function does not change."""
        return hashlib.sha256(f"{self.function.module}\0{self.function.digest}\0{self.source}".encode()).hexdigest()[
            :16
        ]

    @cached_property
    def code(self) -> CodeType:
        """The code object of the changed function."""
        return _compile(self.source)

    @cached_property
    def definition(self) -> Definition:
        """The syntax tree of the changed function."""
        return _only_definition(ast.parse(self.source))


def derive_mutants(root: Path, module: str) -> Iterator[Mutant]:
    """Yield the mutants of a module in the order of its lines; equal ones once.

    Args:
        root: the repository.
        module: path of the module, relative to the repository.
    """
    source = blank_decorators((root / module).read_text(encoding="utf-8"))
    spans = {node.lineno: _span(node) for _, node in _functions(ast.parse((root / module).read_text(encoding="utf-8")))}
    import libcst as cst
    from libcst.metadata import MetadataWrapper, PositionProvider
    from mutmut.mutation.file_mutation import create_mutations, deep_replace

    tree, mutations, _, _ = create_mutations(module, source)
    positions = MetadataWrapper(tree, unsafe_skip_copy=True).resolve(PositionProvider)
    classes = _enclosing_classes(tree)
    functions: dict[cst.FunctionDef, Function] = {}
    found: set[tuple[CodeType, str]] = set()
    for mutation in mutations:
        definition = mutation.contained_by_top_level_function
        if not isinstance(definition, cst.FunctionDef):
            continue
        inside = classes[definition]
        if definition not in functions:
            first, last = spans[positions[definition].start.line]
            original = _wrap(definition, inside)
            functions[definition] = Function(module, ".".join([*inside, definition.name.value]), first, last, original)
            found.add((_compile(original), ast.dump(_only_definition(ast.parse(original)).args)))
        function = functions[definition]
        mutated = deep_replace(definition, mutation.original_node, mutation.mutated_node)
        assert isinstance(mutated, cst.FunctionDef)
        changed = _wrap(mutated, inside)
        span = positions[mutation.original_node]
        mutant = Mutant(function, (span.start.line, span.end.line), *_changed_lines(function.source, changed), changed)
        identity = (mutant.code, ast.dump(mutant.definition.args))
        if identity not in found:
            found.add(identity)
            yield mutant


def blank_decorators(source: str) -> str:
    """Replace the decorators of functions by empty lines, so that the other lines keep their numbers."""
    lines = source.splitlines(keepends=True)
    for _, node in _functions(ast.parse(source)):
        for decorator in node.decorator_list:
            for number in range(decorator.lineno, (decorator.end_lineno or 0) + 1):
                lines[number - 1] = "\n"
    return "".join(lines)


def _functions(node: ast.AST, inside: tuple[str, ...] = ()) -> Iterator[tuple[str, Definition]]:
    """Yield functions and methods with their qualified names, without functions inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ".".join([*inside, child.name]), child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, (*inside, child.name))


def _only_definition(tree: ast.AST) -> Definition:
    return next(node for _, node in _functions(tree))


def _span(node: Definition) -> tuple[int, int]:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]), node.end_lineno or node.lineno


def _enclosing_classes(tree: cst.Module) -> dict[cst.CSTNode, tuple[str, ...]]:
    import libcst as cst

    found: dict[cst.CSTNode, tuple[str, ...]] = {}

    def visit(block: cst.CSTNode, inside: tuple[str, ...]) -> None:
        for child in block.children:
            if isinstance(child, cst.FunctionDef):
                found[child] = inside
            elif isinstance(child, cst.ClassDef):
                visit(child.body, (*inside, child.name.value))

    visit(tree, ())
    return found


def _wrap(definition: cst.FunctionDef, inside: tuple[str, ...]) -> str:
    import libcst as cst

    statement: cst.BaseCompoundStatement = definition.with_changes(leading_lines=(), lines_after_decorators=())
    for name in reversed(inside):
        statement = cst.ClassDef(cst.Name(name), cst.IndentedBlock([statement]))
    return cst.Module([statement]).code


def _compile(source: str) -> CodeType:
    """Compile the source, and return the code object of the function in it."""
    code = compile(source, "mutant", "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)
    name = _only_name(source)
    while code.co_qualname != name:
        code = next(
            constant
            for constant in code.co_consts
            if isinstance(constant, CodeType) and f"{name}.".startswith(f"{constant.co_qualname}.")
        )
    return code


def _only_name(source: str) -> str:
    return next(name for name, _ in _functions(ast.parse(source)))


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    diff = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    removed = [line[1:].strip() for line in diff if line.startswith("-")]
    added = [line[1:].strip() for line in diff if line.startswith("+")]
    return "\n".join(removed), "\n".join(added)

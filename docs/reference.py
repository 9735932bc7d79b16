"""Write docs/reference/: commands, rules, faults, keys of a contract, JSON Schemas and the Python API, from the code.

`make site` runs it. The pages are not committed: they are always those of the code that the site is built from.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import voicegauge
from voicegauge.cli import HELP_BY_COMMAND, cli
from voicegauge.contract.document_parts import build_json_schema
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.rules.registry import RULE_BY_ID

DOCS = Path(__file__).resolve().parent
FOLDER = DOCS / "reference"


def describe_commands() -> str:
    """Return the help of every command."""
    context = click.Context(cli, info_name="voicegauge", max_content_width=100, terminal_width=100)
    parts = ["# Commands", _fence(cli.get_help(context))]
    for name in HELP_BY_COMMAND:
        command = cli.get_command(context, name)
        assert command is not None
        parts += [f"## {name}", *_describe_command(command, click.Context(command, context, info_name=name))]
    return _join(parts)


def _describe_command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _fence(command.get_help(context))
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield f"### {context.info_name} {name}"
            yield _fence(inner.get_help(click.Context(inner, context, info_name=name)))


def describe_rules() -> str:
    """Return what `voicegauge explain` says about each rule of `check`."""
    parts = [
        "# Rules",
        f"`voicegauge check` applies {len(RULE_BY_ID)} rules. `voicegauge explain RULE` prints the same.",
    ]
    for rule_id in RULE_BY_ID:
        one = voicegauge.explain_rule(rule_id)
        parts += [
            f"## {rule_id}",
            f"{one.description} Severity: {one.severity}.",
            _escape(one.consequence),
            f"- **Keeps it:** {_escape(one.conforming_example or '')}",
            f"- **Breaks it:** {_escape(one.violating_example or '')}",
            f"- **Reads:** `{one.contract_condition}`",
            _fence(f"$ {one.violation_command}", "console") if one.violation_command else "",
        ]
    return _join(parts)


def describe_drift_rules() -> str:
    """Return a table of the rules of `drift`."""
    rows = [
        f"| `{row.id}` | {row.level.value} | {_escape(row.description)} |"
        for row in voicegauge.list_rules().drift_rules
    ]
    return _join(["# Rules of drift", "\n".join(["| rule | level | what changed |", "|---|---|---|", *rows])])


def describe_faults() -> str:
    """Return a table of the faults of the emulator."""
    rows = [f"| `{fault.id}` | {_escape(fault.description)} |" for fault in FAULTS.values()]
    text = "`--fault ID` of `check`, `bench` and `serve`, and `faults` in Python, make the emulator misbehave:"
    return _join(["# Faults", text, "\n".join(["| fault | what it does |", "|---|---|", *rows])])


def describe_contract_keys() -> str:
    """Return a table for each object in the grammar of the `x-` keys."""
    schema = build_json_schema()
    definitions: dict[str, dict[str, Any]] = schema["$defs"]
    positions = re.findall(r'"(x-[a-z-]+)": \{"\$ref": "#/\$defs/(\w+)"', json.dumps(schema))
    parts = ["# Keys of a contract", "[Writing a contract](../contract.md) explains them with examples."]
    parts.append("\n".join(f"- `{key}`: {_link(name)}" for key, name in dict.fromkeys(positions)))
    for name, definition in definitions.items():
        parts += [f"## {name}", _escape(inspect.cleandoc(definition.get("description", "")))]
        required = set(definition.get("required", ()))
        rows = [
            f"| `{key}`{' (required)' if key in required else ''} | {_describe_type(value)} | "
            f"{_escape(' '.join(str(value.get('description', '')).split()))} |"
            for key, value in definition.get("properties", {}).items()
        ]
        if rows:
            parts.append("\n".join(["| key | type | meaning |", "|---|---|---|", *rows]))
    return _join(parts)


def _describe_type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_describe_type, schema["anyOf"])))
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_describe_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {_describe_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any value"))


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def describe_schemas() -> str:
    """Return a list of the JSON Schemas in docs/."""
    rows = [
        f"| [{path.name}](../{path.name}) | {_escape(json.loads(path.read_text(encoding='utf-8')).get('title', ''))} |"
        for path in sorted(DOCS.glob("*.schema.json"))
    ]
    return _join(["# JSON Schemas", "\n".join(["| file | what it describes |", "|---|---|", *rows])])


def describe_python() -> str:
    """Return the signature and the docstring of every public name."""
    parts = ["# Python", _fence(inspect.getdoc(voicegauge) or "")]
    for name in voicegauge.EXPORTED_NAMES:
        member = getattr(voicegauge, name)
        if callable(member):
            parts += [f"## {name}", _fence(f"{name}{_read_signature(member)}", "python")]
            parts.append(_fence(inspect.getdoc(member) or ""))
    return _join(parts)


def _read_signature(member: Callable[..., Any]) -> str:
    try:
        signature = inspect.signature(member)
    except (TypeError, ValueError):
        return ""
    arguments = [str(parameter) for parameter in signature.parameters.values()]
    listed = "".join(f"\n    {argument}," for argument in arguments)
    return f"({listed}\n)" if arguments else "()"


def _fence(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def _escape(text: str) -> str:
    """Return plain text as Markdown, also inside a table."""
    return re.sub(r"([\\`*_\[\]<>|{}])", r"\\\1", text)


def _join(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "commands": describe_commands,
    "rules": describe_rules,
    "drift-rules": describe_drift_rules,
    "faults": describe_faults,
    "contract-keys": describe_contract_keys,
    "schemas": describe_schemas,
    "python": describe_python,
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, describe in PAGES.items():
        (FOLDER / f"{name}.md").write_text(describe(), encoding="utf-8")


if __name__ == "__main__":
    main()

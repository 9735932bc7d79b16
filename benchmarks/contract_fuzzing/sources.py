"""Valid contracts to edit: bundled ones, the examples of docs/contract.md, and overlays on official documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from reader_fuzzing.document import to_yaml
from reader_fuzzing.readers import OFFICIAL_DOCUMENT, OVERLAY

from voicegauge.formats.located_yaml import YAML_LOADER, read_document

ROOT = Path(__file__).resolve().parents[2]
_EXAMPLE_PATTERN = re.compile(r"<!-- example: (\S+) -->\n```yaml\n(.*?)```\n<!-- /example -->", re.DOTALL)


class ContractSource(NamedTuple):
    """A valid contract."""

    name: str
    provider: str
    """Id of the provider."""
    files: Mapping[str, Any]
    """The documents as plain data, by file name."""
    contract_file: str
    """Name of the file that `--contracts` gets."""


def write_files(files: Mapping[str, Any], folder: Path) -> None:
    """Write documents as YAML, or as JSON if a name ends so."""
    for name, data in files.items():
        (folder / name).write_bytes(to_yaml(data))


def collect_sources() -> list[ContractSource]:
    """Return all valid contracts."""
    files = [
        ROOT / "benchmarks" / "crashes" / "contracts" / "acme" / "openapi.yaml",
        *sorted((ROOT / "contracts").glob("*/openapi.yaml")),
    ]
    return [*map(_read_contract, files), *_read_documented_examples(), *_build_overlays()]


def _read_contract(path: Path) -> ContractSource:
    """Return a contract under an id of its own, so that the recordings of a bundled provider are not checked by it."""
    data = read_document(path).data
    name = data["x-provider"]["id"] = f"own-{path.parent.name}"
    return ContractSource(path.parent.name, name, {"openapi.yaml": data}, "openapi.yaml")


def _read_documented_examples() -> list[ContractSource]:
    """Return the examples of docs/contract.md that are whole contracts."""
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    found = []
    for name, example in _EXAMPLE_PATTERN.findall(text):
        data = yaml.load(example, Loader=YAML_LOADER)  # noqa: S506 - a safe loader
        if "openapi" in data and "x-provider" in data:
            files = {"openapi.yaml": data}
            found.append(ContractSource(f"docs-{name}", data["x-provider"]["id"], files, "openapi.yaml"))
    return found


def _build_overlays() -> list[ContractSource]:
    """Return overlays on an official document of one file, and of two files."""
    schemas = OFFICIAL_DOCUMENT["components"]["schemas"]
    references = {name: {"$ref": f"schemas.yaml#/{name}"} for name in schemas}
    split = {**OFFICIAL_DOCUMENT, "components": {**OFFICIAL_DOCUMENT["components"], "schemas": references}}
    whole = {"overlay.yaml": OVERLAY, "official.json": OFFICIAL_DOCUMENT}
    several = {"overlay.yaml": OVERLAY, "official.json": split, "schemas.yaml": schemas}
    return [
        ContractSource("overlay", "acme", whole, "overlay.yaml"),
        ContractSource("overlay-and-files", "acme", several, "overlay.yaml"),
    ]

"""Contracts: OpenAPI 3.1 documents with a few `x-` keys, loaded and looked up."""

from voicegauge.contract.catalogue import Catalogue, load_catalogue
from voicegauge.contract.contract import (
    Contract,
    Example,
    MediaType,
    Operation,
    Parameter,
    ResponseSpec,
    Server,
)
from voicegauge.contract.loading import load_contract
from voicegauge.contract.schema import SchemaError, fit_text
from voicegauge.contract.targets import Intake, Served, Target
from voicegauge.formats.locations import MISSING, Place, parse_place, read_pointer, write_pointer

__all__ = [
    "MISSING",
    "Catalogue",
    "Contract",
    "Example",
    "Intake",
    "MediaType",
    "Operation",
    "Parameter",
    "Place",
    "ResponseSpec",
    "SchemaError",
    "Served",
    "Server",
    "Target",
    "fit_text",
    "load_catalogue",
    "load_contract",
    "parse_place",
    "read_pointer",
    "write_pointer",
]

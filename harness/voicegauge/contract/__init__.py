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
from voicegauge.contract.events import Event, StreamReader, audio_of, read_stream
from voicegauge.contract.loading import find_contract_files, load_contract
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange, request_media_type
from voicegauge.contract.pricing import (
    SPEECH_CHARACTERS_PER_S,
    PriceQuote,
    UnitPrice,
    describe_price,
    is_billable,
    price_sources,
    quote,
    rates,
    read_price,
)
from voicegauge.contract.record_reader import convert
from voicegauge.contract.schema import SchemaError, Schemas, fit_text
from voicegauge.contract.targets import AudioInputTarget, BaseTarget, Target
from voicegauge.contract.walking import walk
from voicegauge.contract.webhooks import callback_media, given_id, status_of
from voicegauge.formats import MISSING, Location, parse_location, read_pointer, write_pointer

__all__ = [
    "MISSING",
    "SPEECH_CHARACTERS_PER_S",
    "AudioInputTarget",
    "BaseTarget",
    "Catalogue",
    "Contract",
    "Event",
    "Example",
    "Location",
    "MediaType",
    "Operation",
    "Parameter",
    "ParsedExchange",
    "PriceQuote",
    "ResponseSpec",
    "SchemaError",
    "Schemas",
    "Server",
    "StreamReader",
    "Target",
    "UnitPrice",
    "audio_of",
    "callback_media",
    "convert",
    "describe_price",
    "find_contract_files",
    "fit_text",
    "given_id",
    "is_billable",
    "load_catalogue",
    "load_contract",
    "parse_exchange",
    "parse_location",
    "price_sources",
    "quote",
    "rates",
    "read_pointer",
    "read_price",
    "read_stream",
    "request_media_type",
    "status_of",
    "walk",
    "write_pointer",
]

"""Loads and checks contracts: OpenAPI 3.1 documents with additional `x-` keys, which describe providers."""

from voicegauge.contract.callbacks import (
    SignedParts,
    build_signature_headers,
    compute_signature,
    find_callback_body,
    find_callback_id_location,
    find_status_operation,
    read_signed_parts,
)
from voicegauge.contract.catalogue import Catalogue, load_catalogue
from voicegauge.contract.contract import (
    AudioInputTarget,
    BaseTarget,
    ComputedScheme,
    Contract,
    Operation,
    PathMatch,
    Server,
    Target,
)
from voicegauge.contract.document_parts import Example, MediaType, Parameter, ParsedText, ResponseSpec
from voicegauge.contract.document_walk import walk_objects
from voicegauge.contract.documents import (
    OverlayProposal,
    ProposedOperation,
    find_contract_files,
    find_overlay_base,
    propose_overlay,
    read_openapi_document,
)
from voicegauge.contract.event_streams import EventStreamParser, StreamEvent, decode_event_audio, parse_event_stream
from voicegauge.contract.loading import adapt_to_server, is_bundled, load_contract
from voicegauge.contract.parsed_exchange import ParsedExchange, RequestBody, parse_exchange
from voicegauge.contract.pricing import (
    ASSUMED_SPEECH_CHARACTERS_PER_S,
    CostUnit,
    PriceQuote,
    UnitPrice,
    compute_reported_cost,
    compute_unit_prices,
    compute_usage_bound,
    describe_price,
    is_billable,
    is_rounded_amount,
    list_price_sources,
    parse_price_override,
    quote_price,
    reports_usage,
)
from voicegauge.contract.record_reader import convert_record
from voicegauge.contract.schema_errors import SchemaError
from voicegauge.contract.schema_values import parse_text_value
from voicegauge.contract.schemas import Schemas, describe_unusable_reference
from voicegauge.formats import MISSING, Location, parse_location, read_pointer, write_pointer

__all__ = [
    "ASSUMED_SPEECH_CHARACTERS_PER_S",
    "MISSING",
    "AudioInputTarget",
    "BaseTarget",
    "Catalogue",
    "ComputedScheme",
    "Contract",
    "CostUnit",
    "EventStreamParser",
    "Example",
    "Location",
    "MediaType",
    "Operation",
    "OverlayProposal",
    "Parameter",
    "ParsedExchange",
    "ParsedText",
    "PathMatch",
    "PriceQuote",
    "ProposedOperation",
    "RequestBody",
    "ResponseSpec",
    "SchemaError",
    "Schemas",
    "Server",
    "SignedParts",
    "StreamEvent",
    "Target",
    "UnitPrice",
    "adapt_to_server",
    "build_signature_headers",
    "compute_reported_cost",
    "compute_signature",
    "compute_unit_prices",
    "compute_usage_bound",
    "convert_record",
    "decode_event_audio",
    "describe_price",
    "describe_unusable_reference",
    "find_callback_body",
    "find_callback_id_location",
    "find_contract_files",
    "find_overlay_base",
    "find_status_operation",
    "is_billable",
    "is_bundled",
    "is_rounded_amount",
    "list_price_sources",
    "load_catalogue",
    "load_contract",
    "parse_event_stream",
    "parse_exchange",
    "parse_location",
    "parse_price_override",
    "parse_text_value",
    "propose_overlay",
    "quote_price",
    "read_openapi_document",
    "read_pointer",
    "read_signed_parts",
    "reports_usage",
    "walk_objects",
    "write_pointer",
]

"""Recognizes the format of a file of recorded requests and responses."""

from __future__ import annotations

from pathlib import Path

from voicegauge.errors import DataError
from voicegauge.recording.importing.foreign_har import parse_har
from voicegauge.recording.importing.huggingface_tapes import parse_huggingface_tapes
from voicegauge.recording.importing.json_and_yaml_files import read_json_or_yaml
from voicegauge.recording.importing.parsed_interaction import InteractionFile
from voicegauge.recording.importing.vcr_cassettes import parse_vcr_cassette


def is_recording(path: Path) -> bool:
    """Whether `path` is a recording of voicegauge, which `load_har` can read.

    Raises:
        DataError: the file cannot be read.
    """
    data = read_json_or_yaml(path)
    log = data.get("log") if isinstance(data, dict) else None
    return isinstance(log, dict) and "_voicegauge" in log


def parse_interaction_file(path: Path) -> InteractionFile:
    """Parse a file that another tool recorded.

    Raises:
        DataError: the file cannot be read or its format is unknown.
    """
    data = read_json_or_yaml(path)
    for parse in (parse_har, parse_vcr_cassette, parse_huggingface_tapes):
        file = parse(data)
        if file is not None:
            return file
    raise DataError(f"{path}: is not a VCR cassette, a HAR file or a file of huggingface.js tapes")

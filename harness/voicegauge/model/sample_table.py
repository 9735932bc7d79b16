"""The samples of runs as table rows and data frames."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from voicegauge.errors import MissingExtraError
from voicegauge.files import PARQUET_MARK
from voicegauge.model.sample import ListeningVerdict, MeasuredVoice, QualityPrediction, Sample, Score

if TYPE_CHECKING:
    import pandas as pd


# Defines the columns of a table with one row per sample, which CSV files, Parquet files and data frames have.


ColumnType = Literal["text", "integer", "number", "boolean", "timestamp"]
"""The type of a column. `timestamp` is a time in UTC with microseconds."""
ColumnValue = str | int | float | bool | datetime | None


class SampleRow(NamedTuple):
    """One sample with the facts about its run that the table shows."""

    run_id: str
    provenance: str
    is_rehearsal: bool
    fault_ids: str
    """Ids of the injected faults, joined by spaces; empty without any."""
    region: str | None
    suite: str
    sample: Sample
    asr: str | None
    """The ASR engine of the scores; `None` if the run was not scored."""
    score: Score | None
    listening: ListeningVerdict | None
    """Whether the audio says its text; `None` if that was not judged."""
    predicted_quality: QualityPrediction | None = None
    """How listeners would rate the audio; `None` if it was not predicted."""
    voice: MeasuredVoice | None = None
    """The voice of the sample; `None` if voices were not compared."""

    @property
    def status(self) -> str:
        """The word "failure" for a sample without a result, "success" for any other."""
        return "success" if self.sample.failure is None else "failure"

    @property
    def score_asr(self) -> str | None:
        """The ASR engine of the sample's score; `None` if the sample has no score."""
        return self.asr if self.score is not None else None


class SampleColumn(NamedTuple):
    """One column of the table, as `sample_columns.yaml` describes it."""

    name: str
    type: ColumnType
    presence: Literal["required", "optional"]
    """Whether every row has a value, or the value of a row may be missing."""
    unit: str
    """Unit of the numbers in the column; empty for other values."""
    attribute_names: tuple[str, ...]
    """Names of the attributes that lead from a `SampleRow` to the value, such as ("sample", "audio", "sha256")."""
    meaning: str
    """One sentence that explains the column."""

    def read_value(self, row: SampleRow) -> ColumnValue:
        """Return the value of the column for a row; `None` if the row has none."""
        value: Any = row
        for attribute in self.attribute_names:
            value = getattr(value, attribute)
            if value is None:
                return None
        column_type = self.type
        if column_type == "timestamp":
            return datetime.fromisoformat(value).astimezone(UTC)
        return float(value) if column_type == "number" else value


SAMPLE_COLUMNS = msgspec.yaml.decode(
    Path(__file__).with_name("sample_columns.yaml").read_bytes(), type=tuple[SampleColumn, ...]
)
"""The columns, in order."""


# Writes tables of samples as Parquet, and converts them to pandas data frames. Both need the extra `data`.


def write_parquet(rows: Iterable[SampleRow], file: IO[bytes]) -> None:
    """Write one row per sample to an open file, with the columns and types of `SAMPLE_COLUMNS`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    table = _build_arrow_table(rows)
    _import_library("pyarrow.parquet").write_table(table, file)


def build_data_frame(rows: Iterable[SampleRow]) -> pd.DataFrame:
    """Return one row per sample, with the columns of `SAMPLE_COLUMNS` and pandas' nullable types.

    Raises:
        MissingExtraError: pandas or pyarrow is not installed.
    """
    pandas: Any = _import_library("pandas")
    arrow = _import_library("pyarrow")
    dtypes = {
        arrow.string(): pandas.StringDtype(),
        arrow.int64(): pandas.Int64Dtype(),
        arrow.float64(): pandas.Float64Dtype(),
        arrow.bool_(): pandas.BooleanDtype(),
    }
    frame: pd.DataFrame = _build_arrow_table(rows).to_pandas(types_mapper=dtypes.get)
    return frame


def _build_arrow_table(rows: Iterable[SampleRow]) -> Any:
    arrow = _import_library("pyarrow")
    types: dict[ColumnType, Any] = {
        "text": arrow.string(),
        "integer": arrow.int64(),
        "number": arrow.float64(),
        "boolean": arrow.bool_(),
        "timestamp": arrow.timestamp("us", tz="UTC"),
    }
    all_rows = list(rows)
    fields, columns = [], []
    for column in SAMPLE_COLUMNS:
        is_optional = column.presence == "optional"
        metadata = {"unit": column.unit, "meaning": column.meaning}
        fields.append(arrow.field(column.name, types[column.type], nullable=is_optional, metadata=metadata))
        columns.append(arrow.array([column.read_value(row) for row in all_rows], type=types[column.type]))
    return arrow.Table.from_arrays(columns, schema=arrow.schema(fields, metadata={"written_by": PARQUET_MARK}))


def _import_library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name.partition('.')[0]}, which tables of samples need,", "data") from error

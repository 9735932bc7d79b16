"""Writes tables of samples as Parquet, and converts them to pandas data frames. Both need the extra `data`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from voicegauge.errors import MissingExtraError
from voicegauge.model.sample_table import SAMPLE_COLUMNS, ColumnType, SampleRow

if TYPE_CHECKING:
    import pandas as pd


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
        metadata = {"unit": column.unit, "meaning": column.meaning}
        fields.append(arrow.field(column.name, types[column.type], nullable=column.can_be_missing, metadata=metadata))
        columns.append(arrow.array([column.read(row) for row in all_rows], type=types[column.type]))
    return arrow.Table.from_arrays(columns, schema=arrow.schema(fields))


def _import_library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name.partition('.')[0]}, which tables of samples need,", "data") from error

"""Records of runs: a run's folder on disk, and all of some folders as tables. Nothing here imports torch."""

from repro.disk import replacing, write_json, write_text
from repro.records.collect import RUN_COLUMNS, Records, Source, collect
from repro.records.folder import RunFolder
from repro.records.record import Record, read_record
from repro.records.tables import (
    COLUMNS,
    HEALTH_COLUMNS,
    HealthRow,
    Row,
    format_row,
    read_curve,
    read_health,
    read_responses,
    write_health,
    write_responses,
)

__all__ = [
    "COLUMNS", "HEALTH_COLUMNS", "RUN_COLUMNS", "HealthRow", "Record", "Records", "Row", "RunFolder", "Source",
    "collect", "format_row", "read_curve", "read_health", "read_record", "read_responses", "replacing", "write_health",
    "write_json", "write_responses", "write_text",
]  # fmt: skip

"""Records of runs: a run's folder on disk, and all of some folders as tables. Nothing here imports torch."""

from repro.disk import replacing, write_json, write_text
from repro.records.collect import FINAL, RUN_COLUMNS, Damaged, Records, Source, collect
from repro.records.folder import RunFolder
from repro.records.record import FORMAT, STATUSES, Record, read_record
from repro.records.tables import (
    COLUMNS,
    HEALTH_COLUMNS,
    RESPONSE_COLUMNS,
    HealthRow,
    Response,
    Row,
    format_row,
    read_curve,
    read_health,
    read_responses,
    write_curve,
    write_health,
    write_responses,
)

__all__ = [
    "COLUMNS", "FINAL", "FORMAT", "HEALTH_COLUMNS", "RESPONSE_COLUMNS", "RUN_COLUMNS", "STATUSES", "Damaged",
    "HealthRow", "Record", "Records", "Response", "Row", "RunFolder", "Source", "collect", "format_row", "read_curve",
    "read_health", "read_record", "read_responses", "replacing", "write_curve", "write_health", "write_json",
    "write_responses", "write_text",
]  # fmt: skip

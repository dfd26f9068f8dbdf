"""Whether a run.json, which anyone may have written, is a record of a run: every part that is read is of its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from repro import names
from repro.errors import UserError, shown
from repro.spec import LARGEST, Run

#: The format of run.json; a reader refuses what it does not know.
FORMAT = 1
#: How a run ended, or that it has not. "stopped" is one that can be carried on; "foreign" was imported.
STATUSES = ("running", "stopped", "complete", "diverged", "failed", "foreign")
#: More than any machine gives to one run. The OpenMP runtime ends the process where it cannot start them.
MOST_THREADS = 1024


def check(record: Any) -> Run:
    """Check what every reader of a record relies on, and give its run.

    Raises:
        UserError: it is none; which part is wrong.
    """
    if not isinstance(record, dict) or not isinstance(record.get("spec"), dict):
        raise UserError("is no record of a run: its 'spec' is missing")
    if record.get("format") != FORMAT:
        raise UserError(f"has format {shown(record.get('format'))}, this version reads format {FORMAT}")
    if record.get("status") not in STATUSES:
        raise UserError(f"status is {shown(record.get('status'))}, not one of {', '.join(STATUSES)}")
    if not _is_whole(record.get("iteration")):
        raise UserError(f"iteration is {shown(record.get('iteration'))}: a whole number is needed")
    _check_text(record)
    for part in ("data", "numerics", "environment", "final"):
        if not isinstance(record.get(part), dict | None):
            raise UserError(f"{part} is {shown(record[part])}: a table of values is needed")
    _check_values(record, "final", _FINAL)
    if record["status"] == "complete" and (record.get("final") or {}).get("train_error") is None:
        raise UserError("status is 'complete', but final.train_error is missing")
    run = Run.from_dict(record["spec"])
    names.parse(run.network)
    for key in ("data", "preset", "variant"):
        if not getattr(run, key).isprintable():
            raise UserError(f"spec.{key} is {shown(getattr(run, key))}: a text that can be shown is needed")
    if record["status"] == "complete" and record["iteration"] != run.schedule.iterations:
        raise UserError(f"status is 'complete', but iteration is {record['iteration']}, not {run.schedule.iterations}")
    return run


def check_for_resuming(record: Mapping[str, Any], run: Run) -> None:
    """Check what carrying on from a record, of this run, relies on besides.

    Raises:
        UserError: which part is wrong.
    """
    if record.get("hash") not in (None, run.hash):
        raise UserError(f"hash is {shown(record['hash'])}, but its spec has {run.hash!r}: one of them was changed")
    _check_values(record, "numerics", _NUMERICS)
    _check_values(record, "data", {"fingerprint": _TEXT})
    sessions = record.get("sessions")
    if sessions is not None and not (isinstance(sessions, list) and all(isinstance(item, dict) for item in sessions)):
        raise UserError(f"sessions is {shown(sessions)}: a list of tables is needed")


def _check_values(record: Mapping[str, Any], part: str, kinds: Mapping[str, tuple[Callable[[Any], bool], str]]) -> None:
    for key, (test, words) in kinds.items():
        value = (record.get(part) or {}).get(key)
        if value is not None and not test(value):
            raise UserError(f"{part}.{key} is {shown(value)}: {words} is needed")


def _check_text(record: Mapping[str, Any]) -> None:
    try:
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError as error:
        raise UserError("is nested too deep") from error
    except ValueError as error:  # half a character, or infinity written as 1e999
        raise UserError(f"holds what no record can hold: {error}") from error


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e300


def _is_percent(value: Any) -> bool:
    return _is_number(value) and value <= 100


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_threads(value: Any) -> bool:
    return _is_whole(value) and 1 <= value <= MOST_THREADS


def _is_ranks(value: Any) -> bool:
    return _is_whole(value) and value >= 1


_TEXT = (_is_text, "a text")
_NUMBER = (_is_number, "a number from 0")
_PERCENT = (_is_percent, "a percentage")
_FINAL = {
    "train_error": _PERCENT,
    "train_loss": _NUMBER,
    "test_error": _PERCENT,
    "test_loss": _NUMBER,
    "clean_train_error": _PERCENT,
    "clean_train_loss": _NUMBER,
}
_NUMERICS = {
    "device": _TEXT,
    "precision": _TEXT,
    "threads": (_is_threads, f"a whole number from 1 to {MOST_THREADS:,}"),
    "ranks": (_is_ranks, "a whole number from 1"),
}

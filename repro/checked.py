"""Values that a file or a command line gives, checked by pydantic against a type; what is wrong is told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, Strict, TypeAdapter, ValidationError

from repro.errors import UserError, shown, unknown

#: JSON keeps whole numbers up to here exact in every reader.
LARGEST = 2**53

Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict(), Field(ge=0, le=LARGEST)]
#: A whole number passes as one. -0.0 equals 0.0, and so must their hashes.
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), AfterValidator(lambda value: value + 0.0)]

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table",
    "dataclass": "a table",
    "model": "a table",
}
_LIMITS = {
    "greater_than_equal": "{ge:,} or more",
    "greater_than": "more than {gt:,}",
    "less_than_equal": "{le:,} or less",
    "less_than": "less than {lt:,}",
    "too_short": "one or more",
}


def checked(kind: TypeAdapter[Any], values: Any, known: Iterable[str] = (), word: str = "setting") -> Any:
    """A value of a type, from plain values as TOML or JSON has them.

    Args:
        kind: of the type.
        values: a table of its fields.
        known: every field by its dotted name, for naming the one nearest to an unknown one.
        word: what a field is called.

    Raises:
        UserError: which field is wrong, what it is, and what it has to be.
    """
    try:
        return kind.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    name = _dotted(first["loc"])
    what, limits = first["type"], first.get("ctx", {})
    if what in ("unexpected_keyword_argument", "extra_forbidden"):
        raise unknown(word, name, known)
    if what == "missing":
        raise UserError(f"{name} is missing: add it")
    value = first["input"]
    if what == "literal_error":
        choices = re.findall(r"'([^']*)'", limits["expected"])
        raise unknown(f"value of {name}", value if isinstance(value, str) else shown(value), choices)
    needed = _LIMITS[what].format(**limits) if what in _LIMITS else _KINDS.get(what.split("_")[0], first["msg"])
    raise UserError(f"{name or 'this'} is {shown(value)}: {needed} is needed")


def _dotted(place: Iterable[int | str]) -> str:
    """Where a value is: the names on the way to it; the place in a list says less than the list."""
    return ".".join(key for key in place if isinstance(key, str))


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted names: {"schedule": {"lr": 1}} becomes {"schedule.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat

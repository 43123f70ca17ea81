"""Logical types as schemas write them: which there are, on what, and which of their attributes make sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lockgate.avro.types import Logical
from lockgate.errors import SchemaError

__all__ = ["parse_logical"]

_LOGICAL_ON = {
    "decimal": ("bytes", "fixed"),
    "uuid": ("string",),
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    "timestamp-millis": ("long",),
    "timestamp-micros": ("long",),
    "local-timestamp-millis": ("long",),
    "local-timestamp-micros": ("long",),
}


def parse_logical(document: Mapping[str, Any], kind: str, size: int | None, path: str) -> Logical | None:
    """Return the logical type of an object; None where Avro says to ignore one: unknown, or on another type."""
    name = document.get("logicalType")
    if not isinstance(name, str) or kind not in _LOGICAL_ON.get(name, ()):
        return None
    if name != "decimal":
        return Logical(name)
    # Avro would have a bad decimal read as plain bytes. That is nobody's intention, so it is a mistake here.
    precision, scale = document.get("precision"), document.get("scale", 0)
    if not isinstance(precision, int) or isinstance(precision, bool) or precision < 1:
        raise SchemaError("a decimal needs a `precision` of at least 1", path=path)
    if not isinstance(scale, int) or isinstance(scale, bool) or not 0 <= scale <= precision:
        raise SchemaError("a decimal's `scale` must be between 0 and its `precision`", path=f"{path}/scale")
    if size is not None and precision > (most := math.floor(math.log10(2) * (8 * size - 1)) if size else 0):
        raise SchemaError(f"{size} bytes hold {most} decimal digits, not {precision}", path=f"{path}/precision")
    return Logical(name, precision, scale)

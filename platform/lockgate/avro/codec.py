"""Encoder and Decoder: from datum to bytes and back, strictly, with exact errors, as fast as Python goes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lockgate.avro.conversions import Misfit, describe
from lockgate.avro.decode import Read, compile_decoder
from lockgate.avro.encode import Write, compile_encoder
from lockgate.avro.parser import parse
from lockgate.avro.source import Trace
from lockgate.avro.types import Record, branch_name
from lockgate.errors import EventError, PoisonError, SchemaError

__all__ = ["Decoder", "Encoder"]


class Encoder:
    """Encode data of one record schema; safe to share between threads.

    A datum holds what `lockgate.avro.event.Event` says. Raise SchemaError where the schema is not valid.
    """

    def __init__(self, schema: Any) -> None:
        self._record = _parsed(schema)
        self._write: Write = compile_encoder(self._record, traced=False)(None)

    def encode(self, datum: Mapping[str, Any], head: bytes = b"") -> bytes:
        """Return a datum in Avro's binary encoding, behind `head`: the registry's framing, for a record's value.

        Raise EventError with the path of the first value that does not fit: a missing field without default, an
        unknown field, a wrong type, a number out of range, an unknown symbol. Timestamps are rounded down to what the
        schema keeps of them; nothing else is changed to fit.
        """
        out = bytearray(head)
        try:
            self._write(datum, out)
        except Exception as error:
            # a datum may hold anyone's objects, which raise what they like; whatever it is, it does not fit
            raise self._explain(datum, error) from None
        return bytes(out)

    def _explain(self, datum: Any, first: Exception) -> EventError:
        trace = Trace()
        expected, got = "a datum that can be written", f"{describe(datum)}, which raises {type(first).__name__}"
        try:
            self._explaining(trace)(datum, bytearray())
        except Misfit as misfit:
            expected, got = misfit.expected, misfit.got
        except Exception as error:
            got = f"a value that raises {type(error).__name__}"
        return EventError(self._record.name, trace.path, expected, got)

    @cached_property
    def _explaining(self) -> Any:
        return compile_encoder(self._record, traced=True)


class Decoder:
    """Decode what one writer's schema has written into data of a reader's; safe to share between threads.

    Raise PoisonError (`schema-mismatch`) where the writer's schema is not valid, SchemaError where the reader's is not.
    Where the two do not resolve, only the data that need what is missing are poison.
    """

    def __init__(self, writer: Any, reader: Any) -> None:
        self._reader = _parsed(reader)
        try:
            self._writer = _parsed(writer)
        except SchemaError as error:
            raise PoisonError("schema-mismatch", f"the writer's schema is not valid: {error.message}") from error
        self._read: Read = compile_decoder(self._writer, self._reader, traced=False)(None)

    def decode(self, value: bytes, offset: int = 5) -> dict[str, Any]:
        """Return the datum that begins at an offset of a record's value and takes the rest of it.

        Raise PoisonError: `truncated`, `malformed`, `index-out-of-range`, `trailing-bytes` or `schema-mismatch`.
        """
        end = len(value)
        try:
            datum, position = self._read(value, offset, end)
        except Exception as error:
            raise self._explain(value, offset, error) from None
        if position != end:
            if position > end:  # of a record without fields, and a value shorter than its framing
                raise PoisonError("truncated", f"the value has {end} bytes, and the datum begins at byte {offset}")
            raise PoisonError("trailing-bytes", f"the datum ends at byte {position} of {end}")
        return datum  # type: ignore[no-any-return]  # a record is a dict

    def _explain(self, value: bytes, offset: int, first: Exception) -> Exception:
        trace = Trace()
        error = first
        try:
            self._explaining(trace)(value, offset, len(value))
        except Exception as again:
            error = again
        where = f"{trace.path or self._writer.name} (byte {trace.at} of {len(value)})"
        match error:
            case PoisonError():
                return PoisonError(error.reason, f"{where}: {error.message}")
            case IndexError():
                return PoisonError("truncated", f"{where}: the value ends before the datum does")
            case UnicodeDecodeError():
                return PoisonError("malformed", f"{where}: text that is not UTF-8")
            case ValueError() | ArithmeticError():
                return PoisonError("malformed", f"{where}: not a value of its logical type: {error}")
            case _:
                return error  # a mistake of ours: not to be taken for the record's

    @cached_property
    def _explaining(self) -> Any:
        return compile_decoder(self._writer, self._reader, traced=True)


def _parsed(schema: Any) -> Record:
    type_ = parse(schema)
    if not isinstance(type_, Record):
        raise SchemaError(f"expected the schema of a record, got {branch_name(type_)}")
    return type_

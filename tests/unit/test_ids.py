"""Ids of events and of traces."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from lockgate import ids, records

MANY = 1000
"""More than are made at a time."""
NAMESPACE = uuid.UUID("6f0c35a5-7a5e-5a63-9a4d-6d3f2c1f0b52")


def test_event_ids_are_random_uuids() -> None:
    made = {ids.new_event()[0] for _ in range(MANY)}
    assert len(made) == MANY
    for ident in made:
        parsed = uuid.UUID(ident)
        assert (str(parsed), parsed.version, parsed.variant) == (ident, 4, uuid.RFC_4122)


def test_the_trace_of_a_new_event_has_the_digits_of_its_id() -> None:
    for _ in range(MANY):
        ident, traceparent = ids.new_event()
        assert records.trace_of([(records.TRACEPARENT, traceparent)]) == (ident.replace("-", ""), "01")


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_neither_trace_nor_span_is_ever_zero(byte: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: byte * count)
    for ident, traceparent in ids._made(3):
        _, trace, span, _ = traceparent.split(b"-")
        assert int(trace, 16) > 0
        assert int(span, 16) > 0
        assert uuid.UUID(ident).version == 4


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: [ids.new_event()[0] for _ in range(MANY)], range(8)))
    assert len({ident for some in made for ident in some}) == 8 * MANY


def test_a_forked_child_makes_ids_of_its_own() -> None:
    program = (
        "import os, sys; from lockgate import ids; ids.new_event(); child = os.fork(); "
        "sys.stdout.write(ids.new_event()[0] + chr(10)); sys.stdout.flush(); child and os.waitpid(child, 0)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    first, second = told.stdout.split()
    assert first != second


def test_a_derived_id_depends_on_input_workload_and_position_only() -> None:
    one = ids.derived_event_id("e", "w", 0)
    assert one == str(uuid.uuid5(NAMESPACE, "e/w/0"))
    assert len({one, ids.derived_event_id("e", "w", 1), ids.derived_event_id("e", "v", 0)}) == 3


def test_a_trace_is_continued_with_a_span_of_its_own() -> None:
    child = ids.traceparent(("4bf92f3577b34da6a3ce929d0e0e4736", "00"))
    assert child.startswith(b"00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert child.endswith(b"-00")
    assert child != ids.traceparent(("4bf92f3577b34da6a3ce929d0e0e4736", "00"))

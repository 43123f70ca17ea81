"""The envelope of retries and dead letters, and the record's own headers around it."""

from __future__ import annotations

import string

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockgate import records
from lockgate.records import Coordinates, Envelope, enclose, with_envelope, without_envelope

NAMES = st.sampled_from(["ce_id", "x", records.ENVELOPE, records.DUE, records.TOPIC, records.POINTER]) | st.text(
    string.ascii_letters, max_size=8
)
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=12)), max_size=8)
TEXT = st.text(max_size=60)
COUNT = st.integers(0, 2**63 - 1)
ENVELOPES = st.builds(
    Envelope,
    source=st.builds(Coordinates, st.text(string.ascii_lowercase, min_size=1), st.integers(0, 2**31 - 1), COUNT),
    group=st.text(string.ascii_lowercase, min_size=1),
    attempt=st.integers(0, 100),
    timestamp=st.integers(-1, 2**62),
    timestamp_type=st.sampled_from(["CreateTime", "LogAppendTime"]),
    stage=st.sampled_from(["read", "handle", "publish"]),
    reason=st.sampled_from(["malformed", "error"]),
    message=TEXT,
    exception=TEXT,
    stack=TEXT,
    schema_id=st.none() | st.integers(0, 2**32 - 1),
    due=st.none() | st.integers(0, 2**62),
    replay=st.integers(0, 9),
    pointer=st.booleans(),
)
ENVELOPE = Envelope(
    Coordinates("orders", 3, 1842), "payments.orders", 2, 5, "CreateTime", "handle", "error", "no answer"
)


@given(HEADERS, ENVELOPES)
def test_own_headers_come_back_byte_for_byte_whatever_they_are_called(
    own: list[tuple[str, bytes | None]], envelope: Envelope
) -> None:
    assert without_envelope(enclose(own, envelope)) == own


@given(HEADERS, ENVELOPES)
def test_an_envelope_reads_back_whatever_the_own_headers_say(
    own: list[tuple[str, bytes | None]], envelope: Envelope
) -> None:
    assert Envelope.read(enclose(own, envelope)) == envelope


@given(HEADERS, ENVELOPES, ENVELOPES)
def test_a_second_envelope_replaces_the_first(
    own: list[tuple[str, bytes | None]], first: Envelope, second: Envelope
) -> None:
    assert with_envelope(enclose(own, first), second) == enclose(own, second)


@given(st.text(), st.text(max_size=5000), st.text(max_size=9000))
@example("\ud800", "\ud800" * 2000, "\udcff" * 9000)
def test_an_envelope_stays_below_8_kib_and_takes_any_text(message: str, exception: str, stack: str) -> None:
    pairs = attrs.evolve(ENVELOPE, message=message, exception=exception, stack=stack).headers()
    assert sum(len(name) + len(value) for name, value in pairs) < 8192


def test_a_long_message_keeps_its_beginning_and_a_long_stack_its_end() -> None:
    envelope = attrs.evolve(ENVELOPE, message="first" + "x" * 5000, stack="y" * 9000 + "last")
    found = Envelope.read(envelope.headers())
    assert found is not None
    assert found.message.startswith("first")
    assert found.stack.endswith("last")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (records.OFFSET, b"-1"),
        (records.OFFSET, b"many"),
        (records.PARTITION, None),
        (records.DELIVERY_COUNT, b"-3"),
        (records.DUE, b"tomorrow"),
        (records.ENVELOPE, b"2"),
    ],
)
def test_an_envelope_that_makes_no_sense_is_none(name: str, value: bytes | None) -> None:
    headers = attrs.evolve(ENVELOPE, due=9).headers()
    assert Envelope.read([(key, value if key == name else content) for key, content in headers]) is None


def test_headers_with_the_names_but_without_the_marker_are_no_envelope() -> None:
    assert Envelope.read(ENVELOPE.headers()[1:]) is None
    assert Envelope.read(None) is None


def test_a_letter_is_called_by_its_source_group_and_round() -> None:
    assert attrs.evolve(ENVELOPE, replay=1).identity == "orders-3@1842/payments.orders#1"


def test_the_last_header_of_a_name_counts() -> None:
    assert records.header([("a", b"1"), ("b", b"2"), ("a", b"3")], "a") == b"3"
    assert records.header(None, "a") is None


def test_a_fingerprint_ignores_numbers_ids_and_quoted_values() -> None:
    one = records.fingerprint("handle", "error", "order 17 of 'anna' failed: 3fa85f64-5717-4562-b3fc-2c963f66afa6")
    two = records.fingerprint("handle", "error", "order 99 of 'bert' failed: 00000000-0000-0000-0000-000000000000")
    assert one == two
    assert one != records.fingerprint("handle", "reject", "order 17 of 'anna' failed")
    assert records.fingerprint("handle", "error", "\ud800")


def test_a_trace_is_read_with_its_flags() -> None:
    given_trace = [(records.TRACEPARENT, b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]
    assert records.trace_of(given_trace) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00")


@pytest.mark.parametrize("value", [b"", b"nonsense", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", b"\xff"])
def test_what_is_no_traceparent_is_no_trace(value: bytes) -> None:
    assert records.trace_of([(records.TRACEPARENT, value)]) is None


def test_a_frame_is_the_magic_byte_and_the_id_before_the_datum() -> None:
    assert records.frame(258, b"x") == b"\x00\x00\x00\x01\x02x"

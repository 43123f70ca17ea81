"""The producer of programs, on the real cluster: what it checks, what it writes, and what it tells its caller."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from lockgate import Delivery, DeliveryError, EventError, Producer, SettingsError, UsageError
from tests.worlds import SharedStack, World, headers_of, make_world

LIMIT = 50_000
"""What the topic takes here, against its contract: the brokers refuse what the producer has let through."""
SIZE = 100_000
"""More characters of random hex than that, however they are compressed."""


@pytest.fixture(scope="module")
def shared(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make_world(stack, tmp_path_factory.mktemp("producer"))
    service, domain = (
        world.root / name for name in ("services/source/service.yaml", f"schemas/{world.source_topic}/domain.yaml")
    )
    service.write_text(
        service.read_text() + f"  {world.name}-atomic: {{publishes: [{world.source_topic}.Made], exactly_once: true}}\n"
    )
    domain.write_text(
        domain.read_text().replace(f"writers: [{world.writer}]", f"writers: [{world.writer}, {world.name}-atomic]")
    )
    stack.apply(world.root)
    topic = ConfigResource(ResourceType.TOPIC, world.source_topic)
    entry = ConfigEntry("max.message.bytes", str(LIMIT), incremental_operation=AlterConfigOpType.SET)
    topic.add_incremental_config(entry)
    admin = AdminClient(stack.settings("admin").client_config())
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(30)
    return world


@pytest.fixture
def world(shared: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in [name for name in os.environ if name.startswith("LOCKGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOCKGATE_HOME", str(shared.stack.home))
    return shared


@pytest.fixture
def producer(world: World) -> Iterator[Producer]:
    with Producer(world.writer, root=world.root) as found:
        yield found


def made(world: World, item: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return f"{world.source_topic}.Made", {"item_id": item, "size": 1, "colour": "RED"} | fields


def too_large(world: World, item: str) -> tuple[str, dict[str, Any]]:
    return made(world, item, note=os.urandom(SIZE).hex())


def written(world: World, *items: str) -> list[Any]:
    keys = {item.encode() for item in items}
    return [message for message in world.read(world.source_topic) if message.key() in keys]


def murmur2(key: bytes) -> int:
    """What Java's and Flink's clients choose partitions by (org.apache.kafka.common.utils.Utils.murmur2)."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if len(key) > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


def test_an_event_arrives_with_value_key_headers_and_partition_of_its_contract(world: World) -> None:
    deliveries: list[Delivery] = []
    with Producer(world.writer, root=world.root) as producer:
        ids = [producer.send(made(world, f"plain-{n}"), on_delivery=deliveries.append) for n in range(9)]
    messages = {message.key().decode(): message for message in written(world, *(f"plain-{n}" for n in range(9)))}
    assert len(messages) == 9
    for number, ident in enumerate(ids):
        item = f"plain-{number}"
        message = messages[item]
        assert message.value() == world.encode(*_short(made(world, item)))
        assert message.partition() == murmur2(item.encode()) % 3
        own = dict(headers_of(message))
        assert own["ce_id"] == ident.encode()
        assert uuid.UUID(ident)
        assert own["ce_type"] == f"{world.source_topic}.Made".encode()
        assert own["ce_source"] == world.writer.encode()
        assert (own["ce_specversion"], own["content-type"]) == (b"1.0", b"application/avro")
        assert own["ce_time"] is not None
        assert own["traceparent"] is not None
    assert sorted(delivery.event_id for delivery in deliveries) == sorted(ids)
    for delivery in deliveries:
        assert delivery.error is None
        assert delivery.place is not None
        assert delivery.place.topic == world.source_topic


def generated(world: World) -> Any:
    """Import the classes of a world's first domain, whose `schemas` is not the repository's."""
    spec = importlib.util.spec_from_file_location("made", world.root / "schemas" / world.source_topic / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _short(event: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return event[0].rpartition(".")[2], event[1]


def test_a_generated_object_is_the_same_event(world: World, producer: Producer) -> None:
    classes = generated(world)
    producer.send(classes.Made(item_id="object", size=1, colour=classes.Colour.RED))
    producer.flush()
    (message,) = written(world, "object")
    assert message.value() == world.encode(*_short(made(world, "object")))


def test_an_id_and_headers_of_the_callers_travel_along(world: World, producer: Producer) -> None:
    assert producer.send(made(world, "own"), event_id="order-17", headers={"tenant": b"a"}) == "order-17"
    producer.flush()
    (message,) = written(world, "own")
    assert dict(headers_of(message))["ce_id"] == b"order-17"
    assert headers_of(message)[-1] == ("tenant", b"a")


@pytest.mark.parametrize("name", ["ce_id", "content-type", "traceparent", "lockgate.due", "__dlq.errors.topic"])
def test_headers_that_are_lockgates_are_refused(world: World, producer: Producer, name: str) -> None:
    with pytest.raises(EventError, match=name):
        producer.send(made(world, "refused"), headers={name: b"x"})


def test_a_tombstone_has_a_key_and_no_value(world: World, producer: Producer) -> None:
    producer.send_tombstone(world.source_topic, "dead")
    producer.flush()
    (message,) = written(world, "dead")
    assert message.value() is None
    with pytest.raises(UsageError, match="does not publish to 'elsewhere'"):
        producer.send_tombstone("elsewhere", "dead")
    with pytest.raises(EventError, match="expected a key"):
        producer.send_tombstone(world.source_topic, "")


def test_an_event_that_does_not_fit_is_refused_before_anything_is_sent(world: World) -> None:
    name = f"{world.source_topic}.Made"
    with Producer(world.writer, root=world.root) as producer:
        for event, text in [
            (made(world, "misfit", size="large"), f"{name} at size: expected int, got"),
            (made(world, "misfit", extra=1), f"{name} at extra: expected"),
            ((name, {"item_id": "misfit"}), f"{name} at size: expected"),
            ((f"{world.result_topic}.Sent", {}), f"expected an event type that {world.writer} publishes"),
            ("misfit", r"expected an event object or \(full name, dict\)"),
        ]:
            with pytest.raises(EventError, match=text):
                producer.send(event)
    assert written(world, "misfit") == []


def test_what_the_brokers_do_not_take_is_raised_by_flush_once(world: World) -> None:
    producer = Producer(world.writer, root=world.root)
    producer.send(made(world, "before"))
    producer.send(too_large(world, "large"))
    producer.send(made(world, "after"))
    with pytest.raises(DeliveryError, match=r"1 event was not taken: \S+\.Made \S+ to \S+: .*too large"):
        producer.flush()
    producer.flush()
    producer.close()
    assert [message.key() for message in sorted(written(world, "before", "large", "after"), key=_when)] == [
        b"before",
        b"after",
    ]


def _when(message: Any) -> int:
    found: int = message.timestamp()[1]
    return found


def test_leaving_the_block_raises_what_was_not_taken(world: World) -> None:
    with pytest.raises(DeliveryError, match="1 event was not taken"), Producer(world.writer, root=world.root) as one:
        one.send(too_large(world, "large"))


def test_an_error_of_the_callers_stays_the_one_to_catch(world: World) -> None:
    def program() -> None:
        with Producer(world.writer, root=world.root) as producer:
            producer.send(too_large(world, "large"))
            raise LookupError("the caller's")

    with pytest.raises(LookupError) as caught:
        program()
    assert ["1 event was not taken" in note for note in caught.value.__notes__] == [True]


def test_a_callback_learns_of_a_failure_instead_of_flush(world: World, producer: Producer) -> None:
    deliveries: list[Delivery] = []
    producer.send(too_large(world, "large"), on_delivery=deliveries.append)
    producer.flush()
    (delivery,) = deliveries
    assert isinstance(delivery.error, DeliveryError)
    assert delivery.place is None


def test_a_full_queue_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKGATE_KAFKA_QUEUE_BUFFERING_MAX_MESSAGES", "50")
    items = [f"many-{number}" for number in range(1000)]
    with Producer(world.writer, root=world.root) as producer:
        for item in items:
            producer.send(made(world, item))
    assert {message.key().decode() for message in written(world, *items)} == set(items)


def test_a_flush_gives_up_when_it_is_told_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKGATE_KAFKA_LINGER_MS", "5000")
    producer = Producer(world.writer, root=world.root)
    producer.send(made(world, "late"))
    with pytest.raises(DeliveryError, match="1 record had no answer within 0 s"):
        producer.flush(0)
    producer.flush()
    producer.close()


def test_futures_tell_where_the_events_of_one_key_lie_in_order(world: World) -> None:
    with Producer(world.writer, root=world.root) as producer:
        futures = [producer.submit(made(world, "ordered", size=number)) for number in range(60)]
        places = [future.result(60).place for future in futures]
    assert [place.offset for place in places if place] == sorted(place.offset for place in places if place)
    assert len({place.partition for place in places if place}) == 1


def test_what_has_no_answer_is_given_up_when_the_producer_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_KAFKA_LINGER_MS", "30000")
    producer = Producer(world.writer, root=world.root)
    future = producer.submit(made(world, "given-up"))
    producer.send(made(world, "given-up"))
    with pytest.raises(DeliveryError, match="1 event was not taken"):
        producer.close(timeout=0)
    with pytest.raises(DeliveryError):
        future.result(0)
    assert written(world, "given-up") == []


def test_a_transaction_is_seen_as_a_whole_or_not_at_all(world: World) -> None:
    """With the rights that follow from the contract, and none besides."""

    def failing(producer: Producer) -> None:
        with producer.transaction():
            producer.send(made(world, "never"))
            producer.flush()  # it is on the brokers, and nobody may see it
            raise LookupError("the program's")

    def refused(producer: Producer) -> None:
        with producer.transaction():
            producer.send(made(world, "never"))
            producer.send(too_large(world, "never"))

    with Producer(f"{world.name}-atomic", root=world.root) as producer:
        with pytest.raises(LookupError):
            failing(producer)
        with pytest.raises(DeliveryError, match="too large"):
            refused(producer)
        with producer.transaction():
            producer.send(made(world, "whole", size=1))
            assert producer.submit(made(world, "whole", size=2)).result(30).place is not None
    assert written(world, "never") == []
    assert len(written(world, "whole")) == 2


def test_a_workload_that_publishes_nothing_and_one_that_is_unknown_are_refused(world: World) -> None:
    with pytest.raises(UsageError, match="publishes nothing"):
        Producer(world.sink, root=world.root)
    with pytest.raises(UsageError, match="no workload is called 'nobody'"):
        Producer("nobody", root=world.root)


def test_another_workloads_credentials_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = world.settings(world.worker)
    monkeypatch.setenv("LOCKGATE_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
    monkeypatch.setenv("LOCKGATE_USERNAME", world.worker)
    monkeypatch.setenv("LOCKGATE_PASSWORD", settings.password or "")
    with pytest.raises(SettingsError, match=f"the settings are those of {world.worker}"):
        Producer(world.writer, root=world.root)

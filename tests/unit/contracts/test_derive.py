"""What follows from contracts: exactly these topics, principals, rights and subjects, and nothing beyond them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.contracts.derive import Acl, Derived, Topic, consumer_topics, derive, former_tiers, way_back
from lockgate.contracts.load import load
from lockgate.contracts.model import (
    Contracts,
    Domain,
    EventType,
    Location,
    OnDeadLetter,
    Owner,
    Service,
    TopicSpec,
    Workload,
)
from lockgate.errors import UsageError
from tests.projects import PROJECT, changed, write_project

ROOT = Path(__file__).resolve().parents[3]
HERE = Location("somewhere.yaml", 1)
DAY_MS = 86_400_000
OPERATIONS: tuple[Literal["READ", "WRITE"], ...] = ("READ", "WRITE")


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return load(write_project(tmp_path))


@pytest.fixture
def derived(contracts: Contracts) -> Derived:
    return derive(contracts)


def rights(derived: Derived, principal: str) -> set[tuple[str, str, str]]:
    return {(acl.operation, acl.resource, acl.name) for acl in derived.acls if acl.principal == principal}


def topic(derived: Derived, name: str) -> Topic:
    return next(topic for topic in derived.topics if topic.name == name)


def test_each_shape_of_workload_has_its_topics(derived: Derived) -> None:
    assert {topic.name: (topic.kind, topic.workload, topic.tier) for topic in derived.topics} == {
        "garden": ("domain", None, None),
        "kitchen": ("domain", None, None),
        "garden.retry.garden-service.1": ("retry", "garden-service", 1),
        "garden.dlq.garden-service": ("dead-letter", "garden-service", None),
        "garden.control.garden-service": ("control", "garden-service", None),
        "garden.retry.kitchen-service.garden.1": ("retry", "kitchen-service.garden", 1),
        "garden.retry.kitchen-service.garden.2": ("retry", "kitchen-service.garden", 2),
        "garden.dlq.kitchen-service.garden": ("dead-letter", "kitchen-service.garden", None),
        "garden.control.kitchen-service.garden": ("control", "kitchen-service.garden", None),
        "kitchen.retry.kitchen-service.1": ("retry", "kitchen-service", 1),
        "kitchen.dlq.kitchen-service": ("dead-letter", "kitchen-service", None),
        "kitchen.control.kitchen-service": ("control", "kitchen-service", None),
    }


def test_the_topics_of_a_workload_are_its_retry_dead_letter_and_control_topics(derived: Derived) -> None:
    assert [topic.name for topic in derived.topics_of("kitchen-service.garden")] == [
        "garden.retry.kitchen-service.garden.1",
        "garden.retry.kitchen-service.garden.2",
        "garden.dlq.kitchen-service.garden",
        "garden.control.kitchen-service.garden",
    ]
    assert derived.topics_of("gardener") == ()


def test_derived_topics_have_the_partitions_and_the_replication_of_their_source(derived: Derived) -> None:
    for name in ("garden", "garden.retry.garden-service.1", "garden.dlq.garden-service"):
        assert (topic(derived, name).partitions, topic(derived, name).replication) == (2, 1)
    for name in ("kitchen", "kitchen.retry.kitchen-service.1", "kitchen.dlq.kitchen-service"):
        assert (topic(derived, name).partitions, topic(derived, name).replication) == (6, 3)


def test_a_domain_topic_keeps_the_time_its_producers_say(derived: Derived) -> None:
    assert topic(derived, "kitchen").config == {
        "cleanup.policy": "delete",
        "max.message.bytes": "1048588",
        "message.timestamp.type": "CreateTime",
        "min.insync.replicas": "2",
        "retention.ms": str(7 * DAY_MS),
    }


def test_retry_and_dead_letter_topics_count_retention_from_arrival_and_have_room_for_headers(derived: Derived) -> None:
    common = {
        "cleanup.policy": "delete",
        "max.message.bytes": str(1_048_588 + 65_536),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2",
    }
    retry, letters = topic(derived, "kitchen.retry.kitchen-service.1"), topic(derived, "kitchen.dlq.kitchen-service")
    assert retry.config == common | {"retention.ms": str(7 * DAY_MS)}
    assert letters.config == common | {"retention.ms": str(30 * DAY_MS)}


def test_a_control_topic_keeps_the_last_word_for_ever_in_its_one_partition(derived: Derived) -> None:
    control = topic(derived, "kitchen.control.kitchen-service")
    assert (control.partitions, control.replication) == (1, 3)
    assert (control.config["cleanup.policy"], control.config["retention.ms"]) == ("compact", "-1")


def test_one_replica_in_sync_is_enough_where_there_is_only_one(derived: Derived) -> None:
    assert topic(derived, "garden").config["min.insync.replicas"] == "1"


def test_a_retry_topic_keeps_records_for_twice_the_longest_delay() -> None:
    found = derive(small(retry_ms=(1_000, 20 * DAY_MS)))
    for tier in (1, 2):
        assert topic(found, f"plain.retry.reader.{tier}").config["retention.ms"] == str(40 * DAY_MS)


def test_a_topic_without_end_stays_without_end() -> None:
    assert topic(derive(small(retention_ms=-1)), "plain").config["retention.ms"] == "-1"


def test_a_workload_that_only_reads_may_do_just_that(derived: Derived) -> None:
    assert rights(derived, "garden-service") == {
        ("READ", "GROUP", "garden-service"),
        ("READ", "TOPIC", "garden"),
        ("READ", "TOPIC", "garden.control.garden-service"),
        ("READ", "TOPIC", "garden.retry.garden-service.1"),
        ("WRITE", "TOPIC", "garden.dlq.garden-service"),
    }


def test_a_workload_that_only_writes_may_do_just_that(derived: Derived) -> None:
    assert rights(derived, "gardener") == {("WRITE", "TOPIC", "garden")}


def test_a_workload_that_reads_one_domain_and_writes_another_may_do_just_that(derived: Derived) -> None:
    assert rights(derived, "kitchen-service.garden") == {
        ("READ", "GROUP", "kitchen-service.garden"),
        ("READ", "TOPIC", "garden"),
        ("READ", "TOPIC", "garden.control.kitchen-service.garden"),
        ("READ", "TOPIC", "garden.retry.kitchen-service.garden.1"),
        ("WRITE", "TOPIC", "garden.retry.kitchen-service.garden.1"),
        ("READ", "TOPIC", "garden.retry.kitchen-service.garden.2"),
        ("WRITE", "TOPIC", "garden.retry.kitchen-service.garden.2"),
        ("WRITE", "TOPIC", "garden.dlq.kitchen-service.garden"),
        ("WRITE", "TOPIC", "kitchen"),
    }


def test_the_reader_of_a_team_reads_the_letters_of_its_workloads_alone(derived: Derived) -> None:
    assert rights(derived, "chefs~reader") == {
        ("READ", "GROUP", "chefs~reader"),
        ("READ", "TOPIC", "garden.dlq.kitchen-service.garden"),
        ("READ", "TOPIC", "kitchen.dlq.kitchen-service"),
    }


def test_the_replayer_of_a_team_writes_to_first_retry_topics_too(derived: Derived) -> None:
    assert rights(derived, "green~replayer") == {
        ("READ", "GROUP", "green~replayer"),
        ("READ", "TOPIC", "garden.dlq.garden-service"),
        ("WRITE", "TOPIC", "garden.retry.garden-service.1"),
    }


def test_every_team_that_reads_has_two_operators_and_ci_has_no_right(derived: Derived) -> None:
    assert {(principal.name, principal.kind, principal.team) for principal in derived.principals} == {
        ("garden-service", "workload", "green"),
        ("gardener", "workload", "green"),
        ("kitchen-service", "workload", "chefs"),
        ("kitchen-service.garden", "workload", "chefs"),
        ("chefs~reader", "reader", "chefs"),
        ("chefs~replayer", "replayer", "chefs"),
        ("green~reader", "reader", "green"),
        ("green~replayer", "replayer", "green"),
        ("ci", "ci", ""),
    }
    assert rights(derived, "ci") == set()


def test_a_team_that_reads_nothing_has_no_letters_and_no_operators() -> None:
    derived = derive(load(ROOT))
    names = {principal.name for principal in derived.principals}
    assert "storefront" in names
    assert "storefront~reader" not in names
    assert derived.topics_of("storefront") == ()


def test_a_principal_is_named_with_its_kind_and_known_by_its_line(derived: Derived) -> None:
    gardener = next(principal for principal in derived.principals if principal.name == "gardener")
    assert gardener.user == "User:gardener"
    assert gardener.location == Location("services/garden/service.yaml", 5)


def test_a_subject_is_named_after_topic_and_record_at_the_level_of_its_domain(derived: Derived) -> None:
    assert [(subject.name, subject.compatibility) for subject in derived.subjects] == [
        ("garden-garden.Planted", "FULL"),
        ("garden-garden.Watered", "FULL"),
        ("kitchen-kitchen.Cooked", "FULL_TRANSITIVE"),
    ]


def test_a_workload_subscribes_to_its_topic_and_its_tiers(contracts: Contracts) -> None:
    assert consumer_topics(contracts, contracts.workload("kitchen-service.garden")) == (
        "garden",
        "garden.retry.kitchen-service.garden.1",
        "garden.retry.kitchen-service.garden.2",
    )
    assert consumer_topics(contracts, contracts.workload("gardener")) == ()


def test_records_wait_in_a_topic_of_their_own_where_the_order_of_keys_is_kept_through_retries(tmp_path: Path) -> None:
    files = changed("services/kitchen/service.yaml", "retry: [1s, 1m]", "retry: [1s]\n    order: key")
    contracts = load(write_project(tmp_path, {**PROJECT, **files}))
    workload = contracts.workload("kitchen-service.garden")
    parked = "garden.retry.kitchen-service.garden.parked"
    assert consumer_topics(contracts, workload) == ("garden", "garden.retry.kitchen-service.garden.1", parked)
    derived = derive(contracts)
    (topic,) = (topic for topic in derived.topics if topic.name == parked)
    (tier,) = (topic for topic in derived.topics_of(workload.name) if topic.tier == 1)
    assert topic == attrs.evolve(tier, name=parked, tier=None)
    assert {(acl.principal, acl.operation) for acl in derived.acls if acl.name == parked} == {
        (workload.name, "READ"),
        (workload.name, "WRITE"),
    }


@pytest.mark.parametrize("retry", ["retry: [1s]\n    ", ""])
def test_where_dead_letters_hold_keys_what_waits_is_kept_for_ever_and_operators_see_and_release_it(
    tmp_path: Path, retry: str
) -> None:
    asked = f"{retry}order: key\n    on_dead_letter: hold"
    files = changed("services/kitchen/service.yaml", "retry: [1s, 1m]", asked)
    contracts = load(write_project(tmp_path, {**PROJECT, **files}))
    workload = contracts.workload("kitchen-service.garden")
    tier, parked = "garden.retry.kitchen-service.garden.1", "garden.retry.kitchen-service.garden.parked"
    assert consumer_topics(contracts, workload) == ("garden", tier, parked)
    assert way_back(contracts, workload) == parked
    derived = derive(contracts)
    by_name = {topic.name: topic for topic in derived.topics}
    assert by_name[parked].config == {**by_name[tier].config, "retention.ms": "-1"}
    team = contracts.service("kitchen-service").owner.slug
    rights = {(acl.principal, acl.operation) for acl in derived.acls if acl.name == parked}
    assert rights == {
        (workload.name, "READ"),
        (workload.name, "WRITE"),
        (f"{team}~reader", "READ"),
        (f"{team}~replayer", "READ"),
        (f"{team}~replayer", "WRITE"),
    }
    group = {(acl.principal, acl.operation) for acl in derived.acls if acl.name == workload.name}
    assert group == {(workload.name, "READ"), (f"{team}~reader", "DESCRIBE"), (f"{team}~replayer", "DESCRIBE")}
    writers = {acl.principal for acl in derived.acls if (acl.name, acl.operation) == (tier, "WRITE")}
    assert writers == ({workload.name} if retry else set()), "a replay goes to the parked topic"


def test_the_parked_topic_stays_the_workloads_when_its_contract_keeps_no_order_any_more(contracts: Contracts) -> None:
    workload = contracts.workload("kitchen-service.garden")
    parked = "garden.retry.kitchen-service.garden.parked"
    assert list(former_tiers(contracts, workload, {parked})) == [parked]
    assert list(former_tiers(contracts, attrs.evolve(workload, order="key"), {parked})) == []


def test_the_order_of_declarations_does_not_change_the_rights(contracts: Contracts) -> None:
    turned = attrs.evolve(
        contracts,
        domains=contracts.domains[::-1],
        services=tuple(attrs.evolve(s, workloads=s.workloads[::-1]) for s in contracts.services[::-1]),
    )
    assert derive(turned).acls == derive(contracts).acls


def test_an_unknown_workload_or_service_is_answered_with_the_known_ones(contracts: Contracts) -> None:
    with pytest.raises(UsageError, match="no workload is called 'gardner'") as caught:
        contracts.workload("gardner")
    assert caught.value.next_step is not None
    assert "gardener" in caught.value.next_step
    with pytest.raises(UsageError, match="no service is called 'gardener'"):
        contracts.service("gardener")


@pytest.mark.parametrize("root", [ROOT, None], ids=["shipped", "small"])
def test_a_domain_topic_is_read_and_written_where_both_sides_say_so(root: Path | None, tmp_path: Path) -> None:
    contracts = load(root or write_project(tmp_path))
    derived = derive(contracts)
    workloads = contracts.workloads.values()
    for domain in contracts.domains:
        name, events = domain.topic.name, {event.full_name for event in domain.events}
        read, written = (
            {acl.principal for acl in derived.acls if acl == Acl(acl.principal, "TOPIC", name, operation)}
            for operation in OPERATIONS
        )
        assert read == {workload.name for workload in workloads if events & set(workload.consumes)}
        assert read == set(domain.readers)
        assert written == {workload.name for workload in workloads if events & set(workload.publishes)}
        assert written == set(domain.writers)


def small(*, retry_ms: tuple[int, ...] = (), retention_ms: int = DAY_MS) -> Contracts:
    """Return one domain and one workload that reads it."""
    owner = Owner("Team", "@team")
    spec = TopicSpec("plain", 1, 1, retention_ms)
    domain = Domain("plain", owner, spec, "id", "FULL", (EventType("plain.E", {}, HERE),), ("reader",), (), HERE)
    reader = Workload("reader", "reader", ("plain.E",), (), retry_ms, HERE)
    return Contracts(Path(), (domain,), (Service("reader", "reader", owner, (reader,), HERE),))


RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes depends on what else the machine does."""
NAMES = st.sampled_from(
    ["a", "a.b", "a.b.c", "a-b", "b", "b.a", "z9", "garden", "garden.reader", "x" * 100, "1", "1.1"]
)
"""Some of them begin with others: a right that is no literal would reach too far."""
TEAMS = st.sampled_from(["Red", "Green", "Blue"])


@st.composite
def worlds(draw: st.DrawFn) -> Contracts:
    """Draw contracts as loading would let them pass: names are distinct, each workload reads one domain at most."""
    topics = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    callers = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    events = {topic: tuple(f"d{index}.E{number}" for number in (1, 2)) for index, topic in enumerate(topics)}
    every = [event for pair in events.values() for event in pair]
    workloads = []
    for name in callers:
        source = draw(st.sampled_from([None, *topics]))
        consumes = events[source][: draw(st.integers(1, 2))] if source else ()
        publishes = draw(st.lists(st.sampled_from(every), max_size=3, unique=True))
        retry = [1_000] * draw(st.integers(0, 3)) if consumes else []
        exactly_once = draw(st.booleans())
        workload = Workload(name, "", consumes, tuple(publishes), tuple(retry), HERE, exactly_once=exactly_once)
        keyed = bool(consumes) and not exactly_once and draw(st.booleans())
        if keyed:
            on_dead_letter = draw(st.sampled_from(get_args(OnDeadLetter)))
            workload = attrs.evolve(workload, order="key", on_dead_letter=on_dead_letter)
        workloads.append(workload)
    services = tuple(
        Service(workload.name, f"s{index}", Owner(draw(TEAMS), "@x"), (workload,), HERE)
        for index, workload in enumerate(workloads)
    )
    domains = tuple(
        Domain(
            f"d{index}",
            Owner("Red", "@x"),
            TopicSpec(topic, 3, 1, DAY_MS),
            "id",
            "FULL",
            tuple(EventType(event, {}, HERE) for event in events[topic]),
            tuple(w.name for w in workloads if set(w.consumes) & set(events[topic])),
            tuple(w.name for w in workloads if set(w.publishes) & set(events[topic])),
            HERE,
        )
        for index, topic in enumerate(topics)
    )
    return Contracts(Path(), domains, services)


@RELAXED
@given(worlds())
def test_every_right_but_that_to_transactional_ids_is_literal_and_about_something_that_exists(
    contracts: Contracts,
) -> None:
    derived = derive(contracts)
    topics = {topic.name for topic in derived.topics}
    principals = {principal.name for principal in derived.principals}
    for acl in derived.acls:
        assert acl.principal in principals
        if acl.resource == "TRANSACTIONAL_ID":
            # the one prefix: it covers no other workload's ids, because no name holds a tilde
            assert (acl.pattern, acl.name, acl.operation) == ("PREFIXED", f"{acl.principal}~", "WRITE")
            continue
        assert acl.pattern == "LITERAL"
        assert acl.resource in ("TOPIC", "GROUP")
        if acl.resource == "TOPIC":
            assert acl.name in topics
        elif acl.operation == "DESCRIBE":  # which keys are held shows in what is finished
            assert contracts.workloads[acl.name].holds
        else:
            assert (acl.name, acl.operation) == (acl.principal, "READ")
    assert len(set(derived.acls)) == len(derived.acls)


@RELAXED
@given(worlds())
def test_nobody_may_do_what_no_contract_says(contracts: Contracts) -> None:
    derived = derive(contracts)
    owners = {workload.name: service.owner.slug for service in contracts.services for workload in service.workloads}
    for acl in derived.acls:
        if acl.resource != "TOPIC":
            continue
        topic = next(topic for topic in derived.topics if topic.name == acl.name)
        if topic.kind == "domain":
            domain = next(domain for domain in contracts.domains if domain.name == topic.domain)
            assert acl.principal in (domain.readers if acl.operation == "READ" else domain.writers)
        elif topic.kind == "control":
            assert (acl.principal, acl.operation) == (topic.workload, "READ")
        elif acl.principal == topic.workload:
            assert topic.kind == "retry" or acl.operation == "WRITE", "a workload does not read its dead letters"
        else:
            assert topic.workload is not None
            team = owners[topic.workload]
            if topic.kind == "dead-letter":
                assert (acl.principal, acl.operation) in {(f"{team}~reader", "READ"), (f"{team}~replayer", "READ")}
            elif acl.operation == "WRITE":
                assert acl.principal == f"{team}~replayer"
                assert topic.tier == (None if contracts.workloads[topic.workload].holds else 1)
            else:
                assert contracts.workloads[topic.workload].holds
                assert topic.name.endswith(".parked")
                assert acl.principal in (f"{team}~reader", f"{team}~replayer")


@RELAXED
@given(worlds())
def test_no_right_is_missing_for_what_a_contract_says(contracts: Contracts) -> None:
    acls = set(derive(contracts).acls)
    for workload in contracts.workloads.values():
        transactional = Acl(workload.name, "TRANSACTIONAL_ID", f"{workload.name}~", "WRITE", "PREFIXED")
        assert (transactional in acls) == (workload.exactly_once or workload.parks)
        for name in consumer_topics(contracts, workload):
            assert Acl(workload.name, "TOPIC", name, "READ") in acls
        for event in workload.publishes:
            assert Acl(workload.name, "TOPIC", contracts.domain_of(event).topic.name, "WRITE") in acls


@RELAXED
@given(worlds())
def test_every_derived_name_is_legal_and_there_once(contracts: Contracts) -> None:
    derived = derive(contracts)
    names = [topic.name for topic in derived.topics]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-zA-Z0-9.-]{1,249}", name)
        assert name not in (".", "..")
    users = [principal.name for principal in derived.principals]
    assert len(set(users)) == len(users)
    subjects = [subject.name for subject in derived.subjects]
    assert len(set(subjects)) == len(subjects)

"""Where a group begins: at the contract's position while it is new, and nowhere else but at the earliest record."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from lockgate.contracts.model import Start
from lockgate.provisioning.actual import Actual
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.groups import ActualGroup, StartGroup, numbers_text
from lockgate.provisioning.plan import difference
from tests.unit.provisioning.states import applied, desired, everything, nothing

OWN = ("parcels.retry.tracker.1", "parcels.retry.tracker.2")


def starting(at: Start) -> Desired:
    wanted = desired()
    return attrs.evolve(wanted, groups={name: attrs.evolve(g, start=at) for name, g in wanted.groups.items()})


def with_group(actual: Actual, committed: Mapping[str, int], *, members: int = 0) -> Actual:
    """Return a state in which the group has committed the first so many partitions of topics."""
    places = frozenset((topic, number) for topic, count in committed.items() for number in range(count))
    return attrs.evolve(actual, groups={"tracker": ActualGroup(places, members)})


def only_the_topic(wanted: Desired, partitions: int = 4) -> Actual:
    """Return a state in which the domain's topic is there, and nothing of its reader's."""
    topic = attrs.evolve(everything(wanted).topics["parcels"], partitions=partitions)
    return attrs.evolve(nothing(wanted), topics={"parcels": topic})


def start(wanted: Desired, actual: Actual) -> StartGroup | None:
    found = [change for change in difference(wanted, actual).changes if isinstance(change, StartGroup)]
    assert len(found) <= 1
    return found[0] if found else None


def positions(wanted: Desired, actual: Actual) -> dict[str, str]:
    change = start(wanted, actual)
    return {} if change is None else {f"{t}:{numbers_text(numbers)}": p for t, numbers, p in change.at}


def test_a_new_group_begins_where_its_contract_says_and_its_retry_topics_at_the_earliest() -> None:
    wanted = starting("latest")
    assert positions(wanted, only_the_topic(wanted)) == {
        "parcels:0-3": "latest",
        f"{OWN[0]}:0-3": "earliest",
        f"{OWN[1]}:0-3": "earliest",
    }


def test_the_earliest_record_is_the_default() -> None:
    wanted = desired()
    assert set(positions(wanted, only_the_topic(wanted)).values()) == {"earliest"}


def test_the_plan_says_what_is_and_what_will_be_and_what_is_never_read() -> None:
    wanted = starting("latest")
    change = start(wanted, only_the_topic(wanted))
    assert change is not None
    assert (change.action, change.kind, change.name, change.declared) == (
        "create",
        "group",
        "tracker",
        "services/tracking/service.yaml:4",
    )
    assert change.details[0] == "parcels:0-3 none → latest"
    assert change.before["offsets"][0] == {"topic": "parcels", "partitions": [0, 1, 2, 3], "position": None}
    assert change.after["offsets"][0] == {"topic": "parcels", "partitions": [0, 1, 2, 3], "position": "latest"}
    assert change.risk.level == "low"
    assert "never read" in change.risk.reason


def test_where_the_topic_is_new_too_nothing_can_be_passed_over() -> None:
    wanted = starting("latest")
    assert set(positions(wanted, nothing(wanted)).values()) == {"earliest"}


@pytest.mark.parametrize("at", ["earliest", "latest"])
def test_partitions_that_are_added_begin_at_the_earliest(at: Start) -> None:
    wanted = starting(at)
    grown = with_group(everything(wanted), {"parcels": 3, OWN[0]: 4, OWN[1]: 4})
    assert positions(wanted, grown) == {"parcels:3": "earliest"}


def test_so_do_those_that_a_new_groups_topic_gets_in_the_same_plan() -> None:
    wanted = starting("latest")
    assert positions(wanted, only_the_topic(wanted, partitions=3)) == {
        "parcels:0-2": "latest",
        "parcels:3": "earliest",
        f"{OWN[0]}:0-3": "earliest",
        f"{OWN[1]}:0-3": "earliest",
    }


def test_a_group_whose_offsets_have_expired_passes_nothing_over() -> None:
    wanted = starting("latest")
    change = start(wanted, with_group(everything(wanted), {}))
    assert change is not None
    assert {position for *_, position in change.at} == {"earliest"}
    assert "not new" in change.risk.reason


def test_a_group_that_has_every_offset_is_left_alone() -> None:
    assert start(starting("latest"), everything(desired())) is None


def test_the_processes_of_a_running_group_commit_their_own() -> None:
    wanted = starting("latest")
    assert start(wanted, with_group(everything(wanted), {"parcels": 2}, members=1)) is None


def test_what_is_set_is_not_planned_again() -> None:
    wanted = starting("latest")
    there = only_the_topic(wanted)
    assert difference(wanted, applied(difference(wanted, there), there)).is_empty


def test_the_latest_is_set_before_anything_that_makes_the_group_look_old() -> None:
    wanted = starting("latest")
    change = start(wanted, only_the_topic(wanted))
    assert change is not None
    assert {place for place, _ in change.early} == {("parcels", number) for number in range(4)}
    assert {topic for (topic, _), _ in change.late} == set(OWN)


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([5, 0, 2, 1], "0-2,5"), ([1, 3], "1,3")]
)
def test_runs_of_partitions_are_joined(numbers: list[int], text: str) -> None:
    assert numbers_text(numbers) == text


def ordered(wanted: Desired) -> Desired:
    return attrs.evolve(wanted, groups={name: attrs.evolve(g, ordered=True) for name, g in wanted.groups.items()})


def behind(wanted: Desired, lag: int, partitions: int = 4) -> Actual:
    """Return a state in which the topic is of some size and its reader has so much before it."""
    there = everything(wanted)
    topics = dict(there.topics) | {"parcels": attrs.evolve(there.topics["parcels"], partitions=partitions)}
    groups = {name: attrs.evolve(group, lag=lag) for name, group in there.groups.items()}
    return attrs.evolve(there, topics=topics, groups=groups)


def test_a_topic_does_not_grow_while_a_reader_that_keeps_order_is_behind() -> None:
    wanted = ordered(desired())
    (refusal,) = difference(wanted, behind(wanted, 7, partitions=3)).refusals
    assert (refusal.kind, refusal.name) == ("topic", "parcels")
    assert "tracker keeps the order of keys and has 7 records before it" in refusal.reason
    assert "lockgate offsets tracker" in refusal.next_step


def test_it_grows_once_nothing_is_before_the_reader_or_where_no_reader_keeps_order() -> None:
    wanted = ordered(desired())
    assert not difference(wanted, behind(wanted, 0, partitions=3)).refusals
    assert not difference(desired(), behind(desired(), 7, partitions=3)).refusals
    assert not difference(wanted, behind(wanted, 7)).refusals

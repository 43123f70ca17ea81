"""What is retired is deleted only where nothing speaks against it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from lockgate.contracts.model import Location, Retired
from lockgate.errors import PlanRefused
from lockgate.provisioning.actual import Actual, ActualTopic
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.change import Change
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.evidence import Evidence
from lockgate.provisioning.plan import Plan, difference
from lockgate.provisioning.reports import Refusal
from tests.unit.provisioning.states import applied, desired, everything

AT = Location("services/tracking/service.yaml", 9)
WORKLOAD = Retired("workload", "sorter", "parcels", (), "post", "nobody sorts", frozenset(), AT)
TOPIC = Retired("topic", "letters", None, ("letters.Sent",), "post", "nobody writes letters", frozenset(), AT)
EVENT = Retired("event", "parcels.Lost", "parcels", (), "post", "nothing gets lost", frozenset(), AT)
RETRY, LETTERS = "parcels.retry.sorter.1", "parcels.dlq.sorter"


def wanted(*entries: Retired) -> Desired:
    return attrs.evolve(desired(), retired=entries)


def state(topics: tuple[str, ...] = (), users: tuple[str, ...] = (), **evidence: Any) -> Actual:
    """Return a cluster with everything that the contracts ask, and with what was there before."""
    full = everything(desired())
    former = {name: ActualTopic(4, frozenset({3})) for name in topics}
    rights = {
        Binding("User:sorter", "*", "TOPIC", "parcels", "LITERAL", "READ", "ALLOW"),
        Binding("User:post~reader", "*", "TOPIC", LETTERS, "LITERAL", "READ", "ALLOW"),
    }
    return attrs.evolve(
        full,
        topics={**full.topics, **former},
        users=full.users | set(users),
        acls=full.acls | (rights if users else set()),
        evidence=Evidence(**evidence),
    )


def deleted(plan: Plan) -> list[tuple[str, str]]:
    return [(change.kind, change.name) for change in plan.deletions]


def refusal(plan: Plan) -> Refusal:
    (found,) = plan.refusals
    assert found.action == "delete"
    assert not plan.deletions
    return found


class TestWorkloads:
    IDLE = state((RETRY, LETTERS), ("sorter",), members={"sorter": 0}, files=frozenset({"sorter"}))

    def test_all_of_it_goes_and_nothing_else(self) -> None:
        plan = difference(wanted(WORKLOAD), self.IDLE)
        assert not plan.refusals
        assert deleted(plan) == [
            ("acl", "post~reader may READ topic parcels.dlq.sorter"),
            ("acl", "sorter may READ topic parcels"),
            ("user", "sorter"),
            ("group", "sorter"),
            ("topic", LETTERS),
            ("topic", RETRY),
            ("credentials", "sorter"),
        ]
        assert {change.declared for change in plan.changes} == {str(AT)}
        assert not plan.unmanaged
        assert not plan.beyond

    def test_without_an_entry_nothing_is_deleted(self) -> None:
        plan = difference(wanted(), self.IDLE)
        assert not plan.changes
        assert {entry.name for entry in plan.unmanaged if entry.kind == "topic"} == {RETRY, LETTERS}

    def test_what_is_gone_already_leaves_the_rest(self) -> None:
        plan = difference(wanted(WORKLOAD), state((RETRY,)))
        assert deleted(plan) == [("topic", RETRY)]
        assert not difference(wanted(WORKLOAD), state()).changes

    @pytest.mark.parametrize(
        ("evidence", "discard", "phrase"),
        [
            ({"members": {"sorter": 2}}, (), "its group has 2 members"),
            ({"lag": {"parcels": {"sorter": 3}}}, ("letters",), "sorter has 3 records of parcels before it"),
            ({"lag": {RETRY: {"sorter": 1}}}, (), f"sorter has 1 record of {RETRY} before it"),
            ({"records": {RETRY: 5}}, (), f"sorter has 5 records of {RETRY} before it"),
            ({"records": {LETTERS: 1}}, ("unread",), f"{LETTERS} holds 1 letter"),
        ],
    )
    def test_each_sign_of_use_stands_against_it(self, evidence: Any, discard: tuple[Any, ...], phrase: str) -> None:
        entry = attrs.evolve(WORKLOAD, discard=frozenset(discard))
        actual = state((RETRY, LETTERS), ("sorter",), **({"members": {"sorter": 0}} | evidence))
        found = refusal(difference(wanted(entry), actual))
        assert phrase in found.reason
        assert found.declared == str(AT)

    def test_what_an_entry_gives_up_does_not_stand_against_it(self) -> None:
        entry = attrs.evolve(WORKLOAD, discard=frozenset({"letters", "unread"}))
        records = {RETRY: 5, LETTERS: 7}
        actual = state((RETRY, LETTERS), lag={"parcels": {"sorter": 3}}, records=records, members={"sorter": 0})
        plan = difference(wanted(entry), actual)
        assert not plan.refusals
        risks = {change.name: change.risk.reason for change in plan.changes if change.kind == "topic"}
        assert risks == {RETRY: "5 records are deleted", LETTERS: "7 records are deleted"}

    def test_records_that_others_have_not_read_are_no_matter(self) -> None:
        actual = state((RETRY,), lag={"parcels": {"tracker": 3}}, records={"parcels": 9})
        assert deleted(difference(wanted(WORKLOAD), actual)) == [("topic", RETRY)]

    def test_operators_go_with_the_last_workload_of_a_team(self) -> None:
        entry = attrs.evolve(WORKLOAD, team="mail")
        actual = state((), ("sorter", "mail~reader", "mail~replayer"))
        assert [name for kind, name in deleted(difference(wanted(entry), actual)) if kind == "user"] == [
            "mail~reader",
            "mail~replayer",
            "sorter",
        ]

    def test_a_refused_deletion_stands_in_the_way_of_deletions_only(self) -> None:
        plan = difference(wanted(WORKLOAD), state((RETRY,), records={RETRY: 1}))
        plan.raise_if_refused(deletions=False)
        with pytest.raises(PlanRefused, match="1 change cannot be applied"):
            plan.raise_if_refused(deletions=True)


class TestTopics:
    def test_it_goes_with_the_subjects_that_the_entry_names(self) -> None:
        actual = state(("letters",), versions={"letters-letters.Sent": 2}, records={"letters": 8})
        plan = difference(wanted(TOPIC), actual)
        assert deleted(plan) == [("topic", "letters"), ("subject", "letters-letters.Sent")]
        assert plan.changes[0].risk.reason == "8 records are deleted"

    @pytest.mark.parametrize(
        ("topics", "evidence", "phrase"),
        [
            ((), {"reading": {"letters": frozenset({"stranger"})}}, "members of stranger read letters"),
            ((), {"lag": {"letters": {"stranger": 4}}}, "stranger has 4 records of letters before it"),
            (("letters.dlq.sorter",), {}, "letters.dlq.sorter is still there"),
            (
                (),
                {"versions": {"letters-letters.Sent": 1}, "referrers": {"letters-letters.Sent": (7,)}},
                "schemas refer to letters-letters.Sent (ids 7)",
            ),
        ],
    )
    def test_each_sign_of_use_stands_against_it(self, topics: tuple[str, ...], evidence: Any, phrase: str) -> None:
        assert phrase in refusal(difference(wanted(TOPIC), state(("letters", *topics), **evidence))).reason

    def test_it_may_go_together_with_the_workload_that_read_it(self) -> None:
        entry = attrs.evolve(WORKLOAD, topic="letters")
        topics = ("letters", "letters.retry.sorter.1", "letters.dlq.sorter")
        plan = difference(wanted(TOPIC, entry), state(topics, members={"sorter": 0}, lag={"letters": {"sorter": 0}}))
        assert not plan.refusals
        assert {name for kind, name in deleted(plan) if kind == "topic"} == set(topics)

    def test_a_tier_that_a_running_workload_no_longer_has_goes_once_it_is_drained(self) -> None:
        former = "parcels.retry.tracker.3"
        entry = attrs.evolve(TOPIC, name=former, events=())
        actual = attrs.evolve(state((former,), lag={former: {"tracker": 2}}), former={former: ("tracker", 2)})
        waiting = difference(wanted(entry), actual)
        assert [topic.waiting for topic in waiting.draining] == [2]
        assert f"tracker has 2 records of {former} before it" in refusal(waiting).reason
        drained = state((former,), lag={former: {"tracker": 0}})
        right = Binding("User:tracker", "*", "TOPIC", former, "LITERAL", "READ", "ALLOW")
        drained = attrs.evolve(drained, acls=drained.acls | {right}, former={former: ("tracker", 0)})
        plan = difference(wanted(entry), drained)
        assert deleted(plan) == [("acl", f"tracker may READ topic {former}"), ("topic", former)]
        assert not plan.draining

    def test_a_topic_of_another_name_that_begins_alike_is_left_alone(self) -> None:
        assert deleted(difference(wanted(TOPIC), state(("letters", "letters.eu", "letters-eu")))) == [
            ("topic", "letters")
        ]


class TestEvents:
    SUBJECT = "parcels-parcels.Lost"

    def test_its_subject_goes(self) -> None:
        assert deleted(difference(wanted(EVENT), state(versions={self.SUBJECT: 1}))) == [("subject", self.SUBJECT)]

    @pytest.mark.parametrize(
        ("evidence", "phrase"),
        [
            ({"lag": {"parcels": {"tracker": 1}}}, "tracker has 1 record of parcels before it"),
            ({"lag": {"parcels.retry.tracker.1": {"tracker": 1}}}, "tracker has 1 record of parcels.retry.tracker.1"),
            ({"records": {"parcels.dlq.tracker": 2}}, "parcels.dlq.tracker holds 2 letters"),
            ({"referrers": {SUBJECT: (3, 3)}}, "schemas refer to parcels-parcels.Lost (ids 3)"),
        ],
    )
    def test_it_stays_while_somebody_may_still_read_it(self, evidence: Any, phrase: str) -> None:
        found = refusal(difference(wanted(EVENT), state(versions={self.SUBJECT: 1}, **evidence)))
        assert found.kind == "subject"
        assert phrase in found.reason


def test_after_deletions_were_made_the_next_plan_is_empty() -> None:
    entry = attrs.evolve(WORKLOAD, discard=frozenset({"letters", "unread"}))
    actual = state((RETRY, LETTERS), ("sorter",), members={"sorter": 0}, records={LETTERS: 3})
    plan = difference(wanted(entry), actual)
    assert difference(wanted(entry), applied(plan, actual)).is_empty


def test_whatever_part_an_interrupted_run_has_deleted_the_rest_is_planned() -> None:
    actual = state((RETRY, LETTERS), ("sorter",), members={"sorter": 0}, files=frozenset({"sorter"}))
    whole = difference(wanted(WORKLOAD), actual)
    for number in range(len(whole.changes)):
        part = attrs.evolve(whole, changes=whole.changes[:number])
        rest: tuple[Change, ...] = difference(wanted(WORKLOAD), applied(part, actual)).changes
        assert rest == whole.changes[number:]

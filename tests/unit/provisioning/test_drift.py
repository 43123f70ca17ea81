"""What was changed by hand is told from what the files changed."""

from __future__ import annotations

import attrs
import pytest

from lockgate.contracts.derive import former_topics
from lockgate.provisioning.actual import Actual, ActualSubject, ActualTopic
from lockgate.provisioning.applied import Applied, recorded, right_key
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.change import Cause
from lockgate.provisioning.changes import AlterConfig, ConfigDifference, RevokeAcl
from lockgate.provisioning.cluster import TopicConfig
from lockgate.provisioning.plan import Plan, difference
from lockgate.registry import RegisteredSchema
from tests.unit.provisioning.states import desired, everything, nothing, record, recorded_everything, with_schema

WANTED = desired()


def causes(plan: Plan) -> set[Cause]:
    return {change.cause for change in plan.changes}


def with_config(actual: Actual, **values: str) -> Actual:
    there = actual.topics["parcels"]
    assert there.config is not None
    effective = dict(there.config.effective) | {key.replace("_", "."): value for key, value in values.items()}
    topics = dict(actual.topics)
    topics["parcels"] = attrs.evolve(there, config=TopicConfig(effective, frozenset(effective)))
    return attrs.evolve(actual, topics=topics)


class TestCauses:
    def test_what_was_never_applied_comes_from_the_files(self) -> None:
        assert causes(difference(WANTED, nothing(WANTED))) == {"files"}

    def test_what_was_applied_and_is_gone_is_drift(self) -> None:
        gone = attrs.evolve(nothing(WANTED), applied=Applied(recorded(WANTED)))
        found = difference(WANTED, gone)
        assert {c.cause for c in found.changes if c.kind in ("topic", "user", "acl")} == {"drift"}

    def test_a_key_that_is_as_it_was_applied_was_changed_in_the_files(self) -> None:
        longer = desired(retention_ms=2 * 86_400_000)
        plan = difference(longer, recorded_everything(WANTED))
        assert [(change.name, change.cause) for change in plan.changes] == [("parcels", "files")]

    def test_a_key_that_the_files_did_not_change_was_changed_by_hand(self) -> None:
        (change,) = difference(WANTED, with_config(recorded_everything(WANTED), retention_ms="7")).changes
        assert change.cause == "drift"

    def test_a_key_that_neither_is_as_it_was_nor_as_it_is_asked_was_changed_by_both(self) -> None:
        longer = desired(retention_ms=2 * 86_400_000)
        (change,) = difference(longer, with_config(recorded_everything(WANTED), retention_ms="7")).changes
        assert change.cause == "both"

    def test_keys_of_one_topic_are_told_apart(self) -> None:
        longer = desired(retention_ms=2 * 86_400_000)
        actual = with_config(recorded_everything(WANTED), min_insync_replicas="1")
        plan = difference(longer, actual)
        topic = longer.topics["parcels"]
        by_hand = AlterConfig(topic, (ConfigDifference("min.insync.replicas", "1", "2"),))
        by_files = AlterConfig(topic, (ConfigDifference("retention.ms", "86400000", "172800000"),))
        assert [(change, change.cause) for change in plan.changes] == [(by_hand, "drift"), (by_files, "files")]

    def test_partitions_count_too(self) -> None:
        actual = recorded_everything(desired(partitions=2))
        assert causes(difference(WANTED, actual)) == {"files"}
        shrunk = {name: attrs.evolve(topic, partitions=1) for name, topic in everything(WANTED).topics.items()}
        assert causes(difference(WANTED, attrs.evolve(recorded_everything(WANTED), topics=shrunk))) == {"drift"}

    def test_a_cluster_that_was_never_recorded_says_so(self) -> None:
        assert causes(difference(WANTED, with_config(everything(WANTED), retention_ms="7"))) == {"unrecorded"}

    @pytest.mark.parametrize(("level", "cause"), [("NONE", "drift"), (None, "drift")])
    def test_a_level_that_was_changed_by_hand(self, level: str | None, cause: Cause) -> None:
        subjects = {name: ActualSubject(level, registered=True) for name in WANTED.subjects}
        assert causes(difference(WANTED, attrs.evolve(recorded_everything(WANTED), subjects=subjects))) == {cause}

    def test_a_schema_that_the_files_changed_is_no_drift_and_one_that_the_registry_lost_is(self) -> None:
        newer = with_schema(WANTED, record({"name": "weight", "type": "int", "default": 0}))
        (name,) = WANTED.subjects
        old = ActualSubject("BACKWARD", registered=False, history=(RegisteredSchema(name, 1, 1, record()),))
        assert causes(difference(newer, attrs.evolve(recorded_everything(WANTED), subjects={name: old}))) == {"files"}
        lost = attrs.evolve(recorded_everything(WANTED), subjects={name: ActualSubject("BACKWARD", registered=False)})
        assert causes(difference(WANTED, lost)) == {"drift"}

    def test_nothing_drifts_where_nothing_changed(self) -> None:
        assert difference(WANTED, recorded_everything(WANTED)) == Plan()


class TestRightsThatWereGivenBack:
    FEWER = attrs.evolve(WANTED, acls=tuple(acl for acl in WANTED.acls if acl.principal != "counter"))

    def test_what_lockgate_granted_and_nobody_asks_for_any_more_is_taken_away(self) -> None:
        (change,) = difference(self.FEWER, recorded_everything(WANTED)).changes
        assert isinstance(change, RevokeAcl)
        assert (change.action, change.name) == ("delete", "counter may WRITE topic parcels")
        assert change.risk.level == "high"
        assert change.before is not None
        assert change.before["principal"] == "counter"
        assert change.after is None

    def test_what_was_granted_by_hand_is_left_alone(self) -> None:
        plan = difference(self.FEWER, everything(WANTED))
        assert not plan.changes
        assert [entry.name for entry in plan.beyond] == ["counter may WRITE topic parcels"]

    def test_an_interrupted_run_that_had_only_announced_it_is_evidence_too(self) -> None:
        announced = Applied().announced(acl for acl in WANTED.acls if acl.principal == "counter")
        plan = difference(self.FEWER, attrs.evolve(everything(WANTED), applied=Applied(announced)))
        assert [change.action for change in plan.changes] == ["delete"]

    def test_a_principal_that_is_in_no_contract_keeps_its_rights(self) -> None:
        """A folder that went missing never takes anything away."""
        users = {name: user for name, user in WANTED.users.items() if name != "counter"}
        plan = difference(attrs.evolve(self.FEWER, users=users), recorded_everything(WANTED))
        assert not plan.deletions

    def test_rights_to_topics_of_another_project_are_left_to_it(self) -> None:
        theirs = Binding("User:post~reader", "*", "TOPIC", "letters.dlq.sorter", "LITERAL", "READ", "ALLOW")
        state = {"principal": "post~reader", "resource": "TOPIC", "name": theirs.name, "pattern": "LITERAL"}
        entries = recorded(WANTED) | {right_key(theirs): state | {"operations": ["READ"], "others": []}}
        actual = attrs.evolve(everything(WANTED), acls=everything(WANTED).acls | {theirs}, applied=Applied(entries))
        assert not difference(WANTED, actual).changes

    def test_the_record_keeps_what_was_not_taken_away_yet(self) -> None:
        rights = recorded(WANTED)
        fewer = recorded(attrs.evolve(WANTED, acls=tuple(acl for acl in WANTED.acls if acl.operation != "WRITE")))
        kept = Applied(rights).kept(fewer, everything(WANTED).acls)
        retry = next(key for key in kept if key.startswith("acl/tracker TOPIC parcels.retry"))
        assert (kept[retry]["operations"], kept[retry]["others"]) == (["READ"], ["WRITE"])


def test_a_topic_of_which_nothing_is_known_is_not_recorded_as_it_is() -> None:
    """Only what Lockgate makes is written down: topics in no contract never enter the record."""
    actual = attrs.evolve(everything(WANTED), topics={"scratch": ActualTopic(1, frozenset({1}))})
    assert not any("scratch" in key for key in recorded(WANTED))
    assert difference(WANTED, actual).unmanaged


FORMER = "parcels.retry.tracker.2"


class TestTiersThatAContractNoLongerLists:
    SHORTER = attrs.evolve(
        WANTED,
        topics={name: topic for name, topic in WANTED.topics.items() if name != FORMER},
        acls=tuple(acl for acl in WANTED.acls if acl.name != FORMER),
        groups={
            name: attrs.evolve(group, topics=tuple(topic for topic in group.topics if topic != FORMER))
            for name, group in WANTED.groups.items()
        },
    )

    @classmethod
    def plan(cls, waiting: int) -> Plan:
        there = attrs.evolve(recorded_everything(WANTED), former={FORMER: ("tracker", waiting)})
        return difference(cls.SHORTER, there)

    @pytest.mark.parametrize("waiting", [0, 3])
    def test_they_are_told_and_the_rights_on_them_stay(self, waiting: int) -> None:
        plan = self.plan(waiting)
        assert plan.is_empty
        assert not plan.beyond
        assert not plan.unmanaged
        (topic,) = plan.draining
        assert (topic.name, topic.workload, topic.waiting) == (FORMER, "tracker", waiting)
        assert topic.declared == str(WANTED.groups["tracker"].location)

    def test_once_somebody_has_taken_them_away_the_rights_are_given_back(self) -> None:
        gone = recorded_everything(WANTED)
        topics = {name: topic for name, topic in gone.topics.items() if name != FORMER}
        plan = difference(self.SHORTER, attrs.evolve(gone, topics=topics))
        assert not plan.draining
        assert {change.name for change in plan.changes} == {
            f"tracker may READ topic {FORMER}",
            f"tracker may WRITE topic {FORMER}",
        }
        assert {change.action for change in plan.changes} == {"delete"}

    def test_which_they_are_follows_from_what_is_there(self) -> None:
        (group,) = self.SHORTER.groups.values()
        there = {*WANTED.topics, "parcels.retry.tracker.3", "parcels.retry.tracker.5", "parcels.retry.tracker.parked"}
        former = list(former_topics(group.source, group.name, group.topics, there))
        assert former == ["parcels.retry.tracker.parked", FORMER, "parcels.retry.tracker.3"]

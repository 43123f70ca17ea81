from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.contracts.derive import Principal
from lockgate.contracts.model import Location
from lockgate.errors import PlanRefused
from lockgate.provisioning.actual import Actual, ActualSubject, ActualTopic
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.changes import (
    AddPartitions,
    AlterConfig,
    ConfigDifference,
    CreateUser,
    RegisterSchema,
    SetLevel,
    SetPassword,
    WriteCredentials,
)
from lockgate.provisioning.cluster import Broker, TopicConfig
from lockgate.provisioning.credentials import CredentialsFile
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.plan import Plan, difference
from lockgate.provisioning.reports import Beyond, Refusal, Unmanaged
from lockgate.provisioning.risks import config_risk, duration_text, level_risk
from lockgate.registry import RegisteredSchema
from tests.unit.provisioning.states import GOOD_FILE, applied, desired, everything, nothing, record, with_schema

DLQ = "parcels.dlq.tracker"


def with_topic(actual: Actual, name: str, **changes: Any) -> Actual:
    return attrs.evolve(actual, topics=dict(actual.topics) | {name: attrs.evolve(actual.topics[name], **changes)})


def with_file(actual: Actual, name: str, file: CredentialsFile) -> Actual:
    return attrs.evolve(actual, credentials=dict(actual.credentials) | {name: file})


def with_acl(actual: Actual, binding: Binding) -> Actual:
    return attrs.evolve(actual, acls=actual.acls | {binding})


def subject_state(wanted: Desired, *history: dict[str, Any], level: str | None, accepted: bool | None = None) -> Actual:
    (name,) = wanted.subjects
    versions = tuple(RegisteredSchema(name, number, 100 + number, schema) for number, schema in enumerate(history, 1))
    state = ActualSubject(level, registered=False, history=versions, accepted=accepted)
    return attrs.evolve(everything(wanted), subjects={name: state})


class TestTheWhole:
    def test_an_empty_cluster_gets_everything(self) -> None:
        wanted = desired()
        plan = difference(wanted, nothing(wanted))
        made = {(change.kind, change.name) for change in plan.changes}
        assert {name for kind, name in made if kind == "topic"} == set(wanted.topics)
        assert {name for kind, name in made if kind == "user"} == {
            "tracker",
            "counter",
            "post~reader",
            "post~replayer",
            "ci",
        }
        assert sum(kind == "acl" for kind, _ in made) == len(wanted.acls)
        assert {change.action for change in plan.changes} == {"create"}
        assert not plan.refusals
        assert not plan.beyond
        assert not plan.unmanaged

    def test_a_cluster_that_is_as_asked_gets_nothing(self) -> None:
        wanted = desired()
        plan = difference(wanted, everything(wanted))
        assert plan == Plan()
        assert plan.is_empty

    @given(data=st.data())
    def test_after_a_plan_is_applied_the_next_one_is_empty(self, data: st.DataObject) -> None:
        wanted = desired()
        full = everything(wanted)
        some: Any = lambda names: data.draw(st.sets(st.sampled_from(sorted(names))))  # noqa: E731  # reads better inline
        topics: dict[str, ActualTopic] = {}
        for name in some(full.topics):
            there = full.topics[name]
            config = dict(there.config.effective) if there.config else {}
            for key in some(wanted.topics[name].config):
                config[key] = "something else"
            partitions = data.draw(st.integers(1, there.partitions))
            topics[name] = attrs.evolve(there, partitions=partitions, config=TopicConfig(config, frozenset(config)))
        files = st.builds(
            CredentialsFile,
            has_password=st.booleans(),
            authenticates=st.sampled_from([True, False, None]),
            outdated=st.sampled_from([(), ("it is old",)]),
        )
        actual = attrs.evolve(
            full,
            topics=topics,
            users=frozenset(some(full.users)),
            acls=frozenset(some(full.acls)),
            credentials={name: data.draw(files) for name in wanted.users},
        )
        plan = difference(wanted, actual)
        assert not plan.refusals
        assert difference(wanted, applied(plan, actual)).is_empty

    @given(data=st.data())
    def test_each_missing_right_is_planned_and_no_other(self, data: st.DataObject) -> None:
        wanted = desired()
        kept = data.draw(st.sets(st.sampled_from(wanted.acls)))
        actual = attrs.evolve(everything(wanted), acls=frozenset(map(Binding.of, kept)))
        plan = difference(wanted, actual)
        assert len(plan.changes) == len(wanted.acls) - len(kept)
        assert {change.kind for change in plan.changes} <= {"acl"}

    def test_the_json_form_is_json_and_counts_what_is_in_it(self) -> None:
        wanted = desired()
        actual = attrs.evolve(nothing(wanted), users=frozenset({"admin", "stranger"}))
        document = json.loads(json.dumps(difference(wanted, actual).as_json()))
        assert set(document) == {"cluster", "changes", "refusals", "beyond", "unmanaged", "draining", "counts"}
        assert document["counts"]["create"] == len(document["changes"])
        assert document["unmanaged"] == [{"kind": "user", "name": "stranger", "note": ""}]
        topic = next(change for change in document["changes"] if change["name"] == "parcels")
        assert topic == {
            "action": "create",
            "kind": "topic",
            "name": "parcels",
            "details": ["4 partitions", "replication 3", "retention 1d"],
            "before": None,
            "after": {"partitions": 4, "replication": 3, "config": dict(wanted.topics["parcels"].config)},
            "risk": {"level": "none", "reason": ""},
            "cause": "files",
            "declared": "schemas/parcels/domain.yaml:3",
            "config": dict(wanted.topics["parcels"].config),
        }

    def test_refusals_are_raised_together(self) -> None:
        plan = Plan(
            refusals=(Refusal("topic", "a", "too small", "grow it"), Refusal("user", "b", "taken", "rename it"))
        )
        with pytest.raises(PlanRefused) as caught:
            plan.raise_if_refused(deletions=False)
        assert "2 changes cannot be applied, so nothing was touched" in caught.value.message
        assert "topic a: too small (grow it)" in caught.value.message
        assert "user b: taken (rename it)" in caught.value.message


class TestTopics:
    def test_more_partitions_are_added_and_the_plan_says_what_that_means_for_keys(self) -> None:
        wanted = desired()
        plan = difference(wanted, with_topic(everything(wanted), "parcels", partitions=1))
        assert plan.changes == (AddPartitions(wanted.topics["parcels"], 1),)
        assert plan.changes[0].details[0] == "partitions 1 → 4"
        assert plan.changes[0].risk.level == "high"
        assert "keys move" in plan.changes[0].risk.reason

    def test_fewer_partitions_are_refused(self) -> None:
        wanted = desired()
        plan = difference(wanted, with_topic(everything(wanted), "parcels", partitions=9))
        assert not plan.changes
        (refusal,) = plan.refusals
        assert (refusal.kind, refusal.name) == ("topic", "parcels")
        assert "it has 9 partitions" in refusal.reason
        assert "set partitions back to 9" in refusal.next_step
        assert refusal.declared == "schemas/parcels/domain.yaml:3"

    def test_another_replication_is_refused_with_the_way_out(self) -> None:
        wanted = desired()
        plan = difference(wanted, with_topic(everything(wanted), DLQ, replication=frozenset({1, 3})))
        (refusal,) = plan.refusals
        assert "its replication is 1, 3" in refusal.reason
        assert "kafka-reassign-partitions" in refusal.next_step

    def test_more_replicas_than_brokers_are_refused(self) -> None:
        wanted = desired()
        plan = difference(wanted, attrs.evolve(nothing(wanted), brokers=(Broker(1, "localhost", 9092),)))
        assert {refusal.name for refusal in plan.refusals} == set(wanted.topics)
        assert "replication 3 asked for, and 1 broker is up" in plan.refusals[0].reason

    def test_a_key_with_another_value_is_set(self) -> None:
        wanted = desired()
        config = dict(wanted.topics["parcels"].config) | {"retention.ms": "1"}
        plan = difference(
            wanted, with_topic(everything(wanted), "parcels", config=TopicConfig(config, frozenset(config)))
        )
        assert plan.changes == (
            AlterConfig(wanted.topics["parcels"], (ConfigDifference("retention.ms", "1", "86400000"),)),
        )

    def test_a_value_that_the_broker_has_by_default_is_no_drift(self) -> None:
        wanted = desired()
        config = TopicConfig(dict(wanted.topics["parcels"].config), overrides=frozenset())
        assert difference(wanted, with_topic(everything(wanted), "parcels", config=config)).is_empty

    def test_a_key_set_by_hand_is_reported_and_left_alone(self) -> None:
        wanted = desired()
        config = TopicConfig({**wanted.topics["parcels"].config, "segment.ms": "7"}, frozenset({"segment.ms"}))
        plan = difference(wanted, with_topic(everything(wanted), "parcels", config=config))
        assert not plan.changes
        assert plan.unmanaged == (Unmanaged("topic", "parcels", "segment.ms is set to 7"),)

    def test_a_topic_in_no_contract_is_reported(self) -> None:
        wanted = desired()
        full = everything(wanted)
        actual = attrs.evolve(full, topics=dict(full.topics) | {"scratch": ActualTopic(2, frozenset({1}))})
        assert difference(wanted, actual) == Plan(unmanaged=(Unmanaged("topic", "scratch", "2 partitions"),))


class TestUsers:
    def test_a_password_that_is_on_file_becomes_the_new_users(self) -> None:
        wanted = desired()
        actual = attrs.evolve(everything(wanted), users=frozenset({"admin"}))
        plan = difference(wanted, actual)
        assert plan.changes == tuple(CreateUser(user, keep_password=True) for user in wanted.users.values())

    @pytest.mark.parametrize(
        ("file", "reason"),
        [
            (CredentialsFile(False, None, ()), "no credentials file"),
            (CredentialsFile(True, False, ()), "the brokers refuse"),
        ],
    )
    def test_a_user_whose_password_is_lost_gets_a_new_one(self, file: CredentialsFile, reason: str) -> None:
        wanted = desired()
        (change,) = difference(wanted, with_file(everything(wanted), "tracker", file)).changes
        assert isinstance(change, SetPassword)
        assert change.name == "tracker"
        assert reason in change.reason

    def test_a_password_that_could_not_be_tried_stays(self) -> None:
        wanted = desired()
        assert difference(wanted, with_file(everything(wanted), "tracker", CredentialsFile(True, None, ()))).is_empty

    def test_old_files_are_written_anew_with_the_same_password(self) -> None:
        wanted = desired()
        file = attrs.evolve(GOOD_FILE, outdated=("tracker.properties is missing",))
        plan = difference(wanted, with_file(everything(wanted), "tracker", file))
        assert plan.changes == (WriteCredentials(wanted.users["tracker"], ("tracker.properties is missing",)),)

    def test_the_administrator_is_not_reported_and_others_are(self) -> None:
        wanted = desired()
        actual = attrs.evolve(everything(wanted), users=everything(wanted).users | {"stranger"})
        assert difference(wanted, actual) == Plan(unmanaged=(Unmanaged("user", "stranger"),))

    @pytest.mark.parametrize("name", ["admin", "registry-reader"])
    def test_a_workload_with_a_name_that_is_taken_is_refused(self, name: str) -> None:
        wanted = desired()
        user = Principal(name, "workload", "post", Location("services/x/service.yaml", 2))
        wanted = attrs.evolve(wanted, users={name: user})
        (refusal,) = difference(wanted, everything(wanted)).refusals
        assert (refusal.kind, refusal.name) == ("user", name)
        assert refusal.next_step == "rename the workload"

    def test_a_registry_identity_that_nobody_can_give_is_refused(self) -> None:
        wanted = desired()
        (refusal,) = difference(wanted, attrs.evolve(everything(wanted), registry_reader_missing=True)).refusals
        assert refusal.name == "registry-reader.env"


class TestRights:
    GRANT = Binding("User:tracker", "*", "TOPIC", "parcels", "LITERAL", "WRITE", "ALLOW")

    def test_a_right_of_ours_that_no_contract_gives_is_beyond_the_contracts(self) -> None:
        wanted = desired()
        plan = difference(wanted, with_acl(everything(wanted), self.GRANT))
        assert not plan.changes
        assert plan.beyond == (Beyond("ALLOW", "tracker may WRITE topic parcels", "no contract grants tracker this"),)

    @pytest.mark.parametrize(
        ("name", "pattern"), [("parcels", "LITERAL"), ("*", "LITERAL"), ("par", "PREFIXED"), (DLQ, "LITERAL")]
    )
    def test_a_stranger_who_can_reach_a_topic_of_the_contracts_is_too(self, name: str, pattern: str) -> None:
        wanted = desired()
        binding = Binding("User:stranger", "10.0.0.7", "TOPIC", name, pattern, "READ", "ALLOW")
        plan = difference(wanted, with_acl(everything(wanted), binding))
        assert not plan.unmanaged
        (entry,) = plan.beyond
        assert entry.name.startswith("stranger may READ topic ")
        assert entry.name.endswith(" from 10.0.0.7")

    @pytest.mark.parametrize(
        "binding",
        [
            Binding("User:stranger", "*", "TOPIC", "scratch", "LITERAL", "READ", "ALLOW"),
            Binding("User:stranger", "*", "GROUP", "parcels", "LITERAL", "READ", "ALLOW"),
            Binding("User:stranger", "*", "TOPIC", "parcels", "LITERAL", "READ", "DENY"),
        ],
    )
    def test_what_does_not_concern_the_contracts_is_only_reported(self, binding: Binding) -> None:
        wanted = desired()
        plan = difference(wanted, with_acl(everything(wanted), binding))
        assert plan == Plan(unmanaged=(Unmanaged("acl", str(binding)),))

    @pytest.mark.parametrize(("principal", "operation"), [("tracker", "READ"), ("*", "ALL"), ("tracker", "DESCRIBE")])
    def test_a_denial_by_hand_is_told(self, principal: str, operation: str) -> None:
        wanted = desired()
        denial = Binding(f"User:{principal}", "*", "TOPIC", "parcels", "LITERAL", operation, "DENY")
        (entry,) = difference(wanted, with_acl(everything(wanted), denial)).beyond
        assert entry.permission == "DENY"
        assert f"{principal} may not {operation} topic parcels" == entry.name

    def test_a_wider_right_does_not_stand_in_for_the_one_that_was_asked_for(self) -> None:
        wanted = desired()
        acl = wanted.acls[0]
        narrowed = attrs.evolve(Binding.of(acl), host="10.0.0.7")
        full = everything(wanted)
        plan = difference(wanted, attrs.evolve(full, acls=full.acls - {Binding.of(acl)} | {narrowed}))
        assert [change.kind for change in plan.changes] == ["acl"]
        assert len(plan.beyond) == 1


class TestSubjects:
    WITH_DEFAULT = record({"name": "weight", "type": "int", "default": 0})
    WITHOUT_DEFAULT = record({"name": "weight", "type": "int"})

    def test_the_level_stands_before_the_first_version(self) -> None:
        wanted = desired()
        (subject,) = wanted.subjects.values()
        plan = difference(wanted, subject_state(wanted, level=None))
        assert plan.changes == (SetLevel(subject, None), RegisterSchema(subject, 0))
        assert [change.action for change in plan.changes] == ["create", "create"]
        assert plan.changes[1].details == ("register the first version",)

    def test_a_compatible_schema_becomes_the_next_version(self) -> None:
        wanted = with_schema(desired(), self.WITH_DEFAULT)
        (subject,) = wanted.subjects.values()
        plan = difference(wanted, subject_state(wanted, record(), level="BACKWARD", accepted=True))
        assert plan.changes == (RegisterSchema(subject, 1),)
        assert plan.changes[0].action == "change"
        assert plan.changes[0].details == ("register version 2",)

    def test_an_incompatible_schema_is_refused_with_the_reason(self) -> None:
        wanted = with_schema(desired(), self.WITHOUT_DEFAULT)
        plan = difference(wanted, subject_state(wanted, record(), level="BACKWARD", accepted=False))
        assert not plan.changes
        (refusal,) = plan.refusals
        assert refusal.kind == "subject"
        assert "not BACKWARD with what is registered" in refusal.reason
        assert "weight" in refusal.reason
        assert refusal.declared == "schemas/parcels/Sent.avsc:1"

    def test_the_level_of_the_contract_decides_not_the_one_that_is_still_set(self) -> None:
        strict = with_schema(desired(), self.WITHOUT_DEFAULT, "BACKWARD")
        assert difference(strict, subject_state(strict, record(), level="NONE")).refusals
        loose = with_schema(desired(), self.WITHOUT_DEFAULT, "NONE")
        plan = difference(loose, subject_state(loose, record(), level="BACKWARD"))
        assert [type(change) for change in plan.changes] == [SetLevel, RegisterSchema]
        assert plan.changes[0].details == ("compatibility BACKWARD → NONE",)

    def test_only_the_latest_version_counts_unless_the_level_is_transitive(self) -> None:
        history = (self.WITHOUT_DEFAULT, record())
        wanted = with_schema(desired(), record({"name": "weight", "type": "string", "default": ""}), "BACKWARD")
        assert not difference(wanted, subject_state(wanted, *history, level="BACKWARD")).refusals
        wanted = with_schema(wanted, record({"name": "weight", "type": "string", "default": ""}), "BACKWARD_TRANSITIVE")
        assert difference(wanted, subject_state(wanted, *history, level="BACKWARD_TRANSITIVE")).refusals

    def test_what_the_registry_would_refuse_is_refused_even_where_we_see_no_reason(self) -> None:
        wanted = with_schema(desired(), self.WITH_DEFAULT)
        (refusal,) = difference(wanted, subject_state(wanted, record(), level="BACKWARD", accepted=False)).refusals
        assert "the registry refuses it" in refusal.reason

    def test_a_subject_in_no_contract_is_reported(self) -> None:
        wanted = desired()
        actual = attrs.evolve(everything(wanted), other_subjects=("old-thing",))
        assert difference(wanted, actual) == Plan(unmanaged=(Unmanaged("subject", "old-thing"),))


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-1, "for ever"),
        (0, "0ms"),
        (300, "300ms"),
        (1000, "1s"),
        (90_000, "90s"),
        (129_600_000, "36h"),
        (604_800_000, "7d"),
    ],
)
def test_durations_read_as_contracts_write_them(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text


@pytest.mark.parametrize(
    ("key", "before", "after", "level", "phrase"),
    [
        ("retention.ms", "604800000", "86400000", "high", "records older than 1d are deleted"),
        ("retention.ms", "-1", "86400000", "high", "are deleted"),
        ("retention.ms", "86400000", "-1", "low", "more room"),
        ("max.message.bytes", "2000", "1000", "high", "larger records are refused"),
        ("max.message.bytes", "1000", "2000", "low", "at once"),
        ("min.insync.replicas", "2", "1", "high", "fewer copies"),
        ("min.insync.replicas", "1", "2", "low", "more replicas"),
        ("cleanup.policy", "compact", "delete", "high", "which records are deleted"),
        ("segment.ms", None, "7", "low", "at once"),
    ],
)
def test_each_value_of_a_topic_has_its_risk(key: str, before: str | None, after: str, level: str, phrase: str) -> None:
    risk = config_risk(key, before, after)
    assert risk.level == level
    assert phrase in risk.reason


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [
        (None, "NONE", "none"),
        ("FULL", "BACKWARD", "high"),
        ("BACKWARD", "FORWARD", "high"),
        ("FULL_TRANSITIVE", "FULL", "high"),
        ("FULL", "BACKWARD_TRANSITIVE", "high"),
        ("BACKWARD", "FULL", "low"),
        ("NONE", "FORWARD", "low"),
        ("BACKWARD", "BACKWARD_TRANSITIVE", "low"),
    ],
)
def test_a_level_that_promises_less_is_a_high_risk(before: str | None, after: Any, level: str) -> None:
    assert level_risk(before, after).level == level

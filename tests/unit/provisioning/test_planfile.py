"""A saved plan is applied exactly, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.contracts.model import Location
from lockgate.errors import PlanRefused, UsageError
from lockgate.provisioning.actual import Actual
from lockgate.provisioning.applied import digest, recorded
from lockgate.provisioning.cluster import TopicConfig
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.plan import Plan, difference
from lockgate.provisioning.planfile import SavedPlan, read_plan, save_plan
from lockgate.provisioning.reports import Beyond, Refusal
from tests.unit.provisioning.states import applied, desired, everything, nothing

WANTED = desired()


def plan_of(wanted: Desired, actual: Actual, cluster: str = "here") -> Plan:
    """Return a plan as `make_plan` would, without a cluster."""
    asked = {key: digest(state) for key, state in recorded(wanted).items()}
    return attrs.evolve(difference(wanted, actual), cluster=cluster, registry="http://registry", asked=asked)


def through_a_file(plan: Plan, folder: Path) -> SavedPlan:
    save_plan(folder / "plan.json", plan)
    return read_plan(folder / "plan.json")


def with_retention(value: str) -> Actual:
    actual = everything(WANTED)
    there = actual.topics["parcels"]
    assert there.config is not None
    config = TopicConfig({**there.config.effective, "retention.ms": value}, there.config.overrides)
    return attrs.evolve(actual, topics={**actual.topics, "parcels": attrs.evolve(there, config=config)})


def refusal_of(saved: SavedPlan, now: Plan) -> str:
    with pytest.raises(PlanRefused) as caught:
        saved.check(now)
    assert "nothing was touched" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("actual", [nothing(WANTED), everything(WANTED), with_retention("7")])
def test_the_same_plan_is_the_same_plan(actual: Actual, tmp_path: Path) -> None:
    plan = plan_of(WANTED, actual)
    through_a_file(plan, tmp_path).check(plan)


def test_a_value_that_moved_is_named_with_both_values(tmp_path: Path) -> None:
    saved = through_a_file(plan_of(WANTED, with_retention("7")), tmp_path)
    message = refusal_of(saved, plan_of(WANTED, with_retention("8")))
    assert "topic parcels: it was retention.ms 7, and is retention.ms 8 now" in message


def test_a_thing_that_was_well_and_is_not_any_more_is_named(tmp_path: Path) -> None:
    saved = through_a_file(plan_of(WANTED, everything(WANTED)), tmp_path)
    acls = everything(WANTED).acls
    lost = attrs.evolve(everything(WANTED), acls=acls - {min(acls)})
    assert "it is not there, and would be created, which is not in the plan" in refusal_of(saved, plan_of(WANTED, lost))


def test_contracts_that_moved_are_refused_even_where_the_cluster_moved_with_them(tmp_path: Path) -> None:
    saved = through_a_file(plan_of(WANTED, everything(WANTED)), tmp_path)
    longer = desired(retention_ms=5)
    message = refusal_of(saved, plan_of(longer, everything(longer)))
    assert "topic parcels: the contracts ask something else of it since" in message


def test_a_line_that_moved_in_a_file_is_nothing(tmp_path: Path) -> None:
    saved = through_a_file(plan_of(WANTED, nothing(WANTED)), tmp_path)
    topics = {n: attrs.evolve(t, location=Location("elsewhere.yaml", 9)) for n, t in WANTED.topics.items()}
    saved.check(plan_of(attrs.evolve(WANTED, topics=topics), nothing(WANTED)))


def test_another_cluster_is_refused_by_its_id(tmp_path: Path) -> None:
    saved = through_a_file(plan_of(WANTED, nothing(WANTED)), tmp_path)
    assert "made for the cluster here, and this one is there" in refusal_of(
        saved, plan_of(WANTED, nothing(WANTED), "there")
    )


def test_a_right_made_by_hand_since_is_refused(tmp_path: Path) -> None:
    plan = plan_of(WANTED, everything(WANTED))
    saved = through_a_file(plan, tmp_path)
    now = attrs.evolve(plan, beyond=(Beyond("DENY", "tracker may not READ topic parcels", "why"),))
    assert "acl tracker may not READ topic parcels: it was not there" in refusal_of(saved, now)


@given(data=st.data())
def test_whatever_part_an_interrupted_run_has_made_the_rest_is_still_that_plan(data: st.DataObject) -> None:
    plan = plan_of(WANTED, nothing(WANTED))
    saved = SavedPlan("here", "http://registry", plan.asked, json.loads(json.dumps(plan.as_json())))
    some = data.draw(st.sets(st.sampled_from(range(len(plan.changes)))))
    part = attrs.evolve(plan, changes=tuple(plan.changes[index] for index in sorted(some)))
    saved.check(plan_of(WANTED, applied(part, nothing(WANTED))))


def test_a_plan_with_refusals_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(PlanRefused):
        save_plan(tmp_path / "plan.json", Plan(refusals=(Refusal("topic", "a", "too small", "grow it"),)))
    assert not (tmp_path / "plan.json").exists()


def test_no_secret_is_in_the_file(tmp_path: Path) -> None:
    through_a_file(plan_of(WANTED, nothing(WANTED)), tmp_path)
    assert "kept to itself" not in (tmp_path / "plan.json").read_text()


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ("no json", "is no saved plan"),
        ("[]", "is no saved plan"),
        ({"format": "another"}, "is no saved plan"),
        ({"format": "lockgate-plan", "version": 2}, "is a plan of version 2"),
        ({"format": "lockgate-plan", "version": 1}, "is no whole plan"),
        (
            {
                "format": "lockgate-plan",
                "version": 1,
                "cluster": "x",
                "registry": "y",
                "asked": {},
                "plan": {"changes": [{"kind": "topic"}], "beyond": []},
            },
            "is no whole plan",
        ),
    ],
)
def test_a_file_that_is_no_plan_is_refused(content: Any, phrase: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UsageError, match=phrase):
        read_plan(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "nowhere.json")

"""Trespassers made from contracts: what they try is never granted, and no kind of attempt is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.contracts.derive import derive
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts
from lockgate.demo.trespass import attempts
from tests.projects import write_project


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return load(write_project(tmp_path))


def test_nothing_is_tried_that_the_contracts_grant(contracts: Contracts) -> None:
    rights = {(acl.principal, acl.resource, acl.name, acl.operation) for acl in derive(contracts).acls}
    for attempt in attempts(contracts):
        resource = "GROUP" if attempt.action == "join" else "TOPIC"
        operation = "WRITE" if attempt.action == "write" else "READ"
        assert (attempt.principal, resource, attempt.target, operation) not in rights


def test_whoever_joins_a_foreign_group_may_read_the_topic_so_that_the_group_alone_is_refused(
    contracts: Contracts,
) -> None:
    rights = {(acl.principal, acl.name) for acl in derive(contracts).acls if acl.operation == "READ"}
    joins = [attempt for attempt in attempts(contracts) if attempt.action == "join"]
    assert joins
    assert all((attempt.principal, attempt.through) in rights for attempt in joins)


def test_every_kind_is_tried_and_by_everybody(contracts: Contracts) -> None:
    tried = attempts(contracts)
    assert {attempt.action for attempt in tried} == {"read", "write", "join", "register", "connect"}
    assert {attempt.principal for attempt in tried} == {principal.name for principal in derive(contracts).principals}
    assert {attempt.principal for attempt in tried if attempt.action == "register"} == set(contracts.workloads)
    assert [attempt.target for attempt in tried if attempt.action == "connect"] == [
        "with a wrong password",
        "without credentials",
        "in plain text",
        "to the registry without credentials",
    ]

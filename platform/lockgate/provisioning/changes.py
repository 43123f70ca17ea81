"""Everything that `apply` can do, each thing a frozen value."""

from __future__ import annotations

from lockgate.provisioning.change import Change
from lockgate.provisioning.deletions import (
    DeleteCredentials,
    DeleteGroup,
    DeleteSubject,
    DeleteTopic,
    DeleteUser,
)
from lockgate.provisioning.groups import StartGroup
from lockgate.provisioning.principals import CreateAcl, CreateUser, RevokeAcl, SetPassword, WriteCredentials
from lockgate.provisioning.subjects import RegisterSchema, SetLevel
from lockgate.provisioning.topics import AddPartitions, AlterConfig, ConfigDifference, CreateTopic

__all__ = [
    "AddPartitions",
    "AlterConfig",
    "Change",
    "ConfigDifference",
    "CreateAcl",
    "CreateTopic",
    "CreateUser",
    "DeleteCredentials",
    "DeleteGroup",
    "DeleteSubject",
    "DeleteTopic",
    "DeleteUser",
    "RegisterSchema",
    "RevokeAcl",
    "SetLevel",
    "SetPassword",
    "StartGroup",
    "WriteCredentials",
]

"""What `apply` can do, each thing a frozen value."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import attrs

from lockgate.contracts.derive import Acl, Principal, Subject, Topic

__all__ = [
    "Action",
    "AddPartitions",
    "AlterConfig",
    "Change",
    "ConfigDifference",
    "CreateAcl",
    "CreateTopic",
    "CreateUser",
    "Kind",
    "RegisterSchema",
    "SetLevel",
    "SetPassword",
    "WriteCredentials",
    "acl_text",
    "duration_text",
]

Action = Literal["create", "change"]
Kind = Literal["topic", "user", "acl", "subject", "credentials"]


@attrs.frozen
class Change:
    """Describe one thing that `apply` does. It holds no secret, and can be compared, printed and sorted."""

    kind: ClassVar[Kind]

    @property
    def action(self) -> Action:
        """Return whether something is made that was not there."""
        return "change"

    @property
    def name(self) -> str:
        """Return the name of what is created or changed."""
        raise NotImplementedError

    @property
    def declared(self) -> str:
        """Return the file and line of the contract that asks for it."""
        raise NotImplementedError

    @property
    def details(self) -> tuple[str, ...]:
        """Return short phrases that say what is done."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """Return the change in the shape that `plan --output json` documents."""
        return {
            "action": self.action,
            "kind": self.kind,
            "name": self.name,
            "details": list(self.details),
            "declared": self.declared,
        }


@attrs.frozen
class _TopicChange(Change):
    kind: ClassVar[Kind] = "topic"
    topic: Topic

    @property
    def name(self) -> str:
        return self.topic.name

    @property
    def declared(self) -> str:
        return str(self.topic.location)


@attrs.frozen
class CreateTopic(_TopicChange):
    """Create a topic with its partitions, replication and configuration."""

    @property
    def action(self) -> Action:
        """Return `create`."""
        return "create"

    @property
    def details(self) -> tuple[str, ...]:
        """Return partitions, replication and retention."""
        retention = duration_text(int(self.topic.config["retention.ms"]))
        partitions = "1 partition" if self.topic.partitions == 1 else f"{self.topic.partitions} partitions"
        return (partitions, f"replication {self.topic.replication}", f"retention {retention}")

    def as_json(self) -> dict[str, Any]:
        """Return the change with every configuration value."""
        return super().as_json() | {"config": dict(self.topic.config)}


@attrs.frozen
class AddPartitions(_TopicChange):
    """Grow a topic. Keys map to other partitions from then on."""

    before: int

    @property
    def details(self) -> tuple[str, ...]:
        """Return the numbers, and what growing means for keys."""
        return (
            f"partitions {self.before} → {self.topic.partitions}",
            "keys move: a key's records from now on may be in another partition than its earlier ones",
        )


@attrs.frozen
class ConfigDifference:
    """Hold one configuration key whose effective value is not the contract's."""

    key: str
    before: str | None
    after: str

    def __str__(self) -> str:
        return f"{self.key} {self.before} → {self.after}"


@attrs.frozen
class AlterConfig(_TopicChange):
    """Set configuration values of a topic; other keys stay as they are."""

    differences: tuple[ConfigDifference, ...]

    @property
    def details(self) -> tuple[str, ...]:
        """Return each key with both values."""
        return tuple(str(difference) for difference in self.differences)


@attrs.frozen
class _PrincipalChange(Change):
    principal: Principal

    @property
    def name(self) -> str:
        return self.principal.name

    @property
    def declared(self) -> str:
        return str(self.principal.location)


@attrs.frozen
class CreateUser(_PrincipalChange):
    """Create a SCRAM user."""

    kind: ClassVar[Kind] = "user"
    keep_password: bool
    """Whether its credentials file has a password already, which then becomes the user's."""

    @property
    def action(self) -> Action:
        """Return `create`."""
        return "create"

    @property
    def details(self) -> tuple[str, ...]:
        """Return the kind of principal and where its password comes from."""
        password = "the password of its credentials file" if self.keep_password else "a new password"
        return (self.principal.kind, password)


@attrs.frozen
class SetPassword(_PrincipalChange):
    """Give an existing user a new password."""

    kind: ClassVar[Kind] = "user"
    reason: str

    @property
    def details(self) -> tuple[str, ...]:
        """Return what is done and why."""
        return ("set a new password", self.reason)


@attrs.frozen
class WriteCredentials(_PrincipalChange):
    """Write a principal's credentials files anew; its password stays."""

    kind: ClassVar[Kind] = "credentials"
    reasons: tuple[str, ...]

    @property
    def details(self) -> tuple[str, ...]:
        """Return what is out of date in the files."""
        return ("write anew, same password", *self.reasons)


@attrs.frozen
class CreateAcl(Change):
    """Grant one right."""

    kind: ClassVar[Kind] = "acl"
    acl: Acl
    origin: str

    @property
    def action(self) -> Action:
        """Return `create`."""
        return "create"

    @property
    def name(self) -> str:
        """Return principal, operation and resource in one phrase."""
        return acl_text(self.acl)

    @property
    def declared(self) -> str:
        """Return where the principal is declared."""
        return self.origin

    @property
    def details(self) -> tuple[str, ...]:
        """Return nothing: the name says it all."""
        return ()


@attrs.frozen
class _SubjectChange(Change):
    kind: ClassVar[Kind] = "subject"
    subject: Subject

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def declared(self) -> str:
        return str(self.subject.event.location)


@attrs.frozen
class SetLevel(_SubjectChange):
    """Set the compatibility level of a subject, which need not exist yet."""

    before: str | None

    @property
    def action(self) -> Action:
        """Return `create` where no level is set yet."""
        return "create" if self.before is None else "change"

    @property
    def details(self) -> tuple[str, ...]:
        """Return the level, and the one before it."""
        level = self.subject.compatibility
        return (f"compatibility {level}" if self.before is None else f"compatibility {self.before} → {level}",)


@attrs.frozen
class RegisterSchema(_SubjectChange):
    """Register a schema: the first version of a subject, or a further one."""

    versions: int
    """How many versions there are already."""

    @property
    def details(self) -> tuple[str, ...]:
        """Return which version it becomes."""
        return ("register the first version",) if not self.versions else (f"register version {self.versions + 1}",)

    @property
    def action(self) -> Action:
        """Return `create` for the first version of a subject."""
        return "change" if self.versions else "create"


def duration_text(milliseconds: int) -> str:
    """Return a duration as contracts write it: `7d`, `36h`, `300ms`; `for ever` for -1."""
    if milliseconds < 0:
        return "for ever"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def acl_text(acl: Acl) -> str:
    """Return a binding as one phrase: `orders-service may READ topic orders`."""
    resource = acl.resource.lower().replace("_", " ")
    name = acl.name if acl.pattern == "LITERAL" else f"{acl.name}*"
    return f"{acl.principal} may {acl.operation} {resource} {name}"

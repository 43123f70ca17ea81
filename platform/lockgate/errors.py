"""Every error that Lockgate raises on purpose, in one tree.

    LockgateError                  carries a message and, where there is one, the next step
    ├── UsageError                 what was asked for makes no sense: an unknown workload, a folder that is no project
    ├── SettingsError              a LOCKGATE_… variable is missing, malformed or may not be set
    ├── ContractsError             contract files are wrong: every mistake, each with file and line
    ├── SchemaError                an Avro schema is not valid, or cannot be bundled
    ├── EventError                 an event does not fit its schema: field path, expected, got
    ├── HandlerError               handlers and contract do not fit together; found at start
    ├── PoisonError                a record cannot be read; its reason is one of a fixed list
    ├── DeliveryError              the brokers did not take a record
    ├── RegistryError              the schema registry answered with an error
    │   ├── RegistryUnavailable    it did not answer, or not sensibly; worth another try
    │   └── RegistryDenied         the identity may not do this (401, 403)
    ├── ClusterError               the Kafka cluster answered with an error
    │   ├── ClusterUnavailable     no broker answered in time; worth another try
    │   └── ClusterDenied          authentication or authorization refused
    ├── PlanRefused                a plan holds changes that cannot be applied
    └── StackError                 the local stack could not be started, reached or stopped

    Reject                         raised by handlers: this event will never succeed, dead-letter it now

`Reject` stands apart: it is a handler's decision, not a failure of Lockgate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

__all__ = [
    "ClusterDenied",
    "ClusterError",
    "ClusterUnavailable",
    "ContractsError",
    "DeliveryError",
    "EventError",
    "HandlerError",
    "LockgateError",
    "PlanRefused",
    "PoisonError",
    "PoisonReason",
    "Problem",
    "RegistryDenied",
    "RegistryError",
    "RegistryUnavailable",
    "Reject",
    "SchemaError",
    "SettingsError",
    "StackError",
    "UsageError",
]


class LockgateError(Exception):
    """An expected failure: say what is wrong, where, and what to do next.

    `str()` is one line without the next step; the command line prints both. Neither ever holds a secret.
    """

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(LockgateError):
    """Report a request that makes no sense."""


class SettingsError(LockgateError):
    """Report a missing, malformed or forbidden setting."""


@attrs.frozen
class Problem:
    """Describe one mistake in one file."""

    file: str
    """Path relative to the project root."""
    line: int
    """1-based; 1 where a file as a whole is meant."""
    message: str
    next_step: str | None = None

    def __str__(self) -> str:
        hint = f" ({self.next_step})" if self.next_step else ""
        return f"{self.file}:{self.line}: {self.message}{hint}"


class ContractsError(LockgateError):
    """Report every mistake found in the contract files together."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(set(problems), key=lambda problem: (problem.file, problem.line, problem.message))
        )
        count = len(self.problems)
        noun = "mistake" if count == 1 else "mistakes"
        listing = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{count} {noun} in the contracts:\n{listing}")


class SchemaError(LockgateError):
    """Report an Avro schema that is not valid or cannot be bundled.

    `path` is a JSON pointer into the schema document, `""` for its root.
    """

    def __init__(self, message: str, *, path: str = "", next_step: str | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.path = path


class EventError(LockgateError):
    """Report an event that does not fit its schema; nothing was sent.

    `path` is the field path (`lines[2].amount`, `""` for the event itself).
    """

    def __init__(self, event_type: str, path: str, expected: str, got: str) -> None:
        at = f" at {path}" if path else ""
        super().__init__(f"{event_type}{at}: expected {expected}, got {got}")
        self.event_type = event_type
        self.path = path
        self.expected = expected
        self.got = got


class HandlerError(LockgateError):
    """Report handlers that do not fit their contract."""


PoisonReason = Literal[
    "empty-value",
    "no-magic-byte",
    "unknown-schema-id",
    "foreign-schema-id",
    "truncated",
    "malformed",
    "trailing-bytes",
    "index-out-of-range",
    "schema-mismatch",
    "key-mismatch",
]
"""Why a record cannot be read. The words stand in headers, metrics and reports, so they never change:

`empty-value` a value of no bytes (a null value is a tombstone, and no poison) · `no-magic-byte` not in the
registry's wire format · `unknown-schema-id` the registry has no such id · `foreign-schema-id` the id belongs to no
subject of this topic · `truncated` the datum ends early · `malformed` the bytes are no datum of that schema ·
`trailing-bytes` bytes after the datum · `index-out-of-range` an enum or union index that the schema does not have ·
`schema-mismatch` the writer's schema does not resolve to the reader's · `key-mismatch` the record's key is not the
event's.
"""


class PoisonError(LockgateError):
    """Report a record that cannot be read; it goes to the dead-letter topic as it is."""

    def __init__(self, reason: PoisonReason, message: str, *, schema_id: int | None = None) -> None:
        super().__init__(message)
        self.reason: PoisonReason = reason
        self.schema_id = schema_id


class DeliveryError(LockgateError):
    """Report a record that the brokers did not take."""


class RegistryError(LockgateError):
    """Report an error answer of the schema registry."""

    def __init__(self, message: str, *, status: int | None = None, next_step: str | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.status = status


class RegistryUnavailable(RegistryError):
    """Report a registry that did not answer; worth another try."""


class RegistryDenied(RegistryError):
    """Report an identity that may not do this in the registry."""


class ClusterError(LockgateError):
    """Report an error answer of the Kafka cluster."""


class ClusterUnavailable(ClusterError):
    """Report brokers that did not answer in time; worth another try."""


class ClusterDenied(ClusterError):
    """Report a refused authentication or authorization."""


class PlanRefused(LockgateError):
    """Report a plan that holds changes which cannot be applied; nothing was touched."""


class StackError(LockgateError):
    """Report a local stack that could not be started, reached or stopped."""


class Reject(Exception):  # a decision of the handler's, read as a verb: `raise Reject("unknown currency")`
    """Dead-letter the event at once: no retry will help.

    `reason` is a short sentence; it travels in the dead letter's headers, so it must hold no secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

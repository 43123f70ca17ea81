"""The local stack: a real Kafka cluster and a real registry, described by docker-compose.yaml and run without Docker."""

from __future__ import annotations

from lockgate.local.stack import Stack
from lockgate.local.status import StackStatus

__all__ = ["Stack", "StackStatus"]

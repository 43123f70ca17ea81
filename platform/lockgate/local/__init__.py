"""The local stack: a real Kafka cluster and a real registry, described by docker-compose.yaml, run without Docker."""

from __future__ import annotations

from lockgate.errors import StackError

try:
    from lockgate.local.stack import Stack
    from lockgate.local.status import StackStatus
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in {"cryptography", "psutil"}:
        raise
    raise StackError(
        f"the local stack needs {error.name}, which is not installed", next_step="pip install 'lockgate[local]'"
    ) from error

__all__ = ["Stack", "StackStatus"]

"""Kafka's own console tools, run from the cache on the same Java as the brokers: `scripts/kafka TOOL …`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from lockgate.errors import LockgateError, UsageError
from lockgate.local.cache import Cache, cache_directory
from lockgate.local.programs import java

__all__ = ["TOOLS", "command", "main"]

TOOLS = {
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
}
"""The class behind each tool's shell script in Kafka's distribution."""

_BOOTSTRAP = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of a tool; the local stack's brokers are added where none are named.

    Raise UsageError for a tool that is not known, and StackError where the cache does not hold Kafka yet.
    """
    tool, *rest = arguments or ["(none)"]
    name = tool.removesuffix(".sh")
    if name not in TOOLS:
        raise UsageError(f"no tool is called {tool}", next_step=f"there are {', '.join(TOOLS)}")
    jars = Cache(cache_directory()).class_path
    missing = [jar for jar in jars if not jar.is_file()]
    if missing:
        raise UsageError("Kafka's programs are not in the cache yet", next_step="`lockgate up` fetches them")
    if "--bootstrap-server" not in rest and rest != ["--help"]:
        rest = ["--bootstrap-server", _BOOTSTRAP, *rest]
    options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR"]
    return [str(java()), *options, "-cp", os.pathsep.join(map(str, jars)), TOOLS[name], *rest]


def main() -> None:
    """Become the tool that the arguments name."""
    try:
        found = command(sys.argv[1:])
    except LockgateError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"  next: {error.next_step}\n" if error.next_step else ""))
        sys.exit(2)
    os.execv(found[0], found)  # noqa: S606  # a fixed program of the cache; its arguments are a list


if __name__ == "__main__":
    main()

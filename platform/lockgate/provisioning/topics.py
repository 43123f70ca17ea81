"""What `apply` does to topics."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from lockgate.contracts.derive import Topic
from lockgate.provisioning.change import Action, Change, Kind, Risk, State
from lockgate.provisioning.risks import config_risk, duration_text, growth_risk, worst

__all__ = ["AddPartitions", "AlterConfig", "ConfigDifference", "CreateTopic"]


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

    @property
    def after(self) -> State:
        """Return partitions, replication and every configuration value that is set."""
        topic = self.topic
        return {"partitions": topic.partitions, "replication": topic.replication, "config": dict(topic.config)}

    def as_json(self) -> dict[str, Any]:
        """Return the change with every configuration value."""
        return super().as_json() | {"config": dict(self.topic.config)}


@attrs.frozen
class AddPartitions(_TopicChange):
    """Grow a topic. Keys map to other partitions from then on."""

    partitions: int
    """How many there are."""

    @property
    def details(self) -> tuple[str, ...]:
        """Return the numbers."""
        return (f"partitions {self.partitions} → {self.topic.partitions}",)

    @property
    def before(self) -> State:
        """Return how many partitions there are."""
        return {"partitions": self.partitions}

    @property
    def after(self) -> State:
        """Return how many partitions there will be."""
        return {"partitions": self.topic.partitions}

    @property
    def risk(self) -> Risk:
        """Return what growing means for keys."""
        return growth_risk(self.topic.kind)


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

    @property
    def before(self) -> State:
        """Return the effective values of the keys that change; null where a key has none."""
        return {"config": {difference.key: difference.before for difference in self.differences}}

    @property
    def after(self) -> State:
        """Return the same keys' values in the contracts."""
        return {"config": {difference.key: difference.after for difference in self.differences}}

    @property
    def risk(self) -> Risk:
        """Return the worst of what the keys may cost."""
        return worst(*(config_risk(d.key, d.before, d.after) for d in self.differences))

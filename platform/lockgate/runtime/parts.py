"""What a loop is made of, whatever its kind."""

from __future__ import annotations

import attrs

from lockgate.contracts.model import Domain, Workload
from lockgate.runtime.dispatch import Table
from lockgate.runtime.encoding import EventEncoder
from lockgate.runtime.intake import Intake
from lockgate.runtime.outcomes import Outcomes
from lockgate.runtime.patience import Patience
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.reader import Reader
from lockgate.runtime.signals import Stop

__all__ = ["Parts"]


@attrs.frozen
class Parts:
    """Hold the parts of one workload that its settlement and its loop share."""

    workload: Workload
    domain: Domain
    """The one that it consumes."""
    table: Table
    intake: Intake
    publisher: Publisher
    outcomes: Outcomes
    reader: Reader
    encoder: EventEncoder
    patience: Patience
    stop: Stop

"""Tell an outage from poison: when most records fail, none is taken until a probe succeeds. No client."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Literal

from lockgate.contracts.model import OutageSpec, Workload
from lockgate.runtime.logs import logger_for

__all__ = ["Outage", "State", "breaker_of"]

State = Literal["closed", "open", "half-open"]
"""As circuit breakers name them: closed, records flow; open, none is taken; half-open, one is, as a probe."""

_EVERYTHING = 1 << 31
_LONGEST = 12
"""How many times the first wait a wait may be."""
_PROBES_OF_ONE = 10
"""A record that has failed so often as a probe goes on to its retry topic: a row of poison is no outage for ever."""


class Outage:
    """Watch what handlers end with; a failure is one that a retry may mend.

    Closed, it looks at the last records that were handled; when enough of them have failed it opens, and the record in
    hand stays where it is. After a while one record is a probe: success closes, failure opens again, for twice as long.
    """

    def __init__(
        self,
        spec: OutageSpec,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[State], None] = lambda _: None,
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._changed = changed
        self._last: deque[bool] = deque(maxlen=spec.of)
        self._failed_probes = 0
        self._of_one: tuple[Hashable, int] = (None, 0)  # the record that was the last probe, and how often it was one
        self._until = 0.0
        self.state: State = "closed"
        self.opened = 0
        """How often it has opened from closed."""
        self.probes = 0
        """How many probes there were."""
        self.term = 0
        """How often it has opened, after probes too: a handler that began in an earlier term tells nothing of now."""

    @property
    def failing(self) -> int:
        """Return how many of the last records have failed, while it is closed."""
        return list(self._last).count(False)

    @property
    def wait(self) -> float:
        """Return for how many seconds no record is taken after the last failure."""
        return self._spec.probe_ms / 1000 * min(1 << min(self._failed_probes, 10), _LONGEST)

    def limit(self) -> int:
        """Return how many records may be taken now."""
        if self.state == "open" and self._clock() >= self._until:
            self._become("half-open")
        return {"closed": _EVERYTHING, "open": 0, "half-open": 1}[self.state]

    def succeeded(self, count: int) -> None:
        """Note records that were handled well; a rejected one counts as such.

        While it is open nothing counts: what ends then had begun before.
        """
        if not count or self.state == "open":
            return
        if self.state == "closed":
            self._last.extend([True] * min(count, self._spec.of))
            return
        self.probes += 1
        self._failed_probes = 0
        self._of_one = (None, 0)
        self._last.clear()
        self._become("closed")

    def failed(self, record: Hashable) -> bool:
        """Note a failure; tell whether the record stays where it is, and those behind it."""
        if self.state == "closed":
            self._last.append(False)
            if len(self._last) < self._spec.of or self._last.count(False) * 100 < self._spec.failing * self._spec.of:
                return False
            self.opened += 1
            self._open()
            return True
        if self.state == "open":
            return True
        self.probes += 1
        self._failed_probes += 1
        times = self._of_one[1] + 1 if self._of_one[0] == record else 1
        self._of_one = (record, times)
        self._open()
        return times < _PROBES_OF_ONE

    def totals(self) -> dict[str, int]:
        """Return what there is to tell at the end: nothing, where it has never opened."""
        return {"outages": self.opened, "probes": self.probes} if self.opened else {}

    def _open(self) -> None:
        self.term += 1
        self._until = self._clock() + self.wait
        self._become("open")

    def _become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed(state)


def breaker_of(workload: Workload) -> Outage:
    """Return the breaker of a workload; each change of its state is a line in the log."""
    log = logger_for(workload.name, group=workload.name)
    spec = workload.outage

    def changed(state: State) -> None:
        if state == "open":
            log.warning(
                "Most records fail: none is taken until a probe succeeds",
                state=state,
                wait=outage.wait,
                outages=outage.opened,
                probes=outage.probes,
                failing=f"{spec.failing}% of {spec.of}",
            )
        else:
            text = "A record is a probe" if state == "half-open" else "The outage is over"
            log.info(text, state=state, outages=outage.opened, probes=outage.probes)

    outage = Outage(spec, changed=changed)
    return outage

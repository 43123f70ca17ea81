"""A runtime that is spoilt on purpose: what the books of `tests.faults` must see on real brokers."""

from __future__ import annotations

import secrets
import textwrap

import attrs

from tests.books import AT_LEAST_ONCE, CONCURRENT, EXACTLY_ONCE, HOLDING, ORDER_KEY, Verdict
from tests.faults import Subject

_PATIENCE = 150.0


@attrs.frozen
class Sabotage:
    """Say what is spoilt in which modes, and what the books call it."""

    modes: tuple[str, ...]
    seen: str
    patch: str
    """Runs before the process does; `met` is a path. Where it uses it, the process is killed once that is there."""


SABOTAGES = {
    "committed before it is handled": Sabotage(
        (AT_LEAST_ONCE,),
        "lost",
        """
        import time
        from confluent_kafka import TopicPartition
        from lockgate.runtime.intake import Intake

        take = Intake.take

        def commit_first(self, *given, **named):
            batch = take(self, *given, **named)
            taken = {(one.topic(), one.partition()): one.offset() + 1 for one in batch if one.error() is None}
            if taken:
                places = [TopicPartition(*place, offset) for place, offset in taken.items()]
                self.consumer.commit(offsets=places, asynchronous=False)
                if not met.exists():
                    met.touch()
                    time.sleep(60)  # until the kill
            return batch

        Intake.take = commit_first
        """,
    ),
    "results claimed and not sent": Sabotage(
        (AT_LEAST_ONCE, EXACTLY_ONCE, ORDER_KEY, CONCURRENT, HOLDING),
        "lost",
        """
        from lockgate.runtime.publisher import Publisher

        results = Publisher.results

        def claim(self, progress, record, attempt, events):
            results(self, progress, record, attempt, [] if record.offset % 20 == 4 else events)

        Publisher.results = claim
        """,
    ),
    "results sent twice": Sabotage(
        (EXACTLY_ONCE,),
        "duplicated",
        """
        from lockgate.runtime.publisher import Publisher

        results = Publisher.results

        def twice(self, progress, record, attempt, events):
            results(self, progress, record, attempt, [*events, *events] if record.offset % 20 == 4 else events)

        Publisher.results = twice
        """,
    ),
    "letters that hold nothing": Sabotage(
        (HOLDING,),
        "disordered",
        """
        from lockgate.contracts.model import Workload

        Workload.holds = property(lambda self: False)
        """,
    ),
    "keys that wait for nobody": Sabotage(
        (ORDER_KEY,),
        "disordered",
        """
        from lockgate.contracts.model import Workload

        Workload.parks = property(lambda self: False)
        """,
    ),
    "retries that do not wait": Sabotage(
        (AT_LEAST_ONCE, EXACTLY_ONCE, ORDER_KEY, CONCURRENT, HOLDING),
        "early",
        """
        from lockgate.runtime.intake import Intake

        now = Intake.now
        Intake.now = lambda self: now(self) + 3_600_000
        """,
    ),
}


def sabotaged(subject: Subject, name: str, count: int) -> Verdict:
    """Spoil a process, and another one after it where the first has to be killed; return what came of a load."""
    load, folder = f"sabotage-{secrets.token_hex(3)}", subject.world.root / f"spoilt-{secrets.token_hex(3)}"
    folder.mkdir()
    patch, met = SABOTAGES[name].patch, folder / "met"
    head = "import sys\nif 'lockgate' in sys.orig_argv and 'run' in sys.orig_argv:\n"
    head += f"    from pathlib import Path\n    met = Path({str(met)!r})\n"
    body = textwrap.indent(textwrap.dedent(patch).strip(), "    ")
    (folder / "sitecustomize.py").write_text(f"{head}{body}\n", encoding="utf-8")
    environ = {"PYTHONPATH": str(folder)}
    subject.write(load, count)
    if "met." in patch:
        with subject.running(environ=environ) as victim:
            victim.until(met.exists, "the moment of the kill", _PATIENCE)
            victim.process.kill()
    with subject.running(environ=environ) as running:
        subject.settle(running)
        running.stop()
    return subject.verdict(load, count)

"""The books are worth something only if they do not balance when the runtime loses records: so it is made to."""

from __future__ import annotations

import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from lockgate.demo.run import Run
from tests.worlds import SharedStack, eventually


def sabotaged(stack: SharedStack, folder: Path, patch: str) -> Run:
    """Return a run whose services patch the runtime before they start: Python imports `sitecustomize` by itself."""
    code = folder / "sabotage"
    code.mkdir()
    head = "import sys\nif 'lockgate' in sys.orig_argv and 'run' in sys.orig_argv:\n"
    body = textwrap.indent(textwrap.dedent(patch).strip(), "    ")
    (code / "sitecustomize.py").write_text(f"{head}{body}\n", encoding="utf-8")
    return Run(stack.contracts, folder, stack.environ | {"PYTHONPATH": str(code)})


@pytest.fixture
def clean(stack: SharedStack, tmp_path: Path) -> None:
    """Leave no backlog from an earlier test: these runs stop before everything is finished."""
    run = Run(stack.contracts, tmp_path / "clean", stack.environ)
    with run.services:
        run.settle()


@pytest.mark.usefixtures("clean")
def test_records_that_are_dropped_and_letters_and_results_that_are_only_claimed_are_found(
    stack: SharedStack, tmp_path: Path
) -> None:
    run = sabotaged(
        stack,
        tmp_path,
        """
        from lockgate.ids import derived_event_id
        from lockgate.runtime.publisher import Publisher

        send_letter, publish = Publisher.letter, Publisher.results

        def letter(self, progress, record, attempt, failure):
            if self._workload == "orders-service":
                return  # dropped: its offset is committed all the same
            if self._workload == "payments-service":
                self._ticket(progress, record, "dead-lettered", attempt, failure)  # claimed, and never sent
                return
            send_letter(self, progress, record, attempt, failure)

        def results(self, progress, record, attempt, events):
            if self._workload != "shipping-service.payments":
                return publish(self, progress, record, attempt, events)
            ticket = self._ticket(progress, record, "handled", attempt)  # claimed, and never sent
            for position, event in enumerate(events):
                ident = derived_event_id(record.event_id, self._workload, position)
                ticket.results.append((event.topic, event.event_type, ident))

        Publisher.letter, Publisher.results = letter, results
        """,
    )
    with run.services as services:
        poison = run.poison()
        load = run.load(40)
        run.settle()
        services.stop()
    report = run.report(1.0, load, poison)
    lost = {workload: count["lost"] for (_, workload), count in report.balance.by_reader.items() if count["lost"]}
    of_poison = {
        reader: sum(each.topic == topic and each.is_poison_to(stack.contracts.workload(reader)) for each in poison)
        for topic, reader in (("orders", "orders-service"), ("payments", "payments-service"))
    }
    assert lost == of_poison
    assert any("a journal says dead-lettered, but no letter lies there" in each for each in report.balance.missing)
    assert any("no process has an outcome for it" in each for each in report.balance.missing)
    assert report.poison.wrong
    assert report.matches.missing
    assert not report.holds


@pytest.mark.usefixtures("clean")
def test_a_commit_before_the_acknowledgement_is_found_by_a_kill(stack: SharedStack, tmp_path: Path) -> None:
    armed, met = tmp_path / "armed", tmp_path / "met"
    armed.touch()
    run = sabotaged(
        stack,
        tmp_path,
        f"""
        import time
        from pathlib import Path
        from lockgate.runtime.offsets import Progress
        from lockgate.runtime.settlement import AtLeastOnce

        armed, met = Path({str(armed)!r}), Path({str(met)!r})
        settle = AtLeastOnce.settle

        def commit_first(self):
            self.commits.last()
            # what goes to a retry topic may be there by now, and is handled all the same
            final = [one for one in self._outcomes._publisher._open if one.outcome == "handled"]
            early = any(one.progress.is_committed(one.record.offset) for one in final)
            if early and self._outcomes._workload.name == "payments-service.orders" and armed.exists():
                met.touch()
                time.sleep(60)  # until the kill
            settle(self)

        Progress.hold = lambda self, offset: None
        AtLeastOnce.settle = commit_first
        """,
    )
    with ThreadPoolExecutor(1) as pool, run.services as services:
        loading = pool.submit(run.load, 200, 40)
        eventually(met.exists, "records that are handled and committed, and not settled")
        family = psutil.Process(services.pid("payments-service"))
        for process in [*family.children(recursive=True), family]:
            process.kill()
        armed.unlink()
        services.forget("payments-service")
        services.start("payments-service", label="payments-service-again")
        load = loading.result()
        run.settle()
        services.stop()
    report = run.report(1.0, load)
    assert report.balance.lost > 0
    assert not report.holds

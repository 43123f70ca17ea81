"""A process that is killed at the most telling boundaries of the record path, on the real cluster.

`scripts/faults` kills at all of them; here are those where a mistake in the order of things shows at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.books import AT_LEAST_ONCE, EXACTLY_ONCE, Verdict
from tests.faults import Subject
from tests.kills import crash
from tests.worlds import SharedStack

TELLING = {
    AT_LEAST_ONCE: ("acknowledged", "left"),
    EXACTLY_ONCE: ("offsets", "offsets-sent"),
}


def test_a_kill_at_a_telling_boundary_breaks_no_guarantee(stack: SharedStack, tmp_path: Path) -> None:
    def verdicts(mode: str) -> list[Verdict]:
        subject = Subject(stack, tmp_path / mode.replace(" ", "-"), mode)
        return [crash(subject, point, nth=25, count=90) for point in TELLING[mode]]

    with ThreadPoolExecutor() as pool:  # most of the time is the brokers' patience with the dead
        found = dict(zip(TELLING, pool.map(verdicts, TELLING), strict=True))
    assert [verdict.broken(mode) for mode, each in found.items() for verdict in each] == [[]] * 4, found
    assert found[AT_LEAST_ONCE][0].duplicated, "what was acknowledged and not committed comes again: the kill came true"

"""Tests run beside each other on one cluster; one that breaks it has it for itself."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.sessions import Session, cost_of, scope_of, workers

ROOT = Path(__file__).resolve().parents[2]


class Item:
    """Stands in for a test: its file, and whether it is marked."""

    def __init__(self, path: str, *marks: str) -> None:
        self.path = ROOT / "tests" / path
        self.nodeid = f"tests/{path}::test_it"
        self._marks = marks

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self._marks else None


def item(path: str, *marks: str) -> Any:
    return Item(path, *marks)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(ROOT, tmp_path)


@pytest.mark.parametrize("first", [(), ("alone",)])
@pytest.mark.parametrize("second", [(), ("alone",)])
def test_only_those_that_are_not_marked_run_at_the_same_time(
    session: Session, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    begun, over = threading.Event(), threading.Event()

    def run() -> None:
        with Session(session.root, session.folder).turn_of(item("integration/test_b.py", *second)):
            begun.set()
        over.set()

    other = threading.Thread(target=run)
    with session.turn_of(item("integration/test_a.py", *first)):
        other.start()
        together = begun.wait(0.3)
    assert over.wait(10)
    other.join()
    assert together == (not first and not second)


def test_a_turn_ends_with_a_test_that_fails(session: Session) -> None:
    with pytest.raises(ZeroDivisionError), session.turn_of(item("integration/test_a.py", "alone")):
        raise ZeroDivisionError
    with session.turn_of(item("integration/test_a.py", "alone")):
        pass


def test_nodes_may_be_stopped_in_a_turn_of_ones_own_alone(session: Session) -> None:
    with ExitStack() as stack:
        stack.enter_context(session.turn_of(item("integration/test_a.py")))
        assert not session.may_break()
    with session.turn_of(item("integration/test_a.py", "alone")):
        assert session.may_break()
    assert not session.may_break()


def test_a_file_is_run_by_one_process_and_so_are_whole_programs_and_what_runs_alone() -> None:
    assert scope_of(item("integration/test_a.py"), ROOT) == "tests/integration/test_a.py"
    assert scope_of(item("acceptance/test_a.py"), ROOT) == scope_of(item("acceptance/test_b.py"), ROOT)
    marked = {scope_of(item(path, "alone"), ROOT) for path in ("integration/test_a.py", "acceptance/test_b.py")}
    assert len(marked) == 1


def test_what_is_cheap_comes_first_and_what_stops_everybody_else_last() -> None:
    tests = [
        item("integration/test_a.py", "alone"),
        item("integration/test_a.py"),
        item("acceptance/test_a.py"),
        item("typing/test_a.py"),
    ]
    assert sorted(tests, key=lambda test: cost_of(test, ROOT)) == tests[::-1]


def test_one_file_is_run_in_one_process_and_folders_in_several(tmp_path: Path) -> None:
    file = tmp_path / "test_a.py"
    assert workers([str(file)], 2) == workers([f"{file}::test_it"], 2) == 0
    assert workers([str(tmp_path)], 2) == workers([str(file), str(file)], 2) == 3
    assert workers([str(tmp_path)], 64) == 4


def test_the_scopes_are_told_by_name(session: Session) -> None:
    session.write_scopes([item("unit/test_a.py"), item("acceptance/test_a.py")])
    assert session.read_scopes() == {
        "tests/unit/test_a.py::test_it": "tests/unit/test_a.py",
        "tests/acceptance/test_a.py::test_it": "acceptance",
    }

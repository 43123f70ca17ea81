"""A call that does not come back holds up neither its caller nor the end of the process."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

from lockgate.runtime.calls import Calls, Overdue
from tests.worlds import eventually


class Client:
    """Something that a call holds."""

    def answer(self) -> None:
        pass


def threads() -> int:
    return sum(thread.name == "calls" for thread in threading.enumerate())


def test_a_call_is_made_in_one_thread_that_is_not_the_callers() -> None:
    calls, seen = Calls(), []
    for _ in range(3):
        calls.make(lambda: seen.append(threading.get_ident()), 5)
    assert len(seen) == 3
    assert len(set(seen) - {threading.get_ident()}) == 1


def test_what_a_call_raises_is_raised_and_the_next_one_is_made() -> None:
    calls = Calls()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        calls.make(fail, 5)
    calls.make(lambda: None, 5)


def test_a_call_that_hangs_is_left_and_its_late_answer_is_nobodys() -> None:
    calls, back = Calls(), threading.Event()

    def late() -> None:
        back.wait()
        raise ValueError("late")

    began = time.monotonic()
    with pytest.raises(Overdue):
        calls.make(late, 0.05)
    assert time.monotonic() - began < 5
    back.set()
    for _ in range(10):
        calls.make(lambda: None, 5)


def test_a_caller_that_is_interrupted_takes_no_answer_of_that_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, back = Calls(), threading.Event()

    class Interrupted:
        def get(self, timeout: float) -> None:  # noqa: ARG002  # as the queue's own
            raise KeyboardInterrupt

    calls.make(lambda: None, 5)
    assert calls._hand is not None
    monkeypatch.setattr(calls._hand, "answers", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        calls.make(back.wait, 5)  # type: ignore[arg-type]  # what it returns is nobody's
    back.set()
    calls.make(lambda: None, 5)


def test_nothing_is_kept_of_a_call_that_has_come_back() -> None:
    calls, client = Calls(), Client()
    calls.make(client.answer, 5)
    gone = weakref.ref(client)
    del client
    assert gone() is None


def test_a_thread_ends_with_its_owner_and_one_that_hung_when_its_call_comes_back() -> None:
    gc.collect()  # owners of other tests
    eventually(lambda: not threads(), "the end of other tests' threads")
    calls, back, client = Calls(), threading.Event(), Client()

    def hang(held: Client = client) -> None:
        back.wait()
        held.answer()

    gone = weakref.ref(client)
    del client
    with pytest.raises(Overdue):
        calls.make(hang, 0.01)
    hang.__defaults__ = None
    calls.make(lambda: None, 5)
    assert threads() == 2
    back.set()
    eventually(lambda: threads() == 1, "the end of the thread that hung")
    del calls, hang
    eventually(lambda: not threads() and gone() is None, "the end of the other one")


def test_a_process_ends_although_a_call_hangs() -> None:
    program = """
    import threading
    from lockgate.runtime.calls import Calls, Overdue
    try:
        Calls().make(threading.Event().wait, 0.05)
    except Overdue:
        print("overdue")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == ("overdue\n", "", 0)

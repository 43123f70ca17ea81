"""One test session in several processes: who holds the cluster, who may break it, and what runs beside what."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:  # unit tests import neither a Kafka client nor the local stack
    from lockgate.local.guard import Guard
    from tests.worlds import SharedStack

WITHOUT_CLUSTER = ("unit", "typing")
ALONE = "alone"
_MOST_WORKERS = 4


def workers(arguments: Sequence[str], cores: int) -> int:
    """Return how many processes a run is worth: one for a file or a test, and one more than cores for many files.

    A test of the cluster waits for most of its time. Beyond four the one cluster that all share is what they wait for.
    """
    if len(arguments) == 1 and not Path(arguments[0]).is_dir():
        return 0
    return min(cores + 1, _MOST_WORKERS)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folder_of(item: pytest.Item, root: Path) -> str:
    """Return which folder of `tests/` a test is in."""
    return item.path.relative_to(root / "tests").parts[0]


def is_alone(item: pytest.Item) -> bool:
    """Return whether a test must have the cluster for itself."""
    return item.get_closest_marker(ALONE) is not None


def scope_of(item: pytest.Item, root: Path) -> str:
    """Return the name of what one process runs in one go: mostly a file, whose tests may share a world.

    Whole programs share the shipped world, whose groups can be run by one test at a time.
    """
    if is_alone(item):
        return ALONE
    folder = folder_of(item, root)
    return folder if folder == "acceptance" else item.nodeid.partition("::")[0]


def cost_of(item: pytest.Item, root: Path) -> int:
    """Return when a test's turn is: what is cheap first, then the longest scope of all, and at last what runs alone."""
    folder = folder_of(item, root)
    if folder in WITHOUT_CLUSTER:
        return 0
    return 3 if is_alone(item) else 1 if folder == "acceptance" else 2


class Session:
    """Hold what the processes of one session share: a folder with locks, and the cluster's state.

    The main process makes it, guards the cluster, and takes it down at the end, whatever became of the workers; the
    first test that needs the cluster starts it.
    """

    def __init__(self, root: Path, folder: Path, home: Path | None = None) -> None:
        self.root, self.folder = root, folder
        self.reused = home is not None
        """Whether the cluster outlives the session."""
        self.home = home or folder / "home"
        self._broken_by: str | None = None
        self._guard: Guard | None = None

    @classmethod
    def begin(cls, root: Path) -> Session:
        """Begin one, in the main process; `LOCKGATE_TEST_HOME` reuses a cluster that is up."""
        home = os.environ.get("LOCKGATE_TEST_HOME")
        return cls(root, Path(tempfile.mkdtemp(prefix="lockgate-tests-")), Path(home).absolute() if home else None)

    # In every process

    @contextmanager
    def turn_of(self, item: pytest.Item) -> Iterator[None]:
        """Run a test beside others, or while no other one runs."""
        exclusively = is_alone(item)
        with (self.folder / "turn").open("w") as handle:  # closed, and so released, however the process ends
            fcntl.flock(handle, fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH)
            self._broken_by = item.nodeid if exclusively else None
            try:
                yield
            finally:
                self._broken_by = None
                fcntl.flock(handle, fcntl.LOCK_UN)  # a child that was forked may hold it still

    def may_break(self) -> bool:
        """Return whether the test that runs now has the cluster for itself."""
        return self._broken_by is not None

    def stack(self) -> SharedStack:
        """Return the running cluster with the shipped contracts applied; the first to ask starts it."""
        from tests.worlds import SharedStack

        shared = SharedStack(self.root, self.home, self.may_break)
        with (self.folder / "stack").open("a+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _text(handle):
                shared.up()
                handle.write("up")
        return shared

    # In the main process

    def guard(self) -> None:
        """Have the cluster ended should this process vanish."""
        if not self.reused and self._guard is None:
            from lockgate.local.guard import Guard

            self._guard = Guard([self.home])

    def end(self) -> None:
        """Take the cluster down, if this session has started it, and leave nothing behind."""
        try:
            if self._guard is not None:
                if self.home.exists():
                    from tests.worlds import SharedStack

                    _end_strays(self.home)
                    SharedStack(self.root, self.home).down()
                self._guard.release()
        except BaseException:
            if self._guard is not None:
                self._guard.abandon()  # it ends what is left
            raise
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    # Scopes: workers know the tests, and the main process gets only their names

    def write_scopes(self, items: Sequence[pytest.Item]) -> None:
        """Tell the main process which tests one process runs in one go."""
        text = json.dumps({item.nodeid: scope_of(item, self.root) for item in items})
        with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
            file.write(text)
        Path(file.name).replace(self.folder / "scopes.json")

    def read_scopes(self) -> Mapping[str, str]:
        """Return the scope of each test, by its name."""
        found: dict[str, str] = json.loads((self.folder / "scopes.json").read_text(encoding="utf-8"))
        return found


def _text(handle: IO[str]) -> str:
    handle.seek(0)
    return handle.read()


def _end_strays(home: Path) -> None:
    """End what tests have started on this cluster and could not end themselves, because their worker was killed."""
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("LOCKGATE_HOME") == str(home):
                process.kill()


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no type information
    """Give each process one scope after the other, in the order of their tests."""

    def __init__(self, config: pytest.Config, log: object, session: Session) -> None:
        super().__init__(config, log)
        self._session = session
        self._scopes: Mapping[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        if not self._scopes:
            self._scopes = self._session.read_scopes()
        return self._scopes[nodeid]

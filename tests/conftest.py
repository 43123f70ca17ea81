"""What all tests share: one real cluster for the whole session, and small worlds of their own on it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions import WITHOUT_CLUSTER, Scheduler, Session, cores, cost_of, workers

if TYPE_CHECKING:  # the unit tests import neither a Kafka client nor the local stack
    from tests.worlds import SharedStack, World

ROOT = Path(__file__).resolve().parents[1]
SESSION = pytest.StashKey[Session]()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run in several processes where that is worth it and nobody has said otherwise: `-n 0`, `--pdb`, `-p no:xdist`."""
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return
    option.loadscopereorder = False  # scopes are in the order of `pytest_collection_modifyitems`
    asked = option.numprocesses is not None or option.tx or option.dist != "no"
    if not asked and not option.usepdb and not option.collectonly and option.capture != "no":
        option.numprocesses = workers(config.args, cores())


def pytest_configure(config: pytest.Config) -> None:
    workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
    if workerinput is None:
        config.stash[SESSION] = Session.begin(ROOT)
    else:
        home = workerinput["lockgate_home"]
        config.stash[SESSION] = Session(ROOT, Path(workerinput["lockgate_folder"]), home and Path(home))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    session = node.config.stash[SESSION]
    node.workerinput["lockgate_folder"] = str(session.folder)
    node.workerinput["lockgate_home"] = str(session.home) if session.reused else ""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduler:
    return Scheduler(config, log, config.stash[SESSION])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    free = tuple(f"tests/{folder}/" for folder in WITHOUT_CLUSTER)
    if not all(name.startswith(free) for name in ids):
        node.config.stash[SESSION].guard()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is cheap first: a broken unit is reported before a cluster is started for it."""
    items.sort(key=lambda item: cost_of(item, ROOT))


@pytest.hookimpl(tryfirst=True)  # before xdist tells the main process, which then reads the scopes
def pytest_collection_finish(session: pytest.Session) -> None:
    shared = session.config.stash[SESSION]
    if hasattr(session.config, "workerinput"):
        shared.write_scopes(session.items)
    elif any(cost_of(item, ROOT) for item in session.items):
        shared.guard()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around the timeout's own: waiting for a turn does not count
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with item.config.stash[SESSION].turn_of(item):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[SESSION].end()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> SharedStack:
    """Return the running stack with the shipped contracts applied; `LOCKGATE_TEST_HOME` reuses one that is up."""
    return request.config.stash[SESSION].stack()


@pytest.fixture
def world(stack: SharedStack, tmp_path: Path) -> World:
    """Return a project of its own, with names that no other test uses, applied to the shared cluster."""
    from tests.worlds import make_world

    return make_world(stack, tmp_path)

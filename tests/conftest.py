"""What all tests share: one real cluster for the whole session, and small worlds of their own on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the unit tests import neither a Kafka client nor the local stack
    from tests.worlds import SharedStack, World

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is cheap first: a broken unit is reported before a cluster is started for it."""
    cost = {"unit": 0, "typing": 0, "integration": 1, "acceptance": 2}
    items.sort(key=lambda item: cost.get(item.path.relative_to(ROOT / "tests").parts[0], 1))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedStack]:
    """Return the running stack with the shipped contracts applied; `LOCKGATE_TEST_HOME` reuses one that is up."""
    from tests.worlds import SharedStack

    reused = os.environ.get("LOCKGATE_TEST_HOME")
    home = Path(reused) if reused else tmp_path_factory.mktemp("stack") / "home"
    shared = SharedStack(ROOT, home)
    if reused:
        shared.up()
        yield shared
        return
    with shared.local.guarded():  # nothing stays behind, even if this process is killed
        try:
            shared.up()
            yield shared
        finally:
            shared.down()


@pytest.fixture
def world(stack: SharedStack, tmp_path: Path) -> World:
    """Return a project of its own, with names that no other test uses, applied to the shared cluster."""
    from tests.worlds import make_world

    return make_world(stack, tmp_path)

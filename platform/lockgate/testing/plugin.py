"""The pytest plugin: the fixture `kit`, made when a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lockgate.testing.kit import Kit


@pytest.fixture
def kit(request: pytest.FixtureRequest) -> Kit:
    """Return a kit of the project that the test's file lies in: nothing sent, nothing read, its clock standing."""
    from lockgate.runtime.project import root_above
    from lockgate.testing.kit import Kit

    return Kit(root_above(request.path.parent))

"""Fixtures of more than one module."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import structlog

from lockgate.runtime import logs
from tests.model.threads import replaced


@pytest.fixture
def model() -> Iterator[None]:
    """Let loops say nothing, and run them without threads and without time."""
    before = structlog.get_config()
    logs.configure(io.StringIO(), {"LOCKGATE_LOG_LEVEL": "error", "LOCKGATE_LOG_FORMAT": "text"})
    with pytest.MonkeyPatch.context() as patch:
        replaced(patch)
        yield
    structlog.configure(**before)

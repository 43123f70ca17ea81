"""What each child of a service is given."""

from __future__ import annotations

import pytest

from lockgate.errors import SettingsError
from lockgate.runtime.supervisor import _ports


def test_children_have_ports_that_follow_one_another() -> None:
    assert list(_ports(9464, 3)) == [9464, 9465, 9466]


def test_any_port_that_is_free_is_any_for_each() -> None:
    assert list(_ports(0, 2)) == [0, 0]


def test_without_a_port_none_is_given() -> None:
    assert list(_ports(None, 2)) == []


def test_ports_that_do_not_exist_are_refused_before_anything_is_started() -> None:
    with pytest.raises(SettingsError, match="there are no 2 ports"):
        _ports(65535, 2)

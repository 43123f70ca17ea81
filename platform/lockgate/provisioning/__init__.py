"""Provisioning: topics, users, rights, subjects and credentials files made to be what the contracts ask for."""

from __future__ import annotations

from lockgate.provisioning.apply import apply
from lockgate.provisioning.plan import Plan, make_plan

__all__ = ["Plan", "apply", "make_plan"]

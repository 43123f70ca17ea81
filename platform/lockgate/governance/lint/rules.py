"""All rules, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lockgate.governance.lint import attributes, documentation, evolution, meanings, names, unions
from lockgate.governance.lint.rule import Rule

__all__ = ["BY_ID", "OWN", "RULES", "as_markdown"]

RULES: Final[tuple[Rule, ...]] = (
    *names.RULES,
    *documentation.RULES,
    *meanings.RULES,
    *unions.RULES,
    *attributes.RULES,
    *evolution.RULES,
)

OWN: Final[tuple[Rule, ...]] = (
    Rule(
        "exemption-unknown",
        "error",
        "An exemption names a rule that there is, and a type that the domain has.",
        "correct the name of the rule or the type, or remove the exemption",
    ),
    Rule(
        "exemption-unneeded",
        "error",
        "An exemption is needed: what it allowed is gone, and it would allow the next mistake.",
        "remove it from `lint.exempt`",
    ),
)
"""What lint says about exemptions; nothing turns these off."""

BY_ID: Final[Mapping[str, Rule]] = {rule.id: rule for rule in (*RULES, *OWN)}


def as_markdown() -> str:
    """Return the table of docs/lint.md."""
    rows = [f"| `{rule.id}` | {rule.severity} | {rule.sentence} | {rule.fix} |" for rule in (*RULES, *OWN)]
    return "\n".join(["| rule | severity | what it asks for | usual fix |", "| --- | --- | --- | --- |", *rows]) + "\n"

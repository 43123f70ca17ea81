"""Rules about documentation: a contract is read by people who cannot ask its author."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lockgate.governance.lint.parts import NAMED, Part, words
from lockgate.governance.lint.rule import Hit, Rule
from lockgate.governance.lint.sources import DomainSource, SchemaSource

__all__ = ["RULES"]

_REACHABLE = re.compile(r"@[\w./-]+|#[\w-]+|[^@\s]+@[^@\s]+\.[^@\s]+|https?://\S+|\+?[0-9][0-9 ()/-]{5,}")
_FILLER = {"a", "an", "field", "of", "the", "this", "type", "value"}


def _types(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind(*NAMED):
        if not _doc(part):
            yield Hit(part.pointer, f"the {part.kind} {part.label} has no doc")


def _fields(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("field"):
        if not _doc(part):
            yield Hit(part.pointer, f"the field {part.label} has no doc")


def _echoes(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("field", *NAMED):
        said = set(re.findall(r"\w+", _doc(part).lower()))
        name = set(words(part.name.rpartition(".")[2]))
        if said and said - _FILLER == name - _FILLER:
            yield Hit(f"{part.pointer}/doc", f"the doc of {part.label} only repeats its name")


def _doc(part: Part) -> str:
    doc: str = part.node.get("doc", "")
    return doc.strip()


def _contacts(source: DomainSource) -> Iterator[Hit]:
    contact = source.contract.owner.contact
    if not _REACHABLE.search(contact):
        yield Hit("/owner/contact", f"nobody can be reached at {contact!r}")


RULES = (
    Rule(
        "doc-type",
        "error",
        "Every type says in `doc` what it stands for, an event what has happened.",
        'add "doc": one sentence',
        schema=_types,
    ),
    Rule(
        "doc-field",
        "error",
        "Every field says in `doc` what it holds: unit, format, who assigns it, when it is missing.",
        'add "doc": what the type and the name do not say',
        schema=_fields,
    ),
    Rule(
        "doc-echo",
        "warning",
        "A `doc` says more than the name does.",
        "say unit, format or origin, or what the value is for",
        schema=_echoes,
    ),
    Rule(
        "owner-reachable",
        "warning",
        "A domain's contact is a handle, a channel, an address or a link: somebody has to be reached at night.",
        "write @team, #channel, an e-mail address, a URL or a telephone number",
        domain=_contacts,
    ),
)

"""The text of one generated module: an enum class an Avro enum, a frozen attrs class a record."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from lockgate.avro.defaults import default_datum
from lockgate.avro.types import Enum, Field, Record, walk
from lockgate.errors import SchemaError
from lockgate.governance import identifiers
from lockgate.governance.expressions import Expressions, text

__all__ = ["module_text"]


def module_text(namespace: str, types: Iterable[Record | Enum], package: str = "schemas") -> str:
    """Return the module of a namespace, the same text for the same types; it is to lie in `package`.

    Raise SchemaError for two types whose classes would have one name.
    """
    named = sorted(types, key=lambda type_: type_.name)
    enums = [type_ for type_ in named if isinstance(type_, Enum)]
    records = [type_ for type_ in named if isinstance(type_, Record)]
    used = {
        inner.name.rpartition(".")[0]
        for record in records
        for inner in walk(record)
        if isinstance(inner, Record | Enum)
    }
    exported = sorted(identifiers.class_name(_short(type_)) for type_ in named)
    _refuse_twins(namespace, exported)
    expressions = Expressions(package, namespace, frozenset({*exported, *used}))
    expressions.imports.add("from __future__ import annotations")
    classes = [_enum(enum) for enum in enums] + [_record(record, expressions) for record in records]
    if enums:
        expressions.imports.add("import enum")
    if records:
        expressions.imports |= {
            "import attrs",
            "from collections.abc import Mapping",
            "from typing import Any",
            "from typing import ClassVar",
            "from typing import Self",
        }
    lines = [
        f'"""The types of `{namespace}`, generated from the contracts by `lockgate schemas codegen`; do not edit."""',
        "",
        "# ruff: noqa",
        "# fmt: off",
        "",
        *_import_lines(expressions.imports, package),
        "",
        "__all__ = [",
        *(f"    {text(name)}," for name in exported),
        "]",
    ]
    for block in [*classes, *expressions.functions.values()]:
        lines += ["", "", *block]
    return "\n".join(lines) + "\n"


def _refuse_twins(namespace: str, exported: Sequence[str]) -> None:
    for name, after in itertools.pairwise(exported):
        if name == after:
            raise SchemaError(
                f"two types of {namespace} would have classes called {name}",
                next_step="rename the one whose name Python cannot have",
            )


def _short(type_: Record | Enum) -> str:
    return type_.name.rpartition(".")[2]


def _import_lines(imports: set[str], package: str) -> list[str]:
    """Return import lines in isort's order: future, standard library, third party, own; names of a module together."""
    plain = sorted(line for line in imports if line.startswith("import ") and line != "import attrs")
    names: dict[str, list[str]] = {}
    for line in sorted(imports):
        if line.startswith("from "):
            module, _, name = line.removeprefix("from ").partition(" import ")
            names.setdefault(module, []).append(name)
    froms = {module: f"from {module} import {', '.join(sorted(found))}" for module, found in names.items()}
    groups = [
        [froms.pop("__future__")],
        plain + [froms[module] for module in sorted(froms) if module != package],
        ["import attrs"] if "import attrs" in imports else [],
        [froms[package]] if package in froms else [],
    ]
    return [line for group in groups if group for line in ["", *group]][1:]


def _doc(doc: str, otherwise: str, indent: str = "    ") -> list[str]:
    safe = (doc.strip() or otherwise).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    safe = "".join(character if character.isprintable() or character.isspace() else "\ufffd" for character in safe)
    if safe.endswith('"'):
        safe = safe[:-1] + '\\"'
    first, *rest = safe.splitlines() or [""]
    if not rest:
        return [f'{indent}"""{first}"""']
    return [f'{indent}"""{first}', *(f"{indent}{line.strip()}".rstrip() for line in rest), f'{indent}"""']


def _enum(enum: Enum) -> list[str]:
    members = identifiers.member_names(enum.symbols)
    return [
        f"class {identifiers.class_name(_short(enum))}(enum.StrEnum):",
        *_doc(enum.doc, f"The Avro enum `{enum.name}`."),
        "",
        *(f"    {members[symbol]} = {text(symbol)}" for symbol in enum.symbols),
    ]


def _record(record: Record, expressions: Expressions) -> list[str]:
    fields = identifiers.field_names([field.name for field in record.fields], expressions.names_in_use)
    lines = [
        "@attrs.frozen(kw_only=True)",
        f"class {identifiers.class_name(_short(record))}:",
        *_doc(record.doc, f"The Avro record `{record.name}`."),
        "",
        f"    __avro_name__: ClassVar[str] = {text(record.name)}",
        "",
    ]
    for field in record.fields:
        lines.append(f"    {fields[field.name]}: {expressions.annotation(field.type)}{_default(field, expressions)}")
        if field.doc.strip():
            lines += _doc(field.doc, "")
    to_avro, from_avro = [], []
    for field in record.fields:
        where, name = f"{_short(record)}_{field.name}", fields[field.name]
        to_avro.append(f"            {text(field.name)}: {expressions.to_avro(field.type, f'self.{name}', where)},")
        from_avro.append(
            f"            {name}={expressions.from_avro(field.type, f'datum[{text(field.name)}]', where)},"
        )
    lines += ["", "    def to_avro(self) -> dict[str, Any]:", '        """Return the datum that an encoder takes."""']
    lines += _call("        return {", to_avro, "        }")
    lines += ["", "    @classmethod", "    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:"]
    lines += ['        """Return the object that a decoder\'s datum stands for."""']
    lines += _call("        return cls(", from_avro, "        )")
    return lines


def _call(opening: str, parts: Sequence[str], closing: str) -> list[str]:
    return [opening, *parts, closing] if parts else [opening + closing.strip()]


def _default(field: Field, expressions: Expressions) -> str:
    if not field.has_default:
        return ""
    expression, fresh = expressions.default(field.type, default_datum(field.type, field.default))
    if not fresh:
        return f" = {expression}"
    if expression in ("[]", "{}"):
        return f" = attrs.field(factory={'list' if expression == '[]' else 'dict'})"
    return f" = attrs.field(factory=lambda: {expression})"

"""Contract files as text and as YAML nodes: bounded, UTF-8, without aliases."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from lockgate.contracts.report import Report

__all__ = ["MAX_BYTES", "compose", "read_text"]

MAX_BYTES: Final = 1_000_000
"""A contract is written by hand; what is larger is a mistake, or an attack on whoever parses it."""

_MAX_DEPTH = 20  # contracts need four
_TOO_DEEP = "is nested too deeply"

# 12,000 files take 0.9 s with libyaml and 15 s without; wheels of PyYAML carry it on every common platform.
_Loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path, file: str, report: Report) -> str | None:
    """Return a file's text, or None after reporting why it cannot be had; `file` is what messages call it."""
    try:
        with path.open("rb") as handle:
            content = handle.read(MAX_BYTES + 1)
    except OSError as error:
        report.add(file, 1, f"cannot be read: {error.strerror}")
        return None
    if len(content) > MAX_BYTES:
        report.add(file, 1, f"is larger than {MAX_BYTES:,} bytes", "contracts are small; remove what does not belong")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        report.add(file, line, f"is not UTF-8: byte 0x{content[error.start]:02x}", "save the file as UTF-8")
        return None


def compose(text: str, file: str, report: Report) -> yaml.MappingNode | None:
    """Return the mapping that a YAML file consists of, or None after reporting why there is none."""
    loader = None
    try:
        if not _is_plain(text, file, report):
            return None
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # at the end of a file libyaml points behind its last line
        line = 1 if mark is None else min(mark.line + 1, max(1, len(text.splitlines())))
        report.add(file, line, *_syntax_message(text, error, mark))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, _first_unprintable(text)) + 1
        character = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        report.add(file, line, f"holds the character U+{character:04X}, which YAML does not allow")
        return None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        report.add(file, 1, "is empty")
        return None
    if not isinstance(node, yaml.MappingNode):
        report.add(file, node.start_mark.line + 1, "expected fields, each as `name: value`")
        return None
    return node


def _is_plain(text: str, file: str, report: Report) -> bool:
    """Report aliases and anchors, which the node graph does not show, and nesting, on which the composer recurses.

    The composer is C code, without a limit before PyYAML 6.0.4: a hundred thousand brackets end the process there.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            report.add(file, line, _TOO_DEEP)
            return False
        anchor = getattr(event, "anchor", None)  # only events of nodes have one
        if anchor is not None:
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            message = f"`{mark}{anchor}`: YAML anchors and aliases are not accepted"
            report.add(file, line, message, "write the value out where it is used")
            return False
    return True


def _syntax_message(text: str, error: yaml.MarkedYAMLError, mark: yaml.Mark | None) -> tuple[str, str | None]:
    lines = text.split("\n")
    if mark is not None and mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        return "is not valid YAML: a tab stands where only spaces may", "indent with spaces"
    problem = error.problem or "it cannot be parsed"
    if "nesting depth" in problem:  # PyYAML 6.0.4's libyaml meets its own bound first
        return _TOO_DEEP, None
    context = f" {error.context}" if error.context else ""
    return f"is not valid YAML: {problem}{context}", None


def _first_unprintable(text: str) -> int:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    return found.start() if found else 0

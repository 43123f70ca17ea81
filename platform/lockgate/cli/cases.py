"""`lockgate schemas check --cases`: questions to the checker from a file, answers on standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from lockgate.avro.cases import answers, read_cases
from lockgate.cli.options import echo_json
from lockgate.errors import UsageError

__all__ = ["answer_cases"]


def answer_cases(file: str) -> None:
    """Print the answers to a file of cases, `-` for standard input; raise UsageError where it is none."""
    source = "standard input" if file == "-" else file
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} is not UTF-8: byte {error.start}") from error
    echo_json(answers(read_cases(text, source)))

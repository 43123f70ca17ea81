from __future__ import annotations
import attrs


@attrs.frozen
class StackStatus: ...


def examine(stack):
    return StackStatus()

"""Kill this very process at one boundary of the record path: what a process under test imports before it starts.

Production code knows nothing of it. `armed` writes a folder for PYTHONPATH; Python imports `sitecustomize` from there
by itself, and that arms one point of the copy of this module that lies beside it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

POINTS = {
    "fetched": "records were fetched, and none of them handled",
    "handled": "a handler has returned, and its result was not sent",
    "sent": "a result was sent, and its acknowledgement not seen",
    "acknowledged": "the brokers have the results, and the offsets were not committed",
    "committing": "the offsets are about to be committed",
    "committed": "the offsets were committed, and the answer not seen to",
    "offsets": "inside a transaction: the results are sent, the offsets are not",
    "offsets-sent": "inside a transaction: results and offsets are sent",
    "transaction": "the transaction is about to be committed",
    "transaction-committed": "the transaction was committed, and the answer not seen to",
    "revoked": "a rebalance takes partitions, and nothing was done about it",
    "left": "a rebalance takes partitions, and their offsets were committed",
    "released": "the release of a held key was read, and nothing of what it lets go was committed",
}
_ON_ITS_WAY = 0.2
"""Seconds in which the client's own threads send what was given to them."""


def armed(folder: Path, point: str, nth: int) -> Path:
    """Write what kills a process at a point, once, from its n-th record on; return the mark that it leaves."""
    folder.mkdir(parents=True)
    shutil.copy(__file__, folder / "crashes.py")
    mark = folder / "crashed"
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'lockgate' in sys.orig_argv and 'run' in sys.orig_argv:\n"
        "    from crashes import arm\n"
        f"    arm({point!r}, {nth}, {str(mark)!r})\n",
        encoding="utf-8",
    )
    return mark


def arm(point: str, nth: int, mark: str) -> None:
    """Patch this process: it ends at a point, from its n-th record on, unless the mark says that one did already."""
    from lockgate.runtime.channel import Channel
    from lockgate.runtime.commits import Commits
    from lockgate.runtime.intake import Intake
    from lockgate.runtime.outcomes import Outcomes
    from lockgate.runtime.parked import ParkedTopic
    from lockgate.runtime.settlement import AtLeastOnce, CutSettlement, ExactlyOnce
    from lockgate.runtime.transactions import Transactions

    seen, sent = 0, 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1

    def note_sent(*_: Any) -> None:
        nonlocal sent
        sent += 1

    def end(*_: Any) -> None:
        if seen < nth:
            return
        try:
            Path(mark).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def fetched(batch: list[Any], *_: Any) -> None:
        nonlocal seen
        seen += len(batch)
        if batch:
            end()

    def on_its_way(*_: Any) -> None:
        if seen >= nth:
            time.sleep(_ON_ITS_WAY)
            end()

    def flushed(*_: Any) -> None:
        nonlocal sent
        if sent:
            end()
        sent = 0

    def call_is(name: str) -> Callable[..., None]:
        def check(_: Any, call: Any, *__: Any) -> None:
            if call.__name__ == name:
                end()

        return check

    if point != "fetched":
        _before(Outcomes, "results", count)
        _before(Outcomes, "failed", count)
    match point:
        case "fetched":
            _after(Intake, "take", fetched)
        case "handled":
            _before(Outcomes, "results", end)
        case "sent":
            _after(Channel, "send", on_its_way)
        case "acknowledged":
            _before(Channel, "send", note_sent)
            _after(Channel, "flush", flushed)
        case "committing":
            _before(Commits, "_commit", end)
        case "committed":
            _after(Commits, "_commit", end)
        case "offsets":
            _before(Transactions, "_insist", call_is("send_offsets_to_transaction"))
        case "offsets-sent":
            _after(Transactions, "_insist", lambda _, *given: call_is("send_offsets_to_transaction")(*given))
        case "transaction":
            _before(Transactions, "_insist", call_is("commit_transaction"))
        case "transaction-committed":
            _after(Transactions, "_insist", lambda _, *given: call_is("commit_transaction")(*given))
        case "revoked":
            _before(Intake, "_on_revoke", end)
        case "left":
            for settlement in (AtLeastOnce, ExactlyOnce, CutSettlement):
                _after(settlement, "leave", end)
        case "released":
            _after(ParkedTopic, "_hear", lambda _, *given: end() if given[5].releases else None)
        case _:
            sys.exit(f"there is no point {point}")


def _before(owner: type, name: str, act: Callable[..., None]) -> None:
    plain = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        act(*given)
        return plain(*given, **named)

    setattr(owner, name, call)


def _after(owner: type, name: str, act: Callable[..., None]) -> None:
    plain = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        answer = plain(*given, **named)
        act(answer, *given)
        return answer

    setattr(owner, name, call)

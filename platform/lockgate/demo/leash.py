"""Run a module as a program that ends with its parent: `python -m lockgate.demo.leash PARENT MODULE ARGUMENT…`.

A load program is the world's own code and knows nothing of who started it; a demo that is killed must not leave it
behind.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time

__all__ = ["main"]

_POLL = 0.25
_ORPHANED = 2


def main() -> None:
    """Run the module; end at once, with exit code 2, when PARENT is no longer the parent."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL)
        os._exit(_ORPHANED)

    threading.Thread(target=watch, name="leash", daemon=True).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""Processes that work for this one: how they begin, and that they end with it."""

from __future__ import annotations

import os
import signal
import threading
import time


def serve(parent: int, niceness: int = 0) -> None:
    """In a process that another started to work for it: stand back by so much, leave Ctrl-C to the parent, of
    this process id, and end when that has ended, however that came."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""What all tables share: a median duration, a row of figures, and the machine's name."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

import numpy as np
import torch

Rows = list[tuple[str, float, str]]  # what, figure, unit


def milliseconds(call: Callable[[int], object], seconds: float) -> float:
    """The median duration of ``call(k)``, k = 0, 1, ..., after one call to warm up."""
    call(0)
    durations: list[float] = []
    while sum(durations) < seconds or len(durations) < 3:
        begin = time.perf_counter()
        call(len(durations))
        durations.append(time.perf_counter() - begin)
    return 1000 * float(np.median(durations))


def table(title: str, rows: Rows) -> str:
    """Markdown."""
    lines = [f"\n{title}", "| what | figure | |", "|---|---|---|"]
    for what, figure, unit in rows:
        digits = 0 if figure >= 1000 else 1 if figure >= 100 else 2
        lines.append(f"| {what} | {figure:,.{digits}f} | {unit} |")
    return "\n".join(lines)


def machine(threads: int) -> str:
    """Processor, cores, threads and versions in one line."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{_processor()}, {os.cpu_count()} cores, {threads} threads of torch, {gpu}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

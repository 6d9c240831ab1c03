"""What every worker on PyTorch's side measures of its own process: memory held, and the rate of a product."""

import time
from pathlib import Path

import torch


def status_mib(field):
    """A field of the process's status, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"measures.py: no {field} in /proc/self/status")


def restart_peak():
    """The highest value, VmHWM, begins anew at what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def product_gflops(n=1024):
    """GFLOP/s of a square product."""
    a, b = torch.rand(n, n), torch.rand(n, n)
    start = time.perf_counter()
    a @ b
    return 2 * n**3 / (time.perf_counter() - start) / 1e9

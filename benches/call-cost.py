"""The Python side of call-cost.mjs: reads `<case> <calls>` lines, answers nanoseconds per call."""
import sys
import time

import torch

torch.set_num_threads(1)
a = torch.ones(2, 2)
b = torch.full((2, 2), 2.0)
weight = torch.ones(2)
bias = torch.zeros(2)

CASES = {
    "add": lambda: a.add(b),
    "mul": lambda: a.mul(b),
    "add scalar": lambda: a.add(1),
    "transpose": lambda: a.transpose(0, 1),
    "view": lambda: a.view([4]),
    "matmul": lambda: a.matmul(b),
    "sum": lambda: a.sum(),
    "cat": lambda: torch.cat([a, b], 0),
    "layer_norm": lambda: torch.nn.functional.layer_norm(a, [2], weight, bias),
    "softmax": lambda: a.softmax(-1),
}


def measure(run, calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        run()
    return (time.perf_counter_ns() - start) / calls


print(f"torch {torch.__version__}, Python {sys.version.split()[0]}", flush=True)
for line in sys.stdin:
    name, calls = line.rstrip("\n").rsplit(" ", 1)
    print(measure(CASES[name], int(calls)), flush=True)

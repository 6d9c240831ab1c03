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
    "add": "a.add(b)",
    "mul": "a.mul(b)",
    "add scalar": "a.add(1)",
    "transpose": "a.transpose(0, 1)",
    "view": "a.view([4])",
    "matmul": "a.matmul(b)",
    "sum": "a.sum()",
    "cat": "cat([a, b], 0)",
    "layer_norm": "layer_norm(a, [2], weight, bias)",
    "softmax": "a.softmax(-1)",
}


def loop_over(expression):
    """The expression stands in the loop itself: a lambda would cost a call that is not the operator's."""
    names = {"a": a, "b": b, "weight": weight, "bias": bias, "cat": torch.cat}
    names["layer_norm"] = torch.nn.functional.layer_norm
    arguments = ", ".join(f"{name}={name}" for name in names)
    exec(f"def loop(calls, {arguments}):\n    for _ in range(calls):\n        {expression}", names)
    return names["loop"]


loops = {name: loop_over(expression) for name, expression in CASES.items()}
print(f"torch {torch.__version__}, Python {sys.version.split()[0]}", flush=True)
for line in sys.stdin:
    name, calls = line.rstrip("\n").rsplit(" ", 1)
    start = time.perf_counter_ns()
    loops[name](int(calls))
    print((time.perf_counter_ns() - start) / int(calls), flush=True)

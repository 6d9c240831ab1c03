"""PyTorch's side of benches/optimizer.mjs: answers one JSON line to each JSON line on standard input."""

import json
import sys
import time

import torch


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    parameters = []
    for i in range(job["tensors"]):
        angles = torch.arange(job["size"]).to(torch.float32) * 1e-3 + i
        parameters.append(angles.sin().requires_grad_(True))
        parameters[-1].grad = angles.cos() * 1e-2
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, **{job["way"]: True})
    source, target = (torch.zeros(2 * job["tensors"] * job["size"]) for _ in range(2))
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line)["do"], optimizer, parameters[0], source, target)), flush=True)


def answer(what, optimizer, first, source, target):
    start = time.perf_counter()
    if what == "step":
        optimizer.step()
        return {"ms": (time.perf_counter() - start) * 1e3}
    if what == "copy":
        target.copy_(source)
        return {"bytesPerSecond": 2 * 4 * source.numel() / (time.perf_counter() - start)}
    if what == "weights":
        return {"weights": first.detach()[:1000].tolist()}
    raise SystemExit(f"optimizer.py: expected step, copy or weights, received {what}")


main()

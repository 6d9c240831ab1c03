"""The Python side of peak-memory.mjs: the same training step, and how far it raises the process's peak."""
import json
import sys

import torch
import torch.nn.functional as F

layers, width, heads, batch, length, steps, scoped = json.loads(sys.argv[1]).values()
torch.set_num_threads(1)
torch.manual_seed(0)


def resident(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024


def parameter(*shape):
    return (torch.randn(*shape) * 0.02).requires_grad_()


blocks = [
    [parameter(3 * width, width), parameter(width, width), parameter(4 * width, width), parameter(width, 4 * width)]
    for _ in range(layers)
]


def block(x, qkv, out, up, down):
    batch, length, _ = x.shape
    q, k, v = F.linear(F.layer_norm(x, [width]), qkv).view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
    scores = q.matmul(k.transpose(2, 3)) * (width // heads) ** -0.5
    mixed = scores.softmax(-1).matmul(v).transpose(1, 2).reshape(batch, length, width)
    x = x + F.linear(mixed, out)
    return x + F.linear(F.gelu(F.linear(F.layer_norm(x, [width]), up)), down)


def step(batch, length):
    x = torch.randn(batch, length, width)
    for weights in blocks:
        x = block(x, *weights)
    loss = x.square().mean()
    loss.backward()
    with torch.no_grad():
        for weights in blocks:
            for weight in weights:
                weight.sub_(weight.grad, alpha=0.1)
                weight.grad = None
    return loss.item()


step(1, 8)  # loads the code and fills the caches that are no part of the question
before = resident("VmRSS")
losses = [step(batch, length) for _ in range(steps)]
print(json.dumps({"peakGrowth": resident("VmHWM") - before, "version": torch.__version__, "loss": losses[-1]}))

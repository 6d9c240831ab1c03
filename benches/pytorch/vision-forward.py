"""PyTorch's side of benches/vision-forward.mjs: answers one JSON line to each JSON line on standard input."""

import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from measures import product_gflops, status_mib  # noqa: E402
from published_vision import published_vision_model  # noqa: E402
from safetensors_file import read_safetensors  # noqa: E402


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    model = published_vision_model(job["clone"], job["arch"], job["imageSize"], job["classes"])
    state = read_safetensors(job["weights"])
    buffers = {name: value for name, value in model.state_dict().items() if name not in state}
    model.load_state_dict({**state, **buffers})
    model.eval()
    images = read_safetensors(job["images"])["images"]
    if job["kind"] == "compiled":
        model = torch.compile(model)
    print(json.dumps({"runtime": f"Python {sys.version.split()[0]}, torch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(answer(model, images, command)), flush=True)


def answer(model, images, command):
    if command["do"] == "forward":
        with torch.no_grad():
            start = time.perf_counter()
            logits = model(images[: command["batch"]])
            ms = (time.perf_counter() - start) * 1e3
        return {"ms": ms, "logits": logits[0].tolist()}
    if command["do"] == "product":
        return {"gflops": product_gflops()}
    if command["do"] == "memory":
        return {"peakMib": status_mib("VmHWM")}
    raise SystemExit(f"vision-forward.py: expected forward, product or memory, received {command['do']}")


main()

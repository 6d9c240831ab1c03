"""PyTorch's side of benches/inference.mjs: answers one JSON line to each JSON line on standard input."""

import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from measures import status_mib  # noqa: E402
from published import PublishedModel  # noqa: E402
from published_classifier import PublishedClassifier  # noqa: E402
from published_vision import published_vision_model  # noqa: E402
from safetensors_file import read_safetensors  # noqa: E402


def load(model, path):
    """All parameters; buffers that the file does not have stay as they are."""
    state, parameters = read_safetensors(path), dict(model.named_parameters())
    buffers = {name: value for name, value in model.state_dict().items() if name not in parameters}
    model.load_state_dict({**buffers, **{name: value for name, value in state.items() if name in model.state_dict()}})
    return model.eval()


def text_run(job, inputs):
    """Logits of the two parts that the published wrapper calls before its loss."""
    model = PublishedClassifier(job["publishedConfig"], job["clone"]).inner
    load(model, job["weights"])
    ids = inputs["ids"]
    mask = (ids != 0).float()

    def run():
        return model.seq_classifer(model.model(ids, mask))

    return run


def image_run(job, inputs):
    config = job["publishedConfig"]
    model = published_vision_model(job["clone"], job["arch"], config["imageHeight"], config["classes"])
    load(model, job["weights"])
    return lambda: model(inputs["images"])


def stream_run(job, inputs):
    """One token after the other, with the memory between them: the published model fills each of them up to a window."""
    config = job["publishedConfig"]
    model = PublishedModel(config, job["clone"]).eval()
    memory = model.empty_memory(1)
    ids = inputs["ids"]

    def run():
        nonlocal memory
        for i in range(job["tokens"]):
            scores, memory = model(ids[:, i : i + 1], memory)
        return scores[:, -1]

    return run


RUNS = {"sequence-classifier": text_run, "language-model": stream_run, "vil-ls": image_run}


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    run = RUNS[job["publishedConfig"]["kind"]](job, read_safetensors(job["inputs"]))
    print(json.dumps({"runtime": f"torch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "memory":
            print(json.dumps({"peakMib": status_mib("VmHWM")}), flush=True)
            continue
        with torch.no_grad():
            start = time.perf_counter()
            numbers = run().flatten()[:16].tolist()
            ms = (time.perf_counter() - start) * 1e3
        print(json.dumps({"ms": ms, "numbers": numbers}), flush=True)


main()

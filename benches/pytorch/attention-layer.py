"""PyTorch's side of benches/attention-layer.mjs: the published layers. Answers one JSON line to each JSON line on standard input."""

import importlib
import json
import sys
import time
from argparse import Namespace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from published import import_model_class  # noqa: E402
from published_vision import provide_what_is_absent  # noqa: E402
from safetensors_file import read_safetensors, status_mib  # noqa: E402


def bidirectional(case, clone, others):
    sys.path.insert(0, str(Path(clone) / "lra"))
    settings = Namespace(
        pooling_mode="MEAN",
        cls_token=False,
        num_head=case["heads"],
        head_dim=case["modelDim"] // case["heads"],
        num_landmarks=case["projectionRank"],
        max_seq_len=case["tokens"],
        transformer_dim=case["modelDim"],
        attention_dropout=0.0,
        window_size=case["windowSize"],
        fp32_attn=False,
        conv_kernel_size=-1,
        conv_zero_init=False,
        debug=False,
        cls_last_layer=False,
    )
    layer = importlib.import_module("attention_transformer_ls").AttentionLS(settings)
    mask = torch.ones(case["batch"], case["tokens"])
    return layer, lambda x: layer(x, mask)


def causal(case, clone, others):
    import_model_class(clone)
    attention = importlib.import_module("model_lib.layer").ChunkedLSAttention
    layer = attention(
        case["modelDim"], case["heads"], case["chunkSize"], case["projectionRank"], case["windowSize"], 0.0
    )
    chunks = case["tokens"] // case["chunkSize"]
    mask = torch.triu(torch.ones(chunks, 2 * chunks, dtype=torch.bool), diagonal=chunks)
    mask = mask[None, None, :, None, :, None].expand(-1, -1, -1, -1, -1, case["projectionRank"])
    mask = mask.contiguous().view(1, 1, -1, 1, 2 * chunks * case["projectionRank"])
    cache, chunk_positions, window_positions = (
        others[name] for name in ("cache", "chunkPositions", "windowPositions")
    )
    return layer, lambda x: layer(x, cache, chunk_positions, window_positions, mask)


def grid(case, clone, others):
    sys.path.insert(0, str(Path(clone) / "imagenet"))
    provide_what_is_absent()
    attention = importlib.import_module("models.layers.transformer_ls").AttentionLS
    layer = attention(
        case["modelDim"],
        case["heads"],
        qkv_bias=True,
        rpe=True,
        nglo=1,
        dp_rank=case["projectionRank"],
        w=case["windowSize"],
    )
    return layer, lambda x: layer(x, case["side"], case["side"])


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    inputs = read_safetensors(job["inputs"])
    kinds = {"bidirectional": bidirectional, "causal": causal, "grid": grid}
    layer, run = kinds[job["case"]["kind"]](job["case"], job["clone"], inputs)
    state = layer.state_dict()
    saved = read_safetensors(job["weights"])
    layer.load_state_dict({name: saved.get(name, value) for name, value in state.items()})
    x, direction = inputs["x"].requires_grad_(True), inputs["direction"]
    print(json.dumps({"runtime": f"Python {sys.version.split()[0]}, torch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(layer, run, x, direction, json.loads(line))), flush=True)


def step(layer, run, x, direction):
    layer.zero_grad()
    x.grad = None
    start = time.perf_counter()
    output = run(x)
    middle = time.perf_counter()
    output.backward(direction)
    end = time.perf_counter()
    return {
        "forward": (middle - start) * 1e3,
        "both": (end - start) * 1e3,
        "output": output.flatten()[:8].tolist(),
        "gradient": x.grad.flatten()[:8].tolist(),
    }


def answer(layer, run, x, direction, message):
    what = message["do"]
    if what == "turn":
        step(layer, run, x, direction)
        return {"steps": [step(layer, run, x, direction) for _ in range(message["steps"])]}
    if what == "product":
        a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
        start = time.perf_counter()
        a @ b
        return {"gflops": 2 * 1024**3 / (time.perf_counter() - start) / 1e9}
    if what == "memory":
        return {"peakMib": status_mib("VmHWM")}
    raise SystemExit(f"attention-layer.py: expected turn, product or memory, received {what}")


main()

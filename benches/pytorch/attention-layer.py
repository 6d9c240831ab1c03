"""PyTorch's side of benches/attention-layer.mjs and its relatives: the published layers, and full attention by PyTorch's own
operator. Answers one JSON line to each JSON line on standard input."""

import importlib
import json
import sys
import time
from argparse import Namespace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from measures import product_gflops, restart_peak, status_mib  # noqa: E402
from published import import_model_class  # noqa: E402
from published_vision import provide_what_is_absent  # noqa: E402
from safetensors_file import read_safetensors  # noqa: E402

MIB = 2**20


def bidirectional(case, clone, others):
    if str(Path(clone) / "lra") not in sys.path:
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
    if str(Path(clone) / "imagenet") not in sys.path:
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


class FullAttention(nn.Module):
    """Every token sees every token, by the operator of PyTorch 2.x. (B, L, D) to (B, L, D)."""

    def __init__(self, modelDim, heads):
        super().__init__()
        self.heads = heads
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(modelDim, modelDim) for _ in range(4))

    def forward(self, x):
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.W_q, self.W_k, self.W_v)
        )
        return self.W_o(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def full(case, clone, others):
    layer = FullAttention(case["modelDim"], case["heads"])
    return layer, layer


KINDS = {"bidirectional": bidirectional, "causal": causal, "grid": grid, "full": full}


def random_inputs(case):
    """What the layer takes, and the direction of the gradient of its output."""
    shape = (case["batch"], case["tokens"], case["modelDim"])
    inputs = {"x": torch.randn(shape), "direction": torch.randn(shape)}
    if case["kind"] != "causal":
        return inputs
    chunks = 2 * case["tokens"] // case["chunkSize"] * case["projectionRank"]
    return {
        **inputs,
        "cache": torch.randn(shape),
        "chunkPositions": torch.randn(1, chunks, case["modelDim"]),
        "windowPositions": torch.randn(1, case["windowSize"], case["modelDim"]),
    }


def warm_up(case, clone):
    """Loads the code and makes the buffers of the products, which are no memory of the layer's."""
    small = {**case, "batch": 1, **case["small"]}
    inputs = random_inputs(small)
    _, run = KINDS[case["kind"]](small, clone, inputs)
    run(inputs["x"].requires_grad_(True)).backward(inputs["direction"])
    product_gflops()


class Subject:
    def __init__(self, job):
        case = job["case"]
        warm_up(case, job.get("clone"))
        self.start = status_mib("VmRSS")
        isRandom = job["kind"] == "random"
        inputs = random_inputs(case) if isRandom else read_safetensors(job["inputs"])
        self.layer, self.run = KINDS[case["kind"]](case, job.get("clone"), inputs)
        if not isRandom:
            state, saved = self.layer.state_dict(), read_safetensors(job["weights"])
            self.layer.load_state_dict({name: saved.get(name, value) for name, value in state.items()})
        self.x, self.direction = inputs["x"].requires_grad_(True), inputs["direction"]

    def forget(self):
        self.layer.zero_grad(set_to_none=True)
        self.x.grad = None

    def forward(self):
        with torch.no_grad():
            start = time.perf_counter()
            self.run(self.x)
            return {"forward": (time.perf_counter() - start) * 1e3}

    def step(self):
        self.forget()
        start = time.perf_counter()
        output = self.run(self.x)
        middle = time.perf_counter()
        output.backward(self.direction)
        end = time.perf_counter()
        return {
            "forward": (middle - start) * 1e3,
            "both": (end - start) * 1e3,
            "output": output.flatten()[:8].tolist(),
            "gradient": self.x.grad.flatten()[:8].tolist(),
        }

    def beyond(self):
        """Memory of one pass forward and backward beyond inputs, output and all gradients."""
        self.forget()
        restart_peak()
        before = status_mib("VmRSS")
        output = self.run(self.x)
        output.backward(self.direction)
        results = [output, self.x.grad, *(p.grad for p in self.layer.parameters() if p.grad is not None)]
        held = sum(result.numel() * result.element_size() for result in results) / MIB
        return {"beyondMib": status_mib("VmHWM") - before - held, "resultsMib": held}

    def restart_peak(self):
        self.forget()
        restart_peak()
        return {}

    def answer(self, what):
        if what == "forward":
            return self.forward()
        if what == "step":
            return self.step()
        if what == "beyond":
            return self.beyond()
        if what == "product":
            return {"gflops": product_gflops()}
        if what == "restart-peak":
            return self.restart_peak()
        if what == "memory":
            return {"peakMib": status_mib("VmHWM"), "startMib": self.start}
        raise SystemExit(
            f"attention-layer.py: expected forward, step, beyond, product, restart-peak or memory, received {what}"
        )


def answers():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    subject = Subject(job)
    yield {"runtime": f"Python {sys.version.split()[0]}, torch {torch.__version__}"}
    for line in sys.stdin:
        yield subject.answer(json.loads(line)["do"])


def main():
    try:
        for answer in answers():
            print(json.dumps(answer), flush=True)
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), flush=True)


main()

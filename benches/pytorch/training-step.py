"""PyTorch's side of benches/training-step.mjs: answers one JSON line to each JSON line on standard input."""

import json
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent))
from composed import ConsistentModel, ReferenceModel  # noqa: E402
from measures import product_gflops, status_mib  # noqa: E402
from published import PublishedModel  # noqa: E402
from published_classifier import PublishedClassifier  # noqa: E402
from published_vision import published_vision_model  # noqa: E402
from safetensors_file import read_safetensors  # noqa: E402


def read_ids(path, batch):
    return torch.frombuffer(bytearray(Path(path).read_bytes()), dtype=torch.int64).view(batch, -1)


def make_model(kind, job):
    config = job["config"]
    if kind == "published":
        return PublishedModel(config, job["clone"])
    return ConsistentModel(config) if config["mode"] == "consistent" else ReferenceModel(config)


class LanguageModelTask:
    """Segments of streams one after the other, with the memory between them."""

    def __init__(self, job):
        self.T, batch = job["segmentLength"], job["batchSize"]
        self.model = make_model(job["kind"], job)
        self.forward = torch.compile(self.model) if job["compile"] else self.model
        self.ids = read_ids(job["data"], batch)
        self.segments = (self.ids.size(1) - 1) // self.T
        self.memory = self.model.empty_memory(batch)

    def loss(self, step):
        begin = step % self.segments * self.T
        ids = self.ids[:, begin : begin + self.T]
        targets = self.ids[:, begin + 1 : begin + 1 + self.T]
        scores, self.memory = self.forward(ids, self.memory)
        return self.model.loss(scores.flatten(0, 1), targets.flatten())


class ClassifierTask:
    """Batches of padded rows; the last column is the label."""

    def __init__(self, job):
        self.B, self.steps = job["batchSize"], job["steps"]
        self.model = PublishedClassifier(job["config"], job["clone"])
        self.data = read_ids(job["data"], self.B * self.steps)

    def loss(self, step):
        rows = self.data[step % self.steps * self.B :][: self.B]
        return self.model(rows[:, :-1].contiguous(), rows[:, -1])


class VisionTask:
    """Batches of images with their labels."""

    def __init__(self, job):
        config, self.B, self.steps = job["config"], job["batchSize"], job["steps"]
        self.model = published_vision_model(job["clone"], job["arch"], config["imageHeight"], config["classes"])
        shape = (-1, config["channels"], config["imageHeight"], config["imageWidth"])
        raw = bytearray(Path(job["images"]).read_bytes())
        self.images = torch.frombuffer(raw, dtype=torch.float32).view(shape)
        self.labels = read_ids(job["data"], 1).flatten()

    def loss(self, step):
        some = slice(step % self.steps * self.B, (step % self.steps + 1) * self.B)
        return F.cross_entropy(self.model(self.images[some]), self.labels[some])


TASKS = {"language-model": LanguageModelTask, "sequence-classifier": ClassifierTask, "vil-ls": VisionTask}


def load_weights(model, path):
    """All parameters; buffers that the file does not have stay as they are."""
    saved, parameters = read_safetensors(path), dict(model.named_parameters())
    buffers = {name: value for name, value in model.state_dict().items() if name not in parameters}
    model.load_state_dict({**buffers, **saved})


def version():
    return tuple(int(part) for part in torch.__version__.split(".")[:2])


def clip(parameters, norm):
    """Without a loop over the parameters, where this version can."""
    way = {"foreach": True} if version() >= (2, 0) else {}
    return torch.nn.utils.clip_grad_norm_(parameters, norm, **way)


def make_optimizer(parameters, learningRate):
    """The fastest AdamW of this version."""
    way = {"fused": True} if version() >= (2, 4) else {"foreach": True}
    return torch.optim.AdamW(parameters, lr=learningRate, **way)


class Trainer:
    def __init__(self, job):
        self.task = TASKS[job["config"]["kind"]](job)
        load_weights(getattr(self.task.model, "inner", self.task.model), job["weights"])
        self.parameters = list(self.task.model.parameters())
        self.optimizer = make_optimizer(self.parameters, job["learningRate"])
        self.clipNorm = job["clipNorm"]
        self.done = 0

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.task.loss(self.done)
        loss.backward()
        norm = clip(self.parameters, self.clipNorm)
        self.optimizer.step()
        self.done += 1
        return {"loss": loss.item(), "norm": norm.item()}

    def timed_step(self):
        used, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        result = self.step()
        wall, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        cpu = now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime
        faults = now.ru_minflt - used.ru_minflt
        return {**result, "ms": wall * 1e3, "cpuMs": cpu * 1e3, "pageFaults": faults}


def answer(trainer, start, command):
    if command["do"] == "step":
        return trainer.timed_step()
    if command["do"] == "product":
        return {"gflops": product_gflops()}
    if command["do"] == "memory":
        return {"peakMib": status_mib("VmHWM"), "startMib": start}
    raise SystemExit(f"training-step.py: expected step, product or memory, received {command['do']}")


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    start = status_mib("VmRSS")
    trainer = Trainer(job)
    print(json.dumps({"runtime": f"Python {sys.version.split()[0]}, torch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(trainer, start, json.loads(line))), flush=True)


main()

"""The published module (autoregressive/model_lib of the paper's repository), read from a clone and never copied from it.

It needs fairseq for two small things that PyTorch has: its layer norm (on a CPU: torch.nn.LayerNorm) and its GELU.
"""

import contextlib
import importlib
import io
import sys
import types
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


def stand_in_for_fairseq():
    def layer_norm(size, export=False):
        return nn.LayerNorm(size)

    def gelu(x):
        return F.gelu(x.float()).type_as(x)

    contents = {"layer_norm": {"LayerNorm": layer_norm}, "gelu": {"gelu": gelu}}
    for name in ("fairseq", "fairseq.modules"):
        sys.modules[name] = types.ModuleType(name)
    for name, members in contents.items():
        module = types.ModuleType(f"fairseq.modules.{name}")
        module.__dict__.update(members)
        sys.modules[module.__name__] = module


def import_model_class(clone):
    folder = Path(clone) / "autoregressive" / "model_lib"
    if not (folder / "model.py").is_file():
        raise SystemExit(f"published.py: expected autoregressive/model_lib/model.py in the clone {clone}")
    stand_in_for_fairseq()
    package = types.ModuleType("model_lib")  # its own __init__ would import fairseq's trainer
    package.__path__ = [str(folder)]
    sys.modules["model_lib"] = package
    return importlib.import_module("model_lib.model").TransformerLSModel


class PublishedModel(nn.Module):
    """The interface of composed.py's models around the published one, which gives log-probabilities in place of logits."""

    loss = staticmethod(F.nll_loss)

    def __init__(self, config, clone):
        super().__init__()
        self.config = config
        with contextlib.redirect_stdout(io.StringIO()):  # its constructor prints
            self.inner = self.build(config, clone)

    @staticmethod
    def build(config, clone):
        return import_model_class(clone)(
            vocab_size=config["vocabularySize"],
            d_model=config["modelDim"],
            d_inner=config["innerDim"],
            n_head=config["heads"],
            n_layer=config["layers"],
            mem_len=config["memoryLength"],
            emb_dropout=config["embeddingDropout"],
            chunk_rank=config["projectionRank"],
            chunk_size=config["chunkSize"],
            window_len=config["windowSize"],
            dropout=config["dropout"],
            use_bias=config["projectionBiases"],
            pre_ln=config["normPlacement"] == "pre",
            use_gelu=config["activation"] == "gelu",
            grad_chk=False,
            clamp_len=config["windowPositionClamp"] or -1,
            cpos_clamp_len=config["chunkPositionClamp"] or -1,
        )

    def empty_memory(self, batch):
        config = self.config
        return [torch.zeros(batch, config["memoryLength"], config["modelDim"]) for _ in range(config["layers"])]

    def forward(self, ids, memory):
        logProbabilities, carried, _ = self.inner(ids, memory)
        return logProbabilities, carried

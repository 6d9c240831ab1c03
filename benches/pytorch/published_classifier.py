"""The published classifier (lra of the paper's repository), read from a clone and never copied from it."""

import importlib
import sys
from argparse import Namespace
from pathlib import Path

from torch import nn


def import_classifier(clone):
    folder = Path(clone) / "lra"
    if not (folder / "model_wrapper.py").is_file():
        raise SystemExit(f"published_classifier.py: expected lra/model_wrapper.py in the clone {clone}")
    sys.path.insert(0, str(folder))
    return importlib.import_module("model_wrapper").ModelForSC


class PublishedClassifier(nn.Module):
    """Ids (B, L) and labels (B) to the mean loss; the settings are those of the published scripts."""

    def __init__(self, config, clone):
        super().__init__()
        attention = config["attention"]
        settings = Namespace(
            attn_type="lsta",
            mixed_precision=False,
            pooling_mode="MEAN",
            cls_last_layer=True,
            cls_token=False,
            vocab_size=config["vocabularySize"],
            embedding_dim=config["modelDim"],
            transformer_dim=config["modelDim"],
            transformer_hidden_dim=config["innerDim"],
            head_dim=config["modelDim"] // config["heads"],
            num_head=config["heads"],
            num_layers=config["layers"],
            max_seq_len=config["maxLength"],
            dropout_prob=config["dropout"],
            attention_dropout=config["attentionDropout"],
            num_classes=config["classes"],
            num_landmarks=attention["projectionRank"],
            window_size=attention["windowSize"],
            conv_kernel_size=-1,
            tied_weights=False,
            learn_pos_emb=1,
            fp32_attn=False,
            conv_zero_init=False,
            attention_grad_checkpointing=False,
            debug=False,
        )
        self.inner = import_classifier(clone)(settings)

    def forward(self, ids, labels):
        return self.inner(ids, (ids != 0).float(), labels)["loss"].mean()

"""The published vision model (imagenet of the paper's repository), read from a clone and never copied from it."""

import importlib
import sys
from pathlib import Path


def published_vision_model(clone, arch, image_size, classes):
    folder = Path(clone) / "imagenet"
    if not (folder / "models" / "msvit.py").is_file():
        raise SystemExit(f"published_vision.py: expected imagenet/models/msvit.py in the clone {clone}")
    sys.path.insert(0, str(folder))
    build = importlib.import_module("models.msvit").MsViT
    return build(
        arch, img_size=image_size, num_classes=classes, attn_type="ls", norm_embed=True, ln_eps=1e-6
    )

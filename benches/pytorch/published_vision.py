"""The published vision model (imagenet of the paper's repository), read from a clone and never copied from it."""

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import torch


def published_vision_model(clone, arch, image_size, classes):
    folder = Path(clone) / "imagenet"
    if not (folder / "models" / "msvit.py").is_file():
        raise SystemExit(f"published_vision.py: expected imagenet/models/msvit.py in the clone {clone}")
    sys.path.insert(0, str(folder))
    provide_what_is_absent()
    build = importlib.import_module("models.msvit").MsViT
    return build(
        arch, img_size=image_size, num_classes=classes, attn_type="ls", norm_embed=True, ln_eps=1e-6
    )


def provide_what_is_absent():
    """For a Python without timm and torchvision: what the published modules take from them, enough to build and to evaluate."""
    if is_absent("timm"):
        layers = types.ModuleType("timm.models.layers")
        layers.DropPath = DropPath
        layers.trunc_normal_ = torch.nn.init.trunc_normal_
        layers.to_2tuple = lambda size: tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        provide("timm", "timm.models")
        sys.modules[layers.__name__] = layers
    if is_absent("torchvision"):
        # Imported for a list of its models only.
        provide("torchvision", "torchvision.models")


def is_absent(name):
    return name not in sys.modules and importlib.util.find_spec(name) is None


def provide(*names):
    for name in names:
        sys.modules[name] = types.ModuleType(name)


class DropPath(torch.nn.Identity):
    """Drops nothing outside training."""

"""Reading what the other side wrote."""

import json
import struct
from pathlib import Path

import torch


def read_safetensors(path):
    """Float32 tensors by name."""
    raw = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(raw, dtype=torch.float32, offset=begin, count=(end - begin) // 4)
        tensors[name] = flat.view(entry["shape"]).clone()
    return tensors

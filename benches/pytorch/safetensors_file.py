"""Reading what the other side wrote."""

import json
import struct
from pathlib import Path

import torch


DTYPES = {"F32": torch.float32, "I64": torch.int64}


def read_safetensors(path):
    """Tensors of float32 and int64 by name."""
    raw = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        dtype = None if name == "__metadata__" else DTYPES.get(entry["dtype"])
        if dtype is None:
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        # A copy, as what is read in place must lie at a multiple of its size.
        flat = torch.frombuffer(bytearray(raw[begin:end]), dtype=dtype)
        tensors[name] = flat.view(entry["shape"]).clone()
    return tensors

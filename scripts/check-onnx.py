"""Exported models in another implementation of ONNX than the one that they were compared with:

    python scripts/check-onnx.py <exported model>...

Needs `pip install onnx onnxruntime`. Each graph goes through ONNX's own checker, with shapes inferred, and is run on the same inputs by the
reference evaluator of the onnx package (plain NumPy, one operator after the other) and by onnxruntime. One line for each graph and length;
exit code 1 where a result differs by more than 1e-4 of its largest number.
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

LARGEST_ERROR = 1e-4
NUMBERS = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


def inputs_of(session, length, batch, vocabulary):
    """Random ids, pictures and states; every mask is full."""
    random = np.random.default_rng(length)
    values = {}
    for put in session.get_inputs():
        shape = [size if isinstance(size, int) else length if "ength" in size else batch for size in put.shape]
        kind = NUMBERS[put.type]
        if put.name.startswith("ids"):
            values[put.name] = random.integers(1, vocabulary, shape).astype(kind)
        elif kind is np.bool_:
            values[put.name] = np.ones(shape, kind)
        elif kind is np.int64:
            values[put.name] = np.zeros(shape, kind)
        else:
            values[put.name] = random.standard_normal(shape).astype(kind)
    return values


def lengths_of(manifest, session):
    """Below, at and above a window, where the length is free."""
    if not any("ength" in str(size) for put in session.get_inputs() for size in put.shape):
        return [1]
    window = manifest["model"]["attention"]["windowSize"]
    return [max(1, window - 1), 3 * window, 7 * window + 1]


def check(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    worst = 0.0
    for path in sorted(folder.glob("*.onnx")):
        onnx.checker.check_model(str(path), full_check=True)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        reference = ReferenceEvaluator(str(path))
        names = [result.name for result in session.get_outputs()]
        for length in lengths_of(manifest, session):
            values = inputs_of(session, length, 2, manifest["model"].get("vocabularySize", 2))
            pairs = zip(session.run(names, values), reference.run(names, values))
            error = max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)) for a, b in pairs if a.size)
            worst = max(worst, error)
            at = "" if length == 1 else f", length {length}"
            print(f"{path}{at}: checked, reference evaluator differs by {error:.1e}")
    return worst


if len(sys.argv) < 2:
    sys.exit(__doc__)
largest = max(check(Path(folder)) for folder in sys.argv[1:])
if not largest <= LARGEST_ERROR:
    sys.exit(f"expected at most {LARGEST_ERROR}, the largest difference is {largest:.1e}")

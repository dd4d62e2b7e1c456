#!/usr/bin/env python3
"""Our safetensors against the safetensors library: each reads what the other wrote."""
import json
import os
import subprocess

import oracles
from oracles import cases, np
import safetensors
from safetensors.numpy import load_file, save_file

folder = cases.scratch()
rng = np.random.default_rng(7)


def rewritten(path):
    """The file after our reader and our writer."""
    out = path + ".ours"
    done = subprocess.run([os.environ["REWRITE"], path, out], capture_output=True, text=True, check=False)
    cases.check(f"our reader takes {os.path.basename(path)}", done.returncode == 0, done.stderr)
    return out


def same_content(a, b):
    a, b = load_file(a), load_file(b)
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a)


def metadata(path):
    with safetensors.safe_open(path, "numpy") as file:
        return file.metadata()


theirs = {
    "plain": ({"a": rng.standard_normal((3, 5), dtype=np.float32), "b": rng.standard_normal(7).astype(np.float16)}, None),
    "kinds": ({t: rng.integers(0, 100, (2, 3)).astype(t) for t in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
                                                                   "float16", "float32", "float64", "bool")}, None),
    "shapes": ({"scalar": np.array(3, np.float32), "empty": np.zeros((0, 4), np.float32), "deep": np.ones((1, 2, 1, 2, 1, 2), np.float32)}, None),
    "names": ({"a.b/c d\u00e9\U0001f600": np.ones(4, np.float32), "": np.ones(4, np.float32), '"\\\n': np.ones(4, np.float32)}, None),
    "metadata": ({"x": np.arange(8, dtype=np.float32)}, {"format": "pt", "z": "\u00fc", "a": ""}),
    "one_of_many": ({f"layer.{i}": rng.standard_normal(i, dtype=np.float32) for i in range(200)}, None),
}
for name, (tensors, about) in theirs.items():
    path = os.path.join(folder, name + ".safetensors")
    save_file(tensors, path, metadata=about)
    ours = rewritten(path)
    if not os.path.exists(ours):
        continue
    cases.check(f"the library reads what we wrote of {name}", same_content(path, ours))
    cases.check(f"metadata of {name}", (metadata(path) or {}) == (metadata(ours) or {}), f"{metadata(path)} {metadata(ours)}")

    again = rewritten(ours)
    with open(ours, "rb") as one, open(again, "rb") as two:
        cases.check(f"writing {name} twice gives the same bytes", one.read() == two.read())

    code, text, err = cases.run("inspect", path, "--json")
    shown = {t["name"]: t["shape"] for t in json.loads(text)["tensors"]} if code == 0 else {}
    cases.check(f"inspect lists {name}", shown == {k: list(v.shape) for k, v in tensors.items()}, f"exit {code}: {err} {shown}")

real = os.path.join(oracles.TINYLM, "model.safetensors")
ours = os.path.join(folder, "tinylm.ours")
done = subprocess.run([os.environ["REWRITE"], real, ours], capture_output=True, text=True, check=False)
a, b = oracles.read_safetensors(real), oracles.read_safetensors(ours) if done.returncode == 0 else {}
cases.check("tinylm through our reader and writer", a == b and len(a) > 30, done.stderr)
with safetensors.safe_open(ours, "numpy") as file:
    cases.check("the library opens our tinylm", sorted(file.keys()) == sorted(a))
cases.finish()

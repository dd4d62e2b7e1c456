#!/usr/bin/env python3
"""Containers of tinylm, decoded in plain Python, against numpy's own quantizers and llama.cpp's."""
import os

import oracles
from oracles import cases, gguf, np
import mcpk_decode

GROUP = 32
ALL_FOUR = ("--w4a8", "--group", str(GROUP), "--bits", ".=4")  # embedding and head too

folder = cases.scratch()
weights = oracles.tinylm_weights()
matrices = {name: w for name, w in weights.items() if w.ndim == 2}


def decoded(path):
    """name -> f32 array, by the decoder that knows docs/container.md alone."""
    with open(path, "rb") as file:
        container = mcpk_decode.Container(file.read())
    container.check()
    return {w.name: np.array(container.values(w), np.float32).reshape(weights[w.name].shape) for w in container.weights}


def to_f16(s):
    return s.astype(np.float16).astype(np.float32)


def nearest(w, s):
    """4-bit symmetric codes on the full grid, and their values, for groups in the last axis."""
    return np.clip(np.rint(w / s), -8, 7).astype(np.float32) * s


def rtn(w):
    g = w.reshape(-1, GROUP)
    s = to_f16(np.abs(g).max(1, keepdims=True) * np.float32(2) / np.float32(15))
    return nearest(g, np.where(s > 0, s, np.float32(1))).reshape(w.shape)


def searched(w):
    """The best of 100 shrunken ranges for each group, by squared error."""
    g = w.reshape(-1, GROUP)
    whole = np.abs(g).max(1, keepdims=True) * np.float32(2) / np.float32(15)
    best, least = np.zeros_like(g), np.full((len(g), 1), np.inf)
    for k in range(1, 101):
        s = to_f16(whole * np.float32(k / 100))
        v = nearest(g, np.where(s > 0, s, np.float32(1)))
        error = ((g.astype(np.float64) - v) ** 2).sum(1, keepdims=True)
        best, least = np.where(error < least, v, best), np.minimum(error, least)
    return best.reshape(w.shape)


def sse(w, v):
    return ((w.astype(np.float64) - v) ** 2).sum()


def each(name, wrong):
    """One case about all tensors; `wrong` lists those of which it does not hold."""
    cases.check(name, not wrong, "\n".join(map(str, wrong)))


def compare_report(label, path, got):
    """verify's figures, computed again in numpy from the decoder's values."""
    report = {t["name"]: t for t in oracles.verify(path)["tensors"]}
    cases.check(f"{label}: the report names every tensor", report.keys() == weights.keys())
    wrong = []
    for name, w in matrices.items():
        v, t = got[name], report[name]
        off = np.abs(w.astype(np.float64) - v)
        cosine = (w.astype(np.float64) * v).sum() / np.sqrt((w.astype(np.float64) ** 2).sum() * (v.astype(np.float64) ** 2).sum())
        pairs = [(t["sqnr_db"], oracles.sqnr_db(w, v)), (t["max_abs_error"], off.max()), (t["cosine"], cosine),
                 (t["zeros"], (v == 0).mean())]
        wrong += [(name, a, b) for a, b in pairs if not abs(a - b) <= 1e-9 * max(1, abs(b))]
    each(f"{label}: SQNR, largest error, cosine and zeros are numpy's", wrong)


paths = {"rtn": oracles.quantize(folder, "rtn.bin", *ALL_FOUR, "--method", "rtn"),
         "mse": oracles.quantize(folder, "mse.bin", *ALL_FOUR, "--method", "mse"),
         "default": oracles.quantize(folder, "default.bin", "--w4a8")}
values = {label: decoded(path) for label, path in paths.items()}
for label, path in paths.items():
    compare_report(label, path, values[label])
each("norms are carried bit for bit", [n for n in weights if n not in matrices and not np.array_equal(values["default"][n], weights[n])])

each("rtn: every value is numpy's", [n for n, w in matrices.items() if not np.array_equal(values["rtn"][n], rtn(w))])
each("mse: never worse than rtn", [n for n, w in matrices.items() if not sse(w, values["mse"][n]) <= sse(w, rtn(w))])
each("mse: within 1.01 of an exhaustive search of 100 points",
     [(n, sse(w, values["mse"][n]) / sse(w, searched(w))) for n, w in matrices.items()
      if not sse(w, values["mse"][n]) <= 1.01 * sse(w, searched(w))])

# llama.cpp, at equal bytes: Q4_0 is 4-bit codes and an f16 scale for 32 weights, which is 4.5 bits, as ours.
worse, more = [], []
report = {t["name"]: t for t in oracles.verify(paths["mse"])["tensors"]}
for name, w in matrices.items():
    theirs, size = oracles.ggml_round_trip(gguf.GGMLQuantizationType.Q4_0, w)
    if not sse(w, values["mse"][name]) < sse(w, theirs):
        worse.append((name, np.sqrt(sse(w, values["mse"][name]) / sse(w, theirs))))
    if not report[name]["bytes"] <= size:
        more.append((name, report[name]["bytes"], size))
each("mse: no more bytes than Q4_0", more)
each("mse: less error than Q4_0 on every matrix", worse)
cases.finish()

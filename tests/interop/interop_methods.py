#!/usr/bin/env python3
"""Methods that look at data: statistics against numpy's own, GPTQ against a plain one in numpy, and the divergence that the
strongest preset leaves of tinylm."""
import json
import os

import oracles
from oracles import TINYLM, cases, np
from safetensors_read import read_safetensors
import mcpk_decode

WINDOW, WINDOWS, GROUP = 256, 64, 32
CALIBRATION, EVALUATION = os.path.join(TINYLM, "calib_ids.npy"), os.path.join(TINYLM, "eval_ids.npy")
BLOCK_LINEARS = ("--keep", "embed|lm_head")  # embedding and head stay as they are
CHECKED = ("model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight", "model.layers.1.self_attn.o_proj.weight",
           "model.layers.2.mlp.gate_proj.weight", "model.layers.3.mlp.down_proj.weight")
GATES = {  # setting: (options, the most divergence in nats)
    "W4 g32 sym": (("--w4a16", "--group", "32"), 0.0031),
    "W3 g64 asym": (("--w3a16", "--group", "64", "--asym", "--zero", "integer"), 0.0148),
    "W2 g64 asym": (("--w2a16", "--group", "64", "--asym", "--zero", "integer"), 0.100),
}

folder = cases.scratch()
weights = oracles.tinylm_weights()


def run(*args):
    code, _, err = cases.run(*args)
    if code != 0:
        raise RuntimeError(f"{' '.join(args)}: exit {code}: {err}")


# ---- statistics ----

def first_norm():
    """What q, k and v of the first block meet: the embedding's rows, normalized."""
    with open(os.path.join(TINYLM, "config.json"), encoding="utf-8") as file:
        epsilon = json.load(file)["rms_norm_eps"]
    ids = np.load(CALIBRATION).reshape(-1)[:WINDOW * WINDOWS]
    x = weights["model.embed_tokens.weight"][ids].astype(np.float64)
    x /= np.sqrt((x * x).mean(1, keepdims=True) + epsilon)
    return x * weights["model.layers.0.input_layernorm.weight"]


class Statistics:
    def __init__(self, path):
        with open(path, "rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        self.block = {k.split("/", 1)[1]: v for k, v in head["__metadata__"].items() if k.startswith("weight/")}
        self.arrays = read_safetensors(path)

    def gram(self, weight):
        """n x n, over all rows."""
        packed = np.frombuffer(self.arrays[self.block[weight] + "/gram"][2], "<f8")
        n = int(((8 * packed.size + 1) ** 0.5 - 1) / 2)
        full = np.zeros((n, n))
        full[np.tril_indices(n)] = packed
        return full + np.tril(full, -1).T


# ---- GPTQ as published, with scales fixed before, columns by falling diagonal and 1 % damping ----

def grid_scales(w):
    """Of each group the best of 40 shrunken ranges, rounded to f16."""
    g = w.reshape(w.shape[0], -1, GROUP)
    best, least = None, np.full(g.shape[:2], np.inf)
    for i in range(40):
        s = (np.abs(g).max(2) * (1 - 0.8 * i / 40) / 7).astype(np.float16).astype(np.float64)
        s[s == 0] = 1
        error = ((g - s[..., None] * np.clip(np.rint(g / s[..., None]), -8, 7)) ** 2).sum(2)
        best = np.where(error < least, s, best) if best is not None else s
        least = np.minimum(error, least)
    return np.repeat(best, GROUP, axis=1)


def gptq(w, gram):
    order = np.argsort(-np.diag(gram), kind="stable")
    scales, w = grid_scales(w)[:, order], w[:, order].copy()
    h = gram[np.ix_(order, order)]
    h = h + 0.01 * np.diag(h).mean() * np.eye(len(h))
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    out = np.zeros_like(w)
    for j in range(len(h)):
        out[:, j] = scales[:, j] * np.clip(np.rint(w[:, j] / scales[:, j]), -8, 7)
        w[:, j:] -= np.outer((w[:, j] - out[:, j]) / upper[j, j], upper[j, j:])
    return out[:, np.argsort(order)]


def loss(w, v, gram):
    d = w - v
    return np.einsum("ij,jk,ik->", d, gram, d)


def decoded(path):
    with open(path, "rb") as file:
        container = mcpk_decode.Container(file.read())
    return {w.name: np.array(container.values(w), np.float64).reshape(weights[w.name].shape) for w in container.weights if w.name in CHECKED}


def check_gptq(statistics, path):
    out = {}
    for method in ("mse", "gptq", "gptq:rounds=3"):
        more = () if method == "mse" else ("--calib", path, "--no-sequential")
        out[method] = decoded(oracles.quantize(folder, "gptq.bin", "--w4a16", "--group", str(GROUP), "--sym-grid", "positive", "--method", method, *more,
                                       model=TINYLM))
    apart, worse, lost = [], [], []
    for name in CHECKED:
        w, gram = weights[name].astype(np.float64), statistics.gram(name)
        theirs = loss(w, gptq(w, gram), gram)
        ours = {method: loss(w, v[name], gram) / theirs for method, v in out.items()}
        if not 0.98 <= ours["gptq"] <= 1.02:
            apart.append((name, ours["gptq"]))
        if not ours["gptq:rounds=3"] < min(1, ours["gptq"]):
            worse.append((name, ours))
        if not ours["gptq"] < ours["mse"]:
            lost.append((name, ours))
    cases.check("gptq leaves the loss of a plain one in numpy, within 2 %", not apart, apart)
    cases.check("descent on top of it leaves less than numpy's", not worse, worse)
    cases.check("it leaves less than mse", not lost, lost)


def main():
    path = os.path.join(folder, "statistics.safetensors")
    run("calibrate", TINYLM, path, "--data", CALIBRATION, "--max-tokens", str(WINDOW * WINDOWS), "--no-fsync")
    statistics = Statistics(path)
    x = first_norm()
    theirs = x.T @ x
    ours = statistics.gram("model.layers.0.self_attn.k_proj.weight")
    far = np.abs(ours - theirs).max() / np.abs(theirs).max()
    cases.check("second moments are numpy's", far < 1e-5, far)
    check_gptq(statistics, path)

    for setting, (scheme, most) in GATES.items():
        report = os.path.join(folder, "report.json")
        oracles.quantize(folder, "best.bin", *scheme, *BLOCK_LINEARS, "--preset", "best", "--calib", CALIBRATION, "--max-tokens", "90112", "--data",
                         EVALUATION, "--report", report, model=TINYLM)
        with open(report, encoding="utf-8") as file:
            kl = json.load(file)["model"]["kl_mean"]
        cases.check(f"tinylm, {setting}: at most {most} nats", kl <= most, kl)
    cases.finish()


main()

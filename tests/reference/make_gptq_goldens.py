"""Golden codes of GPTQ and GPTAQ: tests/golden/gptq/cases.npz.

The published algorithms in float64, written from the papers (Frantar et al. 2022, algorithm 1; Li et al.
2025, algorithm 1): the inverse is numpy's, its factor numpy's Cholesky, every error reaches all later
columns at once. Scales are powers of two, the best of all of them in squared error, so that no search
has to be repeated: symmetric int4, groups of 16.

    make_gptq_goldens.py [OUT.npz]
"""
import pathlib
import sys

import numpy as np

ROWS, COLUMNS, GROUP, TOKENS = 9, 144, 16, 400


def inputs():
    """Weights, the Gram of correlated inputs x (whole numbers, so that it is exact), and the matrix by
    which the inputs of the float model differ: y = x + x A / 64."""
    rng = np.random.default_rng(20240604)
    mix = np.eye(COLUMNS) + 0.5 * rng.standard_normal((COLUMNS, COLUMNS)) / np.sqrt(COLUMNS)
    size = np.exp(0.8 * rng.standard_normal(COLUMNS))
    x = np.rint(4 * (rng.standard_normal((TOKENS, COLUMNS)) @ mix) * size)
    differs = np.rint(64 * 0.1 * rng.standard_normal((COLUMNS, COLUMNS)) / np.sqrt(COLUMNS))
    w = (0.05 * rng.standard_t(4, (ROWS, COLUMNS))).astype(np.float32)
    return w, x.T @ x, differs


def values(w, scale):
    return np.clip(np.rint(w / scale), -8, 7)


def best_scale(w):
    """Of each row [rows, group]: the power of two that leaves the least sum of squares."""
    w = w.astype(np.float32).astype(np.float64)
    scales = 2.0 ** np.arange(-16, 6)
    errors = [((w - s * values(w, s)) ** 2).sum(1) for s in scales]
    return scales[np.argmin(errors, 0)]


def orders(diagonal):
    falling = np.argsort(-diagonal, kind="stable")
    groups = diagonal.reshape(-1, GROUP)
    first = np.argsort(-groups.max(1), kind="stable")
    inside = np.argsort(-groups, axis=1, kind="stable")
    gar = np.concatenate([g * GROUP + inside[g] for g in first])
    return {0: np.arange(COLUMNS), 1: falling, 2: gar}


def damped(gram):
    return gram + 0.01 * np.mean(np.diag(gram)) * np.eye(COLUMNS)


def sweep(w, gram, order, static, cross=None, alpha=0.0):
    """Codes 0..15 and scales; `static`: scales of the weights as they came."""
    w = w.astype(np.float64)
    scale = np.zeros((ROWS, COLUMNS // GROUP))
    if static:
        for g in range(COLUMNS // GROUP):
            scale[:, g] = best_scale(w[:, g * GROUP : (g + 1) * GROUP])
    h = damped(gram)[np.ix_(order, order)]
    u = np.linalg.cholesky(np.linalg.inv(h)).T
    p = np.zeros_like(u)
    if cross is not None:
        p = alpha * np.triu(cross[np.ix_(order, order)] @ u.T, 1) @ u
    w = w[:, order]
    code = np.zeros((ROWS, COLUMNS), np.uint8)
    for i, column in enumerate(order):
        g = column // GROUP
        if not static and i % GROUP == 0:
            scale[:, g] = best_scale(w[:, i : i + GROUP])
        met = w[:, i].copy()
        q = values(met.astype(np.float32).astype(np.float64), scale[:, g])
        code[:, column] = q + 8
        error = (met - scale[:, g] * q) / u[i, i]
        w[:, i + 1 :] += met[:, None] * p[i, i + 1 :] - error[:, None] * u[i, i + 1 :]
    return code, scale


def main(out):
    w, gram, differs = inputs()
    cross = differs.T / 64 @ gram  # sum of (y - x) x^T
    order = orders(np.diag(gram))
    target = w.astype(np.float64) @ (np.eye(COLUMNS) + cross @ np.linalg.inv(damped(gram)))
    cases = {
        "gptq_order_0": sweep(w, gram, order[0], False),
        "gptq_order_1": sweep(w, gram, order[1], True),
        "gptq_order_2": sweep(w, gram, order[2], False),
        "gptaq_published": sweep(w, gram, order[1], True, cross, 0.25),
        "gptaq": sweep(target.astype(np.float32), gram, order[1], True),
    }
    arrays = {"w": w, "gram": gram.astype(np.int32), "differs": differs.astype(np.int8)}
    for name, (code, scale) in cases.items():
        arrays[name] = code
        arrays[name + "_scale"] = scale.astype(np.float32)
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent
    main(sys.argv[1] if len(sys.argv) > 1 else here.parent / "golden" / "gptq" / "cases.npz")

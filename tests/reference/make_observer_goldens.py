#!/usr/bin/env python3
"""Golden answers of the entropy observer: tests/golden/observers/NAME.txt.

    make_observer_goldens.py [FOLDER]      default: tests/golden/observers

Each file holds a histogram and the stretch of bins that the published calibration keeps, computed
naively: for every candidate, distributions P and Q are built bin by bin. Candidates whose divergences
are within 1e-12 of the least are equal, and the last of them wins; one that keeps less than half of
all cannot win. Needs numpy."""
import math
import os
import sys

import numpy as np

SIDE = 2048  # bins on each side of 0
TIE = 1e-12
TURNS = 8


def histogram(x):
    """(widening, signed counts) of bins 2^(widening - 159) wide; the bin of x is that of |x|."""
    x = x.astype(np.float32).astype(np.float64)
    exponent = math.frexp(np.abs(x).max())[1] - 11
    k = np.floor(np.abs(x) / 2.0**exponent).astype(int)
    counts = np.zeros(2 * SIDE, dtype=np.int64)
    np.add.at(counts, SIDE + k[x > 0], 1)
    np.add.at(counts, SIDE - 1 - k[x < 0], 1)
    return exponent + 159, counts


def divergence(bins, lo, hi, parts):
    """KL(P || Q) of keeping bins[lo:hi]; inf where P has something and Q has nothing, and when less
    than half of all is kept."""
    p = bins[lo:hi].astype(np.float64)
    if 2 * p.sum() < bins.sum():
        return np.inf
    q = np.zeros_like(p)
    n = hi - lo
    edges = np.linspace(0, n, num=parts + 1)
    part = np.digitize(np.arange(n), edges) - 1
    full = p > 0
    mass = np.bincount(part[full], weights=p[full], minlength=parts)
    held = np.bincount(part[full], minlength=parts)
    q[full] = mass[part[full]] / held[part[full]]
    p[0] += bins[:lo].sum()
    p[-1] += bins[hi:].sum()
    p, q = p / p.sum(), q / q.sum()
    if np.any((p > 0) & (q == 0)):
        return np.inf
    on = p > 0
    return float(np.sum(p[on] * np.log(p[on] / q[on])))


def last_argmin(candidates):
    """Of (place, divergence) from the narrowest to the widest."""
    least = min(d for _, d in candidates)
    return [place for place, d in candidates if d <= least + TIE][-1]


def flatten(bins):
    """The bin at 0 counts as much as its neighbour."""
    bins = bins.copy()
    if len(bins) > 1:
        bins[0] = bins[1]
    return bins


def one_sided(bins, parts):
    """How many of the bins to keep."""
    bins = flatten(bins)
    start = min(parts, len(bins))
    return last_argmin([(i, divergence(bins, 0, i, parts)) for i in range(start, len(bins) + 1)])


def two_sided(left, right, parts):
    """Bins to keep on either side; `left` counts from 0 outward."""
    bins = np.concatenate([flatten(left)[::-1], flatten(right)])
    zero, a, b = len(left), len(left), len(right)
    for _ in range(TURNS):
        before = (a, b)
        start = min(max(parts - a, 0), len(right))
        b = last_argmin([(i, divergence(bins, zero - a, zero + i, parts))
                         for i in range(start, len(right) + 1)])
        start = min(max(parts - b, 0), len(left))
        a = last_argmin([(i, divergence(bins, zero - i, zero + b, parts))
                         for i in range(start, len(left) + 1)])
        if (a, b) == before:
            break
    return a, b


def answers(counts):
    """(bits, "symmetric" or "asymmetric", bins to keep left and right)."""
    left, right = np.trim_zeros(counts[:SIDE][::-1], "b"), np.trim_zeros(counts[SIDE:], "b")
    both = np.zeros(max(len(left), len(right)), dtype=np.int64)
    both[:len(left)] += left
    both[:len(right)] += right
    for bits in (4, 8):
        keep = one_sided(both, 2**(bits - 1))
        yield bits, "symmetric", keep, keep
        if len(left) and len(right):
            yield (bits, "asymmetric", *two_sided(left, right, 2**bits))
        elif len(right):
            yield bits, "asymmetric", 0, one_sided(right, 2**bits)
        else:
            yield bits, "asymmetric", one_sided(left, 2**bits), 0


def distributions(rng):
    n = 20000
    normal = rng.standard_normal(n)
    outliers = normal.copy()
    outliers[:8] *= 30
    yield "normal", normal
    yield "laplace", rng.laplace(size=n) * 1e-12
    yield "student", rng.standard_t(3, size=n)
    yield "relu", np.maximum(rng.standard_normal(n), 0)
    yield "gelu", np.array([x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in 2 * normal])
    yield "negative", -rng.lognormal(size=n) * 1e9
    yield "outliers", outliers
    yield "lumps", np.concatenate([rng.normal(-2, 0.1, n // 2), rng.normal(5, 0.5, n // 2)])


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../golden/observers")
    for name, x in distributions(np.random.default_rng(23)):
        x = x.astype(np.float32)
        widening, counts = histogram(x)
        with open(os.path.join(out, name + ".txt"), "w", encoding="ascii") as f:
            f.write(f"{widening} {int((x == 0).sum())} {x.min():.9g} {x.max():.9g}\n")
            held = np.flatnonzero(counts)
            f.write(f"{len(held)}\n")
            for i in held:
                f.write(f"{i} {counts[i]}\n")
            for answer in answers(counts):
                f.write(" ".join(str(part) for part in answer) + "\n")


main()

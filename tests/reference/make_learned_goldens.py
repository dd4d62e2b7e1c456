#!/usr/bin/env python3
"""Slopes of learned rounding by automatic differentiation in f64, for tests/quant/test_adaround.c and
test_flexround.c.

    make_learned_goldens.py [FOLDER]      default: tests/golden/learned

Inputs are f32, results f64. Needs torch and numpy.
"""
import pathlib
import sys

import numpy as np
import torch

ROWS, COLS, GROUP = 5, 24, 12
RULES = ((0.0, 2.0), (0.5, 20.0), (2.0, 7.25), (1.0, 2.0))  # reg, beta


def tensor(array, grad=False):
    return torch.tensor(np.asarray(array, dtype=np.float64), requires_grad=grad)


def gram(rng):
    inputs = rng.normal(size=(60, COLS)) @ (np.eye(COLS) + 0.3 * rng.normal(size=(COLS, COLS)))
    product = inputs.T @ inputs
    return (product / product.diagonal().mean()).astype(np.float32)


def adaround(v, below, step, gram_, reg, beta):
    v = tensor(v, True)
    h = torch.clip(torch.sigmoid(v) * 1.2 - 0.1, 0, 1)
    step = tensor(step)
    d = tensor(below) + step * h
    worth = tensor(gram_.diagonal())
    settle = reg * worth * step**2 * (1 - (2 * h - 1).abs() ** beta)
    loss = (d @ tensor(gram_) * d).sum() + settle.sum()
    loss.backward()
    return d.detach().numpy(), v.grad.numpy()


def straight_through(x):
    return x + (torch.round(x) - x).detach()


def flexround(x, d1, d2, d3, unit, gram_, low, high):
    x, unit = tensor(x), tensor(unit)
    d1, d2, d3 = tensor(d1, True), tensor(d2, True), tensor(d3, True)
    wide = d1.repeat_interleave(GROUP, 1)
    r = x / torch.exp(wide + d2 + d3[:, None])
    d = unit.repeat_interleave(GROUP, 1) * (torch.exp(wide) * torch.clamp(straight_through(r), low, high) - x)
    (d @ tensor(gram_) * d).sum().backward()
    return [d.detach().numpy()] + [t.grad.numpy() for t in (d1, d2, d3)]


def adam(x, slopes, rate):
    x = tensor(x, True)
    rule = torch.optim.Adam([x], lr=rate)
    for slope in slopes:
        x.grad = tensor(slope)
        rule.step()
    return x.detach().numpy()


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "../golden/learned")
    folder.mkdir(parents=True, exist_ok=True)

    def save(name, array, dtype):
        array = np.ascontiguousarray(array, dtype=dtype)
        np.save(folder / f"{name}.npy", array)
        return array

    rng = np.random.default_rng(20)
    shape, groups = (ROWS, COLS), (ROWS, COLS // GROUP)
    g = save("gram", gram(rng), "<f4")

    v = rng.normal(size=shape) * 1.5
    v[0, :4] = (5.0, -5.0, 3.0, -3.0)  # clipped
    v = save("v", v, "<f4")
    step = save("step", rng.uniform(0.5, 1.5, size=shape) * rng.choice((-1.0, 1.0), size=(ROWS, 1)), "<f4")
    below = save("below", -step * rng.uniform(-0.5, 1.5, size=shape), "<f4")
    results = [adaround(v, below, step, g, *rule) for rule in RULES]
    save("adaround_d", results[0][0], "<f8")
    save("adaround_slope", [slope for _, slope in results], "<f8")

    x = save("x", rng.normal(size=shape) * 3.0, "<f4")  # some beyond -4 .. 3
    d1 = save("d1", rng.normal(size=groups) * 0.1, "<f4")
    d2 = save("d2", rng.normal(size=shape) * 0.2, "<f4")
    d3 = save("d3", rng.normal(size=ROWS) * 0.1, "<f4")
    unit = save("unit", rng.uniform(0.5, 1.5, size=groups), "<f4")
    for name, result in zip(("d", "d1", "d2", "d3"), flexround(x, d1, d2, d3, unit, g, -4.0, 3.0)):
        save(f"flexround_{name}", result, "<f8")

    slopes = save("adam_slopes", rng.normal(size=(6, COLS)) * 10.0 ** rng.integers(-4, 3, size=COLS), "<f4")
    save("adam_x", adam(v[1], slopes, 0.05), "<f8")


main()

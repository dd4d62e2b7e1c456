#!/usr/bin/env python3
"""Small floats as others make them: tests/core/float_golden.h.

    python3 tests/reference/make_float_goldens.py > tests/core/float_golden.h

FP8 by torch's casts (float8_e4m3fn, float8_e5m2). MXFP4 and NVFP4 in numpy, from their published rules and not
from the C code:

  MXFP4  blocks of 32. The largest magnitude a, its exponent one up where its fraction is 1.75 or more:
         scale 2^(floor(log2 a') - 2), stored as that exponent + 127.
  NVFP4  blocks of 16. g = 448 * 6 / (largest magnitude of the tensor), f32.
         scale s = E4M3(largest of the block / 6 * g), value = E2M1(w * g / s) * s / g.

E2M1 and E4M3 round to the nearest, half to even, and saturate. A code is what the float's bits are, with the
zero that has a sign taken for the other one.
"""
import numpy as np
import torch

f32 = np.float32
E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6])
E4M3 = np.array([(k & 7) * 2.0 ** -9 if k < 8 else (8 + (k & 7)) * 2.0 ** ((k >> 3) - 10) for k in range(127)])


def nearest(table, x):
    """Rank of the number nearest to |x|, half to the even rank; |x| as a double."""
    x = abs(float(x))
    off = np.abs(table - x)
    best = np.flatnonzero(off == off.min())
    return int(best[0] if best[0] % 2 == 0 or len(best) == 1 else best[1])


def code(table, x):
    rank = nearest(table, x)
    return rank | (8 if x < 0 and rank else 0)


def torch_bytes(x, dtype):
    return torch.tensor(np.asarray(x, f32)).to(dtype).view(torch.uint8).numpy()


def finite(dtype, most):
    return torch.arange(most + 1, dtype=torch.uint8).view(dtype).to(torch.float32).numpy().astype(np.float64)


def fnv(data):
    h = 0xCBF29CE484222325
    for b in bytes(data):
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def block_of(values, form="%d", per_line=16):
    lines = [values[i:i + per_line] for i in range(0, len(values), per_line)]
    return "{\n" + "\n".join("    " + ", ".join(form % v for v in line) + "," for line in lines) + "\n};\n"


def fp8(name, dtype, most, limit):
    numbers = finite(dtype, most)
    middles = (numbers[:-1] + numbers[1:]) / 2
    print(f"/* What the number half-way between the floats k and k + 1 becomes. */")
    print(f"static const uint8_t {name}_of_middle[] = " + block_of(list(torch_bytes(middles, dtype))))
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(f32)
    kept = np.nan_to_num(np.abs(halves), nan=np.inf) <= limit
    print(f"/* FNV-1a of what all halves of at most {limit} become, by their bits. */")
    print(f"static const uint64_t {name}_of_halves = UINT64_C(0x{fnv(torch_bytes(halves[kept], dtype)):016x});\n")


def mxfp4(rng):
    blocks, size = 14, 32
    w = np.rint(rng.normal(0, 3000, (blocks, size))).astype(int)
    most = [16384, 28672, 28671, 24576, 24577, 20000, 32767, 1, 7, 6, 5, 24576, 28000, 29000]
    shift = [-14, -14, -14, -20, -20, 3, -30, 0, 0, -126, -140, 90, 90, 90]
    for b in range(blocks):
        w[b] = np.clip(w[b], -most[b], most[b])
        w[b, (5 * b) % size] = most[b] * (-1 if b % 2 else 1)
    w[3, :9] = [4096 * k for k in (0, 1, -1, 2, -2, 3, -3, 5, -5)]  # ties
    exponents, codes = [], []
    for b in range(blocks):
        x = [float(v) * 2.0 ** shift[b] for v in w[b]]
        fraction, exponent = np.frexp(max(abs(v) for v in x))  # 0.5 .. 1
        e = int(exponent) - 1 + (fraction * 2 >= 1.75) - 2
        e = max(-127, e)
        exponents.append(e + 127)
        codes += [code(E2M1, v / 2.0 ** e) for v in x]
    print(f"enum {{ MXFP4_BLOCKS = {blocks}, NVFP4_BLOCKS = 24 }};\n")
    print("/* MXFP4: weights in units of 2^shift of their block, E8M0 and E2M1. */")
    print("static const int16_t mxfp4_weight[MXFP4_BLOCKS * 32] = " + block_of(list(w.ravel())))
    print("static const int16_t mxfp4_shift[MXFP4_BLOCKS] = " + block_of(shift))
    print("static const uint8_t mxfp4_scale[MXFP4_BLOCKS] = " + block_of(exponents))
    print("static const uint8_t mxfp4_code[MXFP4_BLOCKS * 32] = " + block_of(codes))


def nvfp4(rng):
    blocks, size, unit = 24, 16, f32(2.0 ** -20)
    w = np.rint(rng.normal(0, 1500, (blocks, size)) * np.exp(rng.normal(0, 1.2, (blocks, 1)))).astype(int)
    w = np.clip(w, -32767, 32767)
    w[7] = 0
    w[7, 3] = 11  # a scale far below the others
    x = w.astype(f32) * unit
    g = f32(f32(448 * 6) / f32(np.abs(x).max()))
    scales, codes = [], []
    for block in x:
        wanted = f32(f32(np.abs(block).max() / f32(6)) * g)
        rank = max(nearest(E4M3, wanted), 1)
        s = f32(E4M3[rank])
        scales.append(rank)
        codes += [code(E2M1, f32(v * g) / s) for v in block]
    print("/* NVFP4: weights in units of 2^-20, E4M3 and E2M1. */")
    print(f"static const float nvfp4_global = {float(g).hex()}f; /* 448 * 6 / largest */")
    print("static const int16_t nvfp4_weight[NVFP4_BLOCKS * 16] = " + block_of(list(w.ravel())))
    print("static const uint8_t nvfp4_scale[NVFP4_BLOCKS] = " + block_of(scales))
    print("static const uint8_t nvfp4_code[NVFP4_BLOCKS * 16] = " + block_of(codes))


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(20250611)
    print("/* Written by tests/reference/make_float_goldens.py. */")
    print("#ifndef MC_TESTS_CORE_FLOAT_GOLDEN_H\n#define MC_TESTS_CORE_FLOAT_GOLDEN_H\n\n#include <stdint.h>\n")
    fp8("e4m3", torch.float8_e4m3fn, 0x7E, 448)
    fp8("e5m2", torch.float8_e5m2, 0x7B, 57344)
    mxfp4(rng)
    nvfp4(rng)
    print("#endif")


main()

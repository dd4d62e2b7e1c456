#!/usr/bin/env python3
"""Round-to-nearest grids in numpy, written from their published formulas and not from the C code.

Prints tests/quant/rtn_golden.h:  python3 tests/reference/quant_oracle.py > tests/quant/rtn_golden.h

  symmetric, full        s = 2 max|w| / (2^b - 1)      u = clamp(rint(w / s) + 2^(b-1), 0, 2^b - 1)
  symmetric, restricted  s = max|w| / (2^(b-1) - 1)    u = clamp(rint(w / s) + 2^(b-1), 1, 2^b - 1)
  asymmetric             s = (max(0, max w) - min(0, min w)) / (2^b - 1)
                         z = clamp(rint(-min(0, min w) / s), 0, 2^b - 1)
                         u = clamp(rint(w / s) + z, 0, 2^b - 1)

s is rounded to f16 before anything else is computed from it; all arithmetic is f32, rint rounds
half to even.
"""
import numpy as np

GROUP, GROUPS, UNIT = 16, 6, 4096
f32 = np.float32


def weights():
    """Whole multiples of 1/4096, so that a C file can hold them exactly."""
    rng = np.random.default_rng(20240607)
    w = rng.normal(0.0, 0.05, (GROUPS, GROUP))
    w[1] = np.abs(w[1]) + 0.02          # one-sided groups: 0 stays in the range
    w[2] = -np.abs(w[2]) - 0.02
    w[3, 5] = 3.0                       # an outlier
    w[4, :] = np.arange(GROUP) / 8.0 - 1.0  # many ties
    w[5, 1:] = 0.0                      # one weight alone
    return np.rint(w * UNIT).astype(np.int32)


def quantize(w, bits, mode):
    top = 2**bits - 1
    if mode == "asym":
        low, high = np.minimum(f32(0), w.min()), np.maximum(f32(0), w.max())
        s = f32(f32(high - low) / f32(top))
    elif mode == "full":
        s = f32(f32(2) * np.abs(w).max() / f32(top))
    else:
        s = f32(np.abs(w).max() / f32(2 ** (bits - 1) - 1))
    s = f32(np.float16(s))
    first = 0
    zero = f32(2 ** (bits - 1))
    if mode == "asym":
        zero = np.clip(np.rint(f32(-low / s)), f32(0), f32(top))
    if mode == "restricted":
        first = 1
    u = np.clip(np.rint((w / s).astype(f32)) + zero, first, top)
    return np.float16(s).view(np.uint16), int(zero), u.astype(int)


def block(values, form, per_line):
    lines = [values[i:i + per_line] for i in range(0, len(values), per_line)]
    return "\n".join("            " + ", ".join(form % v for v in line) + "," for line in lines)


def main():
    k = weights()
    print("/* Written by tests/reference/quant_oracle.py. */")
    print("#ifndef MC_TESTS_QUANT_RTN_GOLDEN_H\n#define MC_TESTS_QUANT_RTN_GOLDEN_H\n")
    print("#include <stdint.h>\n")
    print(f"enum {{ GOLDEN_GROUP = {GROUP}, GOLDEN_GROUPS = {GROUPS}, GOLDEN_UNIT = {UNIT} }};\n")
    print("/* In units of 1 / GOLDEN_UNIT. */")
    print("static const int16_t golden_weight[GOLDEN_GROUPS * GOLDEN_GROUP] = {")
    print(block(list(k.ravel()), "%d", 12).replace("            ", "    "))
    print("};\n")
    print("typedef enum { GOLDEN_FULL, GOLDEN_RESTRICTED, GOLDEN_ASYM } golden_mode;\n")
    print("static const struct {\n    golden_mode mode;\n    unsigned bits;")
    print("    uint16_t scale[GOLDEN_GROUPS]; /* f16 */\n    uint8_t zero[GOLDEN_GROUPS];")
    print("    uint8_t code[GOLDEN_GROUPS * GOLDEN_GROUP];\n} golden[] = {")
    for mode in ("full", "restricted", "asym"):
        for bits in (2, 3, 4, 8):
            done = [quantize(k[g].astype(f32) / f32(UNIT), bits, mode) for g in range(GROUPS)]
            print(f"    {{\n        .mode = GOLDEN_{mode.upper()},\n        .bits = {bits},")
            print("        .scale = {" + ", ".join("0x%04x" % d[0] for d in done) + "},")
            print("        .zero = {" + ", ".join("%d" % d[1] for d in done) + "},")
            print("        .code =\n            {")
            codes = [c for d in done for c in d[2]]
            print(block(codes, "%d", GROUP).replace("            ", "                "))
            print("            },\n    },")
    print("};\n\n#endif")


main()

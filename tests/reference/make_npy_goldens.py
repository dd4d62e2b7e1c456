#!/usr/bin/env python3
"""Arrays as NumPy writes them, for tests/formats/test_npy.c and test_npz.c.

    make_npy_goldens.py [FOLDER]      default: tests/golden/npy

Element i in C order is (37 i mod 101), less 50 for signed kinds, then divided by 8 for floats; of
booleans it is whether 3 divides i.
"""
import pathlib
import sys

import numpy as np

KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


def ramp(kind, shape, order="C", endian="<"):
    i = np.arange(int(np.prod(shape)))
    if kind == "b1":
        values = i % 3 == 0
    else:
        values = i * 37 % 101 - (0 if kind[0] == "u" else 50)
        values = values / 8 if kind[0] == "f" else values
    return np.asarray(values.astype(endian + kind).reshape(shape), order=order)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "../golden/npy")
    folder.mkdir(parents=True, exist_ok=True)
    for version in (1, 2, 3):
        with open(folder / f"v{version}.npy", "wb") as file:
            np.lib.format.write_array(file, ramp("f4", (2, 3)), version=(version, 0))
    every = {kind: ramp(kind, (2, 3)) for kind in KINDS}
    np.savez(folder / "stored.npz", **every)
    np.savez_compressed(folder / "deflated.npz", **every)
    np.savez(folder / "big_endian.npz", **{kind: ramp(kind, (2, 3), endian=">") for kind in KINDS})
    np.savez(folder / "fortran.npz", two=ramp("i4", (3, 4), "F"), four=ramp("f4", (2, 3, 2, 2), "F"), big=ramp("i8", (3, 2), "F", ">"))
    np.savez(folder / "shapes.npz", scalar=ramp("f4", ()), empty=ramp("f4", (0, 3)), none=ramp("i8", (0,)), eight=ramp("u1", (1, 2) * 4))
    np.save(folder / "records.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
    np.save(folder / "text.npy", np.array(["a", "bc"]))
    np.save(folder / "complex.npy", np.zeros(2, dtype="<c8"))


main()

"""A model of a few nodes, and data for it.

tiny_onnx.py OP...   m.onnx: x [n, 64] through each OP, then through w [64, 16]; data.npy: 32 rows of x, channels 4 and 5 always 0
"""
import random
import struct
import sys


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def node(op, inputs, output):
    return field(1, b"".join(field(1, name) for name in inputs) + field(2, output) + field(3, output) + field(4, op.encode()))


def value(name, width):
    shape = field(1, field(2, b"n")) + field(1, b"\x08" + varint(width))
    return field(1, name) + field(2, field(1, b"\x08\x01" + field(2, shape)))


def main():
    draw = random.Random(1)
    weight = struct.pack("<1024f", *(draw.gauss(0, 1) for _ in range(1024)))
    nodes, at = b"", b"x"
    for i, op in enumerate(sys.argv[1:]):
        nodes, at = nodes + node(op, [at], b"v%d" % i), b"v%d" % i
    nodes += node("MatMul", [at, b"w"], b"y")
    tensor = b"\x08\x40\x08\x10\x10\x01" + field(8, b"w") + field(9, weight)
    graph = nodes + field(2, b"tiny") + field(5, tensor) + field(11, value(b"x", 64)) + field(12, value(b"y", 16))
    with open("m.onnx", "wb") as file:
        file.write(b"\x08\x08" + field(7, graph) + field(8, field(1, b"") + b"\x10\x11"))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (32, 64), }".ljust(117) + b"\n"
    rows = (0.0 if i % 64 in (4, 5) else draw.gauss(0, 1) for i in range(32 * 64))
    with open("data.npy", "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<2048f", *rows))


main()

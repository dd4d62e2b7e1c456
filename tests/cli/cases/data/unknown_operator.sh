#!/bin/sh
python3 - <<'PY'
def field(n, payload): # length-delimited
    return bytes([n << 3 | 2, len(payload)]) + payload
def node(op, domain, i, o):
    return field(1, i) + field(2, o) + field(3, b"n0") + field(4, op) + (field(7, domain) if domain else b"")
shape = field(2, field(1, b"\x08\x04") + field(1, b"\x08\x08"))
io = lambda name: field(1, name) + field(2, field(1, b"\x08\x01" + shape))
weight = b"\x08\x08\x08\x40" + b"\x10\x01" + field(8, b"w") + b"\x4a\x80\x10" + b"\x00\x00\x80\x3f" * 512
graph = field(1, node(b"FancyMix", b"com.acme", b"x", b"y")) + field(2, b"g") + field(11, io(b"x")) + field(12, io(b"y"))
graph += b"\x2a" + bytes([len(weight) & 127 | 128, len(weight) >> 7]) + weight
g = b"\x3a" + bytes([len(graph) & 127 | 128, len(graph) >> 7]) + graph
open("m.onnx", "wb").write(b"\x08\x08" + g + field(8, field(1, b"") + b"\x10\x11") + field(8, field(1, b"com.acme") + b"\x10\x03"))
PY
mcompress quantize --w8a16 --bits 'w=8' --quiet m.onnx out.bin && ls
printf 'x' >d.npz
mcompress quantize --w8a16 --bits 'w=8' --quiet m.onnx other.bin --data d.npz

#!/bin/sh
mnist=$MC_SOURCE_DIR/examples/mnist
mcompress quantize --w4a8 --quiet "$mnist/mnist.onnx" out.bin || exit
for numerics in fake-quant integer; do
    mcompress verify out.bin --reference "$mnist/mnist.onnx" --data "$mnist/eval.npz" --quick 50 --quiet \
        --numerics $numerics --dump $numerics.npz --report $numerics.json || exit
    grep '"simulated"' $numerics.json
done
MC_A=fake-quant.npz MC_B=integer.npz python3 - <<'PY'
import os, struct, zipfile
def numbers(path, name):
    data = zipfile.ZipFile(path).read(name + ".npy")
    header = struct.unpack_from("<H", data, 8)[0]
    body = data[10 + header:]
    return struct.unpack("<%df" % (len(body) // 4), body)
name = [n[:-4] for n in zipfile.ZipFile(os.environ["MC_A"]).namelist() if n.startswith("container/")][0]
a, b = numbers(os.environ["MC_A"], name), numbers(os.environ["MC_B"], name)
most = max(map(abs, a))
print(len(a), "numbers", "near" if max(abs(x - y) for x, y in zip(a, b)) < 1e-5 * most else "far")
PY

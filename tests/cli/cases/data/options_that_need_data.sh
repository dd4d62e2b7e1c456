#!/bin/sh
mcompress verify out.bin --reference m.onnx --quick 5
mcompress verify out.bin --reference m.onnx --data a.npz --score ./judge
mcompress verify out.bin --reference m.onnx --data a.npz --data b.npz

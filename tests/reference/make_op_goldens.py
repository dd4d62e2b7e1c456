#!/usr/bin/env python3
"""Prints the numbers that tests/core/test_ops_*.c expect of operators, as C arrays.

Run with a Python that has onnx (1.23), onnxruntime and numpy: make_op_goldens.py [NAME...]
Operators of ai.onnx are computed by onnx.reference, those of com.microsoft by onnxruntime. Inputs
are the ramps of tests/support/op_ramp.h, so that only results are stored."""

import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

F = np.float32


def steps(n, seed, modulus):
    return (np.arange(n) * (26 * seed + 91) + 5 * seed) % modulus


def ramp(shape, seed):
    n = int(np.prod(shape))
    return ((steps(n, seed, 31) - 15) / 8.0).astype(F).reshape(shape)


def codes(shape, seed, dtype=np.uint8):
    n = int(np.prod(shape))
    return steps(n, seed, 251).astype(np.uint8).view(dtype).reshape(shape)


def model(op, version, inputs, outputs, domain, attrs):
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    names = [f"i{k}" if x is not None else "" for k, x in enumerate(inputs)]
    node = helper.make_node(op, names, [f"o{k}" for k in range(outputs)], domain=domain, **attrs)
    given = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
             for n, x in zip(names, inputs) if x is not None]
    made = [helper.make_value_info(f"o{k}", onnx.TypeProto()) for k in range(outputs)]
    opsets = [helper.make_opsetid("", version if domain == "" else 21)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    graph = helper.make_graph([node], "g", given, made)
    feed = {n: x for n, x in zip(names, inputs) if x is not None}
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), feed


def run(op, version, inputs, outputs=1, domain="", **attrs):
    made, feed = model(op, version, inputs, outputs, domain, attrs)
    if domain == "":
        return ReferenceEvaluator(made).run(None, feed)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(made.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, feed)


MS = "com.microsoft"


def goldens():
    x = ramp((2, 3, 4), 1)
    yield "layer", run("LayerNormalization", 17, [x, ramp((4,), 2), ramp((4,), 3)], 3, axis=-1)
    yield "layer_spread", run("LayerNormalization", 17, [x, ramp((3, 1), 2)], axis=1)
    yield "rms", run("RMSNormalization", 23, [x, ramp((4,), 2)])
    image = ramp((2, 4, 3), 4)
    yield "groups", run("GroupNormalization", 21, [image, ramp((4,), 2), ramp((4,), 3)], num_groups=2)
    yield "instance", run("InstanceNormalization", 6, [image, ramp((4,), 2), ramp((4,), 3)])
    yield "training", run("BatchNormalization", 15, [image, ramp((4,), 2), ramp((4,), 3),
                                                     ramp((4,), 5), np.abs(ramp((4,), 6))], 3,
                          training_mode=1, momentum=0.75)
    # onnx.reference counts channels by samples: as many of both
    yield "lrn", run("LRN", 13, [ramp((4, 4, 2, 1), 4)], size=3, alpha=0.5, beta=0.75, bias=2.0)
    yield "mvn", run("MeanVarianceNormalization", 13, [ramp((2, 2, 2, 3), 4)])

    q, k, v = ramp((1, 2, 12), 1), ramp((1, 3, 6), 2), ramp((1, 3, 6), 3)
    mask = np.array([[True, False, True], [True, True, True]])
    heads = {"q_num_heads": 4, "kv_num_heads": 2}
    yield "heads_mask", run("Attention", 24, [q, k, v, mask], **heads)
    past = ramp((1, 2, 2, 3), 4), ramp((1, 2, 2, 3), 5)
    out = run("Attention", 24, [q, k, v, None, *past], 4, is_causal=1, softcap=1.5,
              qk_matmul_output_mode=2, **heads)
    yield "heads_past", [out[0], out[3]]
    yield "heads_valid", run("Attention", 24, [ramp((2, 1, 2, 3), 1), ramp((2, 1, 4, 3), 2),
                                               ramp((2, 1, 4, 3), 3), None, None, None,
                                               np.array([3, 1])], is_causal=1)
    yield "rotary", run("RotaryEmbedding", 23, [ramp((1, 2, 8), 1), ramp((4, 1), 2),
                                                ramp((4, 1), 3), np.array([[3, 1]])],
                        num_heads=2, rotary_embedding_dim=2)
    yield "rotary_pairs", run("RotaryEmbedding", 23, [ramp((1, 2, 2, 4), 1), ramp((1, 2, 2), 2),
                                                      ramp((1, 2, 2), 3)], interleaved=1)

    a, b = codes((2, 4), 1), codes((4, 3), 2)
    yield "qlinear_matmul", run("QLinearMatMul", 10, [a, F(0.02), np.uint8(113), b, F(0.01),
                                                      np.uint8(114), F(0.05), np.uint8(118)])
    image8, filters = codes((1, 2, 3, 3), 3), codes((2, 2, 2, 2), 4, np.int8)
    scales = np.array([0.01, 0.02], F)
    yield "qlinear_conv", run("QLinearConv", 10, [image8, F(0.03), np.uint8(120), filters, scales,
                                                  np.zeros(2, np.int8), F(0.5), np.uint8(100),
                                                  np.array([500, -500], np.int32)],
                              pads=[1, 0, 0, 1])

    rows = ramp((2, 20), 1)
    scales = np.abs(ramp((3, 2), 2))
    yield "nbits", run("MatMulNBits", 1, [rows, codes((3, 2, 8), 3), scales, codes((3, 1), 4)],
                       domain=MS, N=3, K=20, bits=4, block_size=16)
    yield "gather_blocks", run("GatherBlockQuantized", 1, [codes((4, 16), 3), np.array([2, 0]),
                                                           np.abs(ramp((4, 2), 2)),
                                                           codes((4, 1), 4)],
                               domain=MS, bits=4, block_size=16)
    yield "skip_layer", run("SkipLayerNormalization", 1, [x, ramp((3, 4), 2), ramp((4,), 3),
                                                          ramp((4,), 4), ramp((4,), 5)], 4,
                            domain=MS, epsilon=1e-5)[::3]
    yield "dynamic_matmul", run("DynamicQuantizeMatMul", 1, [rows, codes((20, 2), 1), F(0.01),
                                                             np.uint8(113), ramp((2,), 2)],
                                domain=MS)
    yield "qattention", run("QAttention", 1, [codes((1, 2, 3), 1), codes((3, 12), 2), ramp((12,), 3),
                                              F(0.01), F(0.02), np.array([[1, 0]], np.int32),
                                              np.uint8(113), np.uint8(114)],
                            domain=MS, num_heads=2)
    yield "fused_matmul", run("FusedMatMul", 1, [ramp((3, 2, 4), 1), ramp((2, 3, 4), 2)], domain=MS,
                              transBatchA=1, transB=1, alpha=0.5)
    yield "fused_gemm", run("FusedGemm", 1, [ramp((2, 3), 1), ramp((2, 3), 2), ramp((2,), 3)],
                            domain=MS, transB=1, activation="LeakyRelu", activation_alpha=0.25)
    yield "fused_conv", run("FusedConv", 1, [ramp((1, 1, 3, 3), 1), ramp((2, 1, 2, 2), 2),
                                             ramp((2,), 3), ramp((1, 2, 2, 2), 4)], domain=MS,
                            activation="Clip", activation_params=[-1.0, 1.0])


def text(value):
    flat = np.asarray(value).reshape(-1)
    if flat.dtype.kind in "iu":
        return ", ".join(str(int(x)) for x in flat)
    names = {float("inf"): "INFINITY", float("-inf"): "-INFINITY"}
    return ", ".join(names.get(float(x), f"{x:.9g}") if np.isinf(x) else float_text(x) for x in flat)


def float_text(x):
    shown = f"{x:.9g}"
    return shown + ("f" if "." in shown or "e" in shown else ".0f")


def main():
    for name, outputs in goldens():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        for k, value in enumerate(outputs):
            kind = "int64_t" if np.asarray(value).dtype.kind in "iu" else "float"
            print(f"static const {kind} {name}_{k}[] = {{{text(value)}}};")


if __name__ == "__main__":
    main()

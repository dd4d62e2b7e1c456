#!/usr/bin/env python3
"""Writes tests/golden/onnx: small models that hold, between them, what ONNX has besides plain nodes.

Run with a Python that has onnx (1.23) and numpy: make_onnx_goldens.py
All pass onnx.checker with full_check."""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

TO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "onnx")
F = np.float32


def ramp(name, *shape, dtype=F):
    return numpy_helper.from_array((np.arange(np.prod(shape)) % 7 - 3).astype(dtype).reshape(shape), name)


def value(name, shape, dtype=T.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def save(name, graph, ir=8, opsets=(("", 17),), functions=(), **more):
    model = helper.make_model(graph, ir_version=ir, opset_imports=[helper.make_opsetid(*o) for o in opsets],
                              functions=list(functions), producer_name="make_onnx_goldens", **more)
    path = os.path.join(TO, name + ".onnx")
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)
    return path


def functions():
    """Attributes of calls, defaults, a Constant in a body, a call inside a call, an overload."""
    own = [helper.make_opsetid("", 17), helper.make_opsetid("golden", 1)]
    slope = helper.make_node("LeakyRelu", ["x"], ["t"])
    slope.attribute.add(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope")
    leaky = helper.make_function(
        "golden", "ScaledLeaky", ["x"], ["y"],
        [slope, helper.make_node("Constant", [], ["k"], value=ramp("inner", 4)), helper.make_node("Mul", ["t", "k"], ["y"])],
        own, attributes=[], attribute_protos=[helper.make_attribute("slope", 0.25)], doc_string="leaky, then scaled")
    twice = helper.make_function(
        "golden", "Twice", ["x"], ["y"],
        [helper.make_node("ScaledLeaky", ["x"], ["t"], domain="golden", slope=0.5),
         helper.make_node("ScaledLeaky", ["t"], ["y"], domain="golden")], own)
    other = helper.make_function("golden", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], own,
                                 overload="sum", value_info=[value("y", [2, 4])])
    nodes = [helper.make_node("Twice", ["x"], ["a"], domain="golden", name="first"),
             helper.make_node("Twice", ["a"], ["y"], domain="golden", overload="sum")]
    save("functions", helper.make_graph(nodes, "calls", [value("x", [2, 4])], [value("y", [2, 4])]), ir=10,
         opsets=(("", 17), ("golden", 1)), functions=[leaky, twice, other])


def subgraphs():
    """An If in a Loop: captured values, initializers and Constants of one name in both branches."""
    def branch(name, op, k):
        return helper.make_graph(
            [helper.make_node("Constant", [], [name + "_c"], value=ramp("c", 4)),
             helper.make_node(op, ["acc", name + "_k"], [name + "_t"]),
             helper.make_node("Add", [name + "_t", name + "_c"], [name + "_m"]),
             helper.make_node("Mul", [name + "_m", "w"], [name + "_out"])],
            name, [], [value(name + "_out", ["n"])], initializer=[ramp(name + "_k", k)], value_info=[value(name + "_t", [4])])
    body = helper.make_graph(
        [helper.make_node("Less", ["i", "limit"], ["early"]),
         helper.make_node("If", ["early"], ["next"], then_branch=branch("yes", "Add", 4), else_branch=branch("no", "Sub", 1)),
         helper.make_node("Identity", ["go"], ["again"])],
        "body", [value("i", [], T.INT64), value("go", [], T.BOOL), value("acc", [4])],
        [value("again", [], T.BOOL), value("next", ["n"])])
    save("subgraphs", helper.make_graph(
        [helper.make_node("Loop", ["count", "", "x"], ["y"], body=body, name="loop")], "outer",
        [value("count", [], T.INT64), value("x", [4])], [value("y", ["m"])],
        initializer=[ramp("w", 4), numpy_helper.from_array(np.array(2, np.int64), "limit")]))


def sparse():
    values = helper.make_tensor("s", T.FLOAT, [2], [1.5, -2.5])
    indices = helper.make_tensor("s_at", T.INT64, [2, 2], [0, 1, 2, 3])
    tensor = helper.make_sparse_tensor(values, indices, [3, 4])
    constant = helper.make_node("Constant", [], ["d"], sparse_value=helper.make_sparse_tensor(
        helper.make_tensor("v", T.FLOAT, [1], [4.0]), helper.make_tensor("at", T.INT64, [1], [5]), [3, 4]))
    graph = helper.make_graph([constant, helper.make_node("Add", ["d", "x"], ["y"])], "sparse", [value("x", [3, 4])],
                              [value("y", [3, 4])], sparse_initializer=[tensor])
    save("sparse", graph)


def external():
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "a"], ["t"]),
         helper.make_node("Constant", [], ["c"], value=ramp("c", 8)), helper.make_node("Add", ["t", "c"], ["u"]),
         helper.make_node("Add", ["u", "b"], ["y"])],
        "external", [value("x", [2, 16])], [value("y", [2, 8])], initializer=[ramp("a", 16, 8), ramp("b", 8)])
    path = save("external", graph)
    model = onnx.load(path)
    data = os.path.join(TO, "external.onnx.data")
    if os.path.exists(data):
        os.remove(data)
    onnx.save(model, path, save_as_external_data=True, location="external.onnx.data", size_threshold=64,
              convert_attribute=False)
    onnx.checker.check_model(path, full_check=True)


def strings():
    names = helper.make_tensor("names", T.STRING, [2, 2], [b"", b"one", "zw\u00f6lf".encode(), b"a\0b\xff"])
    constant = helper.make_node("Constant", [], ["more"], value=helper.make_tensor("m", T.STRING, [2], [b"x", b""]))
    several = helper.make_node("Constant", [], ["list"], value_strings=[b"p", b"q\0", b""])
    single = helper.make_node("Constant", [], ["single"], value_string=b"alone")
    graph = helper.make_graph(
        [constant, several, single, helper.make_node("Identity", ["names"], ["y"]),
         helper.make_node("Identity", ["more"], ["z"]), helper.make_node("Concat", ["list", "more"], ["both"], axis=0)],
        "strings", [value("x", [1])], [value("y", [2, 2], T.STRING), value("z", [2], T.STRING), value("both", [5], T.STRING)],
        initializer=[names])
    save("strings", graph)


def unknown():
    """Operators of a domain that no one knows, with attributes of every kind."""
    inner = helper.make_graph([helper.make_node("Neg", ["x"], ["g"])], "inner", [], [value("g", None)],
                              initializer=[ramp("inner_w", 3)])
    sparse_tensor = helper.make_sparse_tensor(helper.make_tensor("v", T.FLOAT, [1], [1.0]),
                                              helper.make_tensor("i", T.INT64, [1], [2]), [3])
    kind = helper.make_tensor_type_proto(T.FLOAT, [1, "n"])
    node = helper.make_node(
        "Mystery", ["x", "", "w"], ["y", "", "rest"], name="m", domain="com.acme", doc_string="what is it?",
        f=0.1, i=-7, s=b"\xff\0", t=ramp("t", 2), g=inner, floats=[1.0, -0.0, float("nan")], ints=[-1, 2**62], strings=[b"", b"b"],
        tensors=[ramp("t0", 1), ramp("t1", 0)], graphs=[inner, helper.make_graph([], "bare", [], [])], sparse=sparse_tensor,
        sparses=[sparse_tensor], kind=kind, kinds=[kind, helper.make_sequence_type_proto(kind)])
    node.attribute.append(helper.make_attribute("none", [], attr_type=onnx.AttributeProto.INTS))
    node.attribute[0].doc_string = "a float"
    node.metadata_props.add(key="layer", value="3")
    plain = helper.make_node("Plain", ["y"], ["z"], domain="org.other")
    save("unknown", helper.make_graph([node, plain], "unknown", [value("x", ["batch", 3])], [value("z", ["batch", None])],
                                      initializer=[ramp("w", 3, 3)]),
         ir=10, opsets=(("", 17), ("com.acme", 3), ("org.other", 1)))


def small_types():
    """Types below a byte, and floats of a byte, as raw and as typed data."""
    tensors = [helper.make_tensor("i4", T.INT4, [3], [-8, 7, -1]), helper.make_tensor("u4", T.UINT4, [2, 2], [0, 15, 7, 8]),
               helper.make_tensor("i2", T.INT2, [5], [-2, 1, 0, -1, 1]), helper.make_tensor("u2", T.UINT2, [2], [3, 1]),
               helper.make_tensor("f4", T.FLOAT4E2M1, [3], [0.5, -6.0, 3.0]),
               helper.make_tensor("e4", T.FLOAT8E4M3FN, [2], [0.5, -448.0]),
               helper.make_tensor("e5", T.FLOAT8E5M2FNUZ, [2], [0.5, 2.0]),
               helper.make_tensor("raw4", T.INT4, [3], b"\x21\x0f", raw=True)]
    nodes = [helper.make_node("DequantizeLinear", ["i4", "scale"], ["y"])]
    nodes += [helper.make_node("Cast", [t.name], [t.name + "_f"], to=T.FLOAT) for t in tensors]
    outputs = [value("y", [3])] + [value(t.name + "_f", list(t.dims)) for t in tensors]
    save("small_types", helper.make_graph(nodes, "small", [], outputs,
                                          initializer=tensors + [numpy_helper.from_array(np.array(0.5, F), "scale")]),
         ir=13, opsets=(("", 25),))


def typed():
    """Every storage that a tensor has, and none where there are no elements."""
    kinds = {T.FLOAT: [1.5, -0.0], T.DOUBLE: [1e300, 0.1], T.INT8: [-128, 127], T.UINT8: [0, 255], T.INT16: [-32768, 5],
             T.UINT16: [65535, 0], T.INT32: [-2**31, 1], T.UINT32: [2**32 - 1, 0], T.INT64: [-2**63, 1], T.UINT64: [2**64 - 1, 0],
             T.BOOL: [True, False], T.FLOAT16: [0.5, -2.0], T.BFLOAT16: [0.5, -2.0], T.COMPLEX64: [1 + 2j, -1j],
             T.COMPLEX128: [1 + 2j, -1j]}
    tensors = [helper.make_tensor(T.DataType.Name(k).lower(), k, [2], v) for k, v in kinds.items()]
    tensors += [helper.make_tensor("nothing", T.FLOAT, [0, 3], []), helper.make_tensor("scalar", T.INT64, [], [9])]
    tensors[0].doc_string = "two floats"
    tensors[0].metadata_props.add(key="of", value="tensor")
    nodes = [helper.make_node("Identity", [t.name], ["out_" + t.name]) for t in tensors]
    save("typed", helper.make_graph(nodes, "typed", [], [value("out_" + t.name, list(t.dims), t.data_type) for t in tensors],
                                    initializer=tensors), ir=10)


def described():
    """Texts wherever there is room for one, names of dimensions, annotations; IR 3: initializers are inputs."""
    x = helper.make_tensor_value_info("x", T.FLOAT, ["batch", None, 4], doc_string="the input",
                                      shape_denotation=["DATA_BATCH", "", "DATA_FEATURE"])
    node = helper.make_node("MatMul", ["x", "w"], ["t"], name="product", doc_string="multiplies")
    unit = helper.make_node("Transpose", ["t"], ["y"], perm=[0, 2, 1])
    unit.attribute[0].doc_string = "the last two"
    graph = helper.make_graph([node, unit], "described", [x, value("w", [4, 2])],
                              [helper.make_tensor_value_info("y", T.FLOAT, ["batch", 2, "n"], doc_string="the output")],
                              initializer=[ramp("w", 4, 2)], doc_string="a graph",
                              value_info=[value("t", ["batch", "n", 2]), value("elsewhere", [1])])
    annotation = graph.quantization_annotation.add(tensor_name="t")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w")
    graph.metadata_props.add(key="of", value="graph")
    save("described", graph, ir=3, opsets=(("", 9), ("ai.onnx.ml", 2)), doc_string="a model", producer_version="1.0",
         domain="org.golden", model_version=7)
    path = os.path.join(TO, "described.onnx")
    model = onnx.load(path)
    helper.set_model_props(model, {"author": "me", "license": "MIT", "empty": ""})
    onnx.save(model, path)


def disordered():
    """Nodes behind those that take what they give: written in order."""
    graph = helper.make_graph([helper.make_node("Neg", ["b"], ["y"]), helper.make_node("Abs", ["a"], ["b"]),
                               helper.make_node("Relu", ["x"], ["a"])], "disordered", [value("x", [2])], [value("y", [2])])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    with open(os.path.join(TO, "disordered.onnx"), "wb") as file:
        file.write(model.SerializeToString())


def main():
    os.makedirs(TO, exist_ok=True)
    for make in (functions, subgraphs, sparse, external, strings, unknown, small_types, typed, described, disordered):
        make()
    return 0


if __name__ == "__main__":
    sys.exit(main())

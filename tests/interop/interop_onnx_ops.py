"""Operators against PyPI's `onnx`: the newest cases of its backend suite, which Debian's package does not have (opsets 18 to
25), its light CNNs, and the same CNNs with random weights against ONNX Runtime. Each is run as it stands and after all passes.

ONNX_BACKEND is the runner; with -v it prints its whole table."""
import json
import os
import re
import subprocess
import sys
import warnings

import oracles
from oracles import cases, np

import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.loader import load_node_model_tests

RUNNER = os.environ["ONNX_BACKEND"]
LIGHT = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
OPSETS = range(18, 26)
LEAST = 860  # of the cases must pass: operators that are not known may not become more
REFUSED = 4  # training, whose numbers are drawn
# Two units in the last place. The suite's numbers are numpy's, rounded at each of its steps; those of its attention in
# bfloat16 are up to 1.2 units away from the same in f64, rounded once.
SMALL_FLOATS = {onnx.TensorProto.FLOAT16: 2.0 ** -9, onnx.TensorProto.BFLOAT16: 2.0 ** -6}
RANDOM_UP_TO = 40_000_000  # parameters: the others only take time


def version(model):
    """Of the operators of ai.onnx; 0 when the model uses none."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def serialized(value, info):
    kind = info.type.WhichOneof("value")
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    make = {"sequence_type": numpy_helper.from_list, "optional_type": numpy_helper.from_optional,
            "map_type": numpy_helper.from_dict}.get(kind, numpy_helper.from_array)
    return make(value, info.name).SerializeToString()


def write_case(folder, model, data_sets, rtol=1e-3, atol=1e-7):
    """The layout of the suite: model.onnx, test_data_set_K/{input,output}_i.pb; tolerances in data.json."""
    os.makedirs(folder)
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(model if isinstance(model, bytes) else model.SerializeToString())
    with open(os.path.join(folder, "data.json"), "w", encoding="utf-8") as file:
        json.dump({"rtol": rtol, "atol": atol}, file)
    for k, values in enumerate(data_sets):
        inside = os.path.join(folder, f"test_data_set_{k}")
        os.makedirs(inside)
        for name, data in values.items():
            with open(os.path.join(inside, name + ".pb"), "wb") as file:
                file.write(data)


def node_cases(folder):
    """How many there are of each opset."""
    count = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases divide by zero on purpose
        found = load_node_model_tests()
    for case in found:
        v = version(case.model)
        if v not in OPSETS:
            continue
        sets = []
        for inputs, outputs in case.data_sets:
            values = {f"input_{i}": serialized(x, case.model.graph.input[i]) for i, x in enumerate(inputs)}
            values.update({f"output_{i}": serialized(x, case.model.graph.output[i]) for i, x in enumerate(outputs)})
            sets.append(values)
        rtol = max([case.rtol, *(SMALL_FLOATS.get(o.type.tensor_type.elem_type, 0) for o in case.model.graph.output)])
        write_case(os.path.join(folder, case.name), case.model, sets, rtol, case.atol)
        count[v] = count.get(v, 0) + 1
    return count


def light_input(model):
    """The suite's own: numbers that rise from 0 to 1."""
    weights = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    assert len(inputs) == 1
    shape = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim]
    n = np.prod(shape)
    return inputs[0], (np.arange(n).reshape(shape) / n).astype(np.float32)


def light_models(folder):
    for name in sorted(os.listdir(LIGHT)):
        if not name.endswith(".onnx"):
            continue
        model = onnx.load(os.path.join(LIGHT, name))
        info, x = light_input(model)
        with open(os.path.join(LIGHT, name[:-5] + "_output_0.pb"), "rb") as file:
            values = {"input_0": serialized(x, info), "output_0": file.read()}
        write_case(os.path.join(folder, name[:-5]), model, [values])


def randomize(model, rng):
    """Weights that were made by ConstantOfShape become random, of a size that keeps activations in range. How many."""
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kept, total = [], 0
    positive = {n.input[i] for n in model.graph.node if n.op_type == "BatchNormalization" for i in (1, 4)}
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(int(d) for d in shapes[node.input[0]])
        total += int(np.prod(shape))
        fan_in = max(int(np.prod(shape[1:])), 1) if len(shape) > 1 else 100
        w = (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
        if node.output[0] in positive:
            w = np.abs(w) + np.float32(0.5)
        model.graph.initializer.append(numpy_helper.from_array(w, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return total


def random_models(folder):
    """Outputs of the light models are one number a thousand times; these tell channels and positions apart."""
    rng = np.random.default_rng(20)
    for name in sorted(os.listdir(LIGHT)):
        if not name.endswith(".onnx"):
            continue
        model = onnx.load(os.path.join(LIGHT, name))
        if randomize(model, rng) > RANDOM_UP_TO:
            continue
        info, x = light_input(model)
        x = (x + rng.standard_normal(x.shape)).astype(np.float32)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        data = model.SerializeToString()
        session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
        y = session.run(None, {info.name: x})[0]
        values = {"input_0": serialized(x, info), "output_0": serialized(y, model.graph.output[0])}
        write_case(os.path.join(folder, "random_" + name[6:-5]), data, [values], 1e-3, 1e-4 * float(np.abs(y).max()))


def run(folder, label, *options):
    """Its cases become ours. (passed, failed, refused, not covered)"""
    out = subprocess.run([RUNNER, *options, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    for line in out.splitlines():
        verdict = re.match(r"(not ok|ok) \d+ - (.*)", line)
        if verdict:
            print(f"{verdict[1]} - {verdict[2].split(' # ')[0]}, {label}" + (" # SKIP" + line.split("# SKIP")[1] if "# SKIP" in line else ""))
        else:
            print(line)
    total = re.search(r"^# (\d+) passed, (\d+) failed, (\d+) refused, (\d+) not covered$", out, re.M)
    if not total:
        cases.check(f"{label}: the runner ends", False, out[-2000:])
        return 0, 1, 0, 0
    return tuple(map(int, total.groups()))


def main():
    scratch = cases.scratch()
    nodes, light, random = (os.path.join(scratch, name) for name in ("nodes", "light", "random"))
    count = node_cases(nodes)
    light_models(light)
    random_models(random)
    print("# cases by opset:", ", ".join(f"{v}: {count[v]}" for v in sorted(count)))
    for graph, options in (("as it is", ()), ("after passes", ("--passes",))):
        passed, failed, refused, unknown = run(nodes, graph, *options, "--refused", str(REFUSED))
        print(f"# opsets 18 to 25, {graph}: {passed} passed, {failed} failed, {refused} refused, {unknown} not covered")
        cases.check(f"opsets 18 to 25, {graph}: at least {LEAST} cases pass", passed >= LEAST, passed)
        for folder, least in ((light, 9), (random, 5)):
            passed, failed, _, _ = run(folder, graph, *options)
            cases.check(f"{os.path.basename(folder)} CNNs, {graph}: all {least} run", passed >= least and failed == 0, passed)
    cases.finish()


main()

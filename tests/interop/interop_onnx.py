"""The ONNX writer against PyPI's `onnx` and `onnxruntime`: models that are read and written again hold the same nodes,
attributes, numbers and texts, and are accepted and run as before; with external data and without weights too."""
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

PROGRAM = os.environ["ONNX_REWRITE"]
ROOT = os.environ["MC_SOURCE_DIR"]
MODELS = os.path.join(os.environ["MC_SHARED"], "models")
TESTDATA = os.environ.get("ONNX_TESTDATA", "/usr/share/libonnx-testdata/data")
AT_ONCE = 200

count = 0


def report(name, wrong, what):
    global count
    count += 1
    print("%s %d - %s: %s" % ("not ok" if wrong else "ok", count, name, what))
    for line in wrong[:5]:
        print("#   " + line)


# ---- what two models have to agree in ----

def settle(tensor, folder):
    """The numbers as raw_data, whatever held them; strings stay."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return
    data = numpy_helper.to_array(tensor, folder).tobytes()
    for field in ("float_data", "int32_data", "int64_data", "uint64_data", "double_data", "raw_data", "external_data",
                  "data_location"):
        tensor.ClearField(field)
    tensor.raw_data = data


def messages(message):
    for field, value in message.ListFields():
        if field.message_type:
            # One message, or many.
            for item in [value] if hasattr(value, "ListFields") else value:
                yield item
                yield from messages(item)


def settled(path):
    model = onnx.load(path, load_external_data=False)
    for message in messages(model):
        if isinstance(message, onnx.TensorProto):
            settle(message, os.path.dirname(path))
    return model


def is_ordered(graph, given):
    given = given | {v.name for v in graph.input} | {t.name for t in graph.initializer} | {""}
    given |= {t.values.name for t in graph.sparse_initializer}
    for node in graph.node:
        if not given.issuperset(node.input):
            return False
        given = given | set(node.output)
    return True


def differences(a, b, where=""):
    """Where two messages differ, by the names of fields."""
    if a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True):
        return []
    out = []
    for field in a.DESCRIPTOR.fields:
        x, y, at = getattr(a, field.name), getattr(b, field.name), where + "." + field.name
        if field.message_type and not hasattr(x, "ListFields"):  # a list of them
            if len(x) != len(y):
                out.append("%s: %d, not %d" % (at, len(y), len(x)))
            for i, (p, q) in enumerate(zip(x, y)):
                out += differences(p, q, "%s[%d]" % (at, i))
        elif field.message_type:
            if a.HasField(field.name) != b.HasField(field.name):
                out.append(at + ": only one has it")
            out += differences(x, y, at)
        elif x != y:
            out.append("%s: %.80r, not %.80r" % (at, y, x))
    return out or [where + ": other bytes"]


def compare(before, after):
    a, b = settled(before), settled(after)
    if not is_ordered(a.graph, set()):  # it comes out in order, as ONNX wants it
        for model in (a, b):
            nodes = sorted(model.graph.node, key=lambda n: n.SerializeToString(deterministic=True))
            del model.graph.node[:]
            model.graph.node.extend(nodes)
    return differences(a, b)


def refusal(path):
    try:
        onnx.checker.check_model(path, full_check=True)
        return None
    except Exception as e:  # the checker and shape inference have classes of their own
        return str(e).replace(path, "")[:200]


# ---- suites ----

def rewrite(folder, paths, *options):
    """OUT of each path, and why some could not be written."""
    outs = [os.path.join(folder, "%d.onnx" % i) for i in range(len(paths))]
    said = ""
    for i in range(0, len(paths), AT_ONCE):
        pairs = [name for pair in zip(paths[i:i + AT_ONCE], outs[i:i + AT_ONCE]) for name in pair]
        done = subprocess.run([PROGRAM, *options, *pairs], stdout=subprocess.PIPE, text=True)
        if done.returncode < 0:
            said += "killed by signal %d\n" % -done.returncode
        said += done.stdout
    return outs, said.splitlines()


def read_and_write(name, paths, least, *options):
    with tempfile.TemporaryDirectory() as folder:
        outs, wrong = rewrite(folder, paths, *options)
        same = 0
        for before, after in zip(paths, outs):
            if not os.path.exists(after):
                continue
            found = compare(before, after)
            refused = refusal(after)
            if refused and not refusal(before):
                found.append("refused: " + refused)
            wrong += ["%s: %s" % (before, line) for line in found]
            same += not found
    if same < least:
        wrong.append("only %d models" % same)
    report(name, wrong, "%d models read and written" % len(paths))


def run(name, model, npz, *options):
    with tempfile.TemporaryDirectory() as folder:
        (out,), wrong = rewrite(folder, [model], *options)
        sessions = [onnxruntime.InferenceSession(p, providers=["CPUExecutionProvider"]) for p in (model, out)]
        (name_of_input,) = [i.name for i in sessions[0].get_inputs()]
        for sample in np.load(npz)[name_of_input][:32].astype(np.float32):
            for a, b in zip(*(s.run(None, {name_of_input: sample[None]}) for s in sessions)):
                if a.tobytes() != b.tobytes():
                    wrong.append("outputs are %g apart" % np.abs(a - b).max())
    report(name, wrong, "onnxruntime gives the same with " + (" ".join(options) or "no options"))


def run_goldens():
    """Weights in a file beside the model, also those of Constants, subgraphs and functions."""
    inputs = {"external": {"x": (2, 16)}, "functions": {"x": (2, 4)}, "subgraphs": {"x": (4,)}}
    for name, shapes in inputs.items():
        model = os.path.join(ROOT, "tests/golden/onnx", name + ".onnx")
        feed = {k: np.random.default_rng(0).random(v, dtype=np.float32) for k, v in shapes.items()}
        if name == "subgraphs":
            feed["count"] = np.array(3, np.int64)
        with tempfile.TemporaryDirectory() as folder:
            (out,), wrong = rewrite(folder, [model], "--external", "1")
            a, b = (onnxruntime.InferenceSession(p, providers=["CPUExecutionProvider"]).run(None, feed) for p in (model, out))
            if any(x.tobytes() != y.tobytes() for x, y in zip(a, b)):
                wrong.append("outputs differ")
        report(name, wrong, "onnxruntime gives the same with external data")


def external(name, model):
    with tempfile.TemporaryDirectory() as folder:
        (out,), wrong = rewrite(folder, [model], "--external", "256")
        for message in messages(onnx.load(out, load_external_data=False)):
            if not isinstance(message, onnx.TensorProto):
                continue
            entries = {e.key: e.value for e in message.external_data}
            if not entries and len(message.raw_data) >= 256:
                wrong.append(message.name + ": is in the model")
            if entries and (entries["location"] != "0.onnx.data" or int(entries["offset"]) % 4096
                            or int(entries["length"]) < 256):
                wrong.append("%s: %s" % (message.name, entries))
    report(name, wrong, "external data")


def without_weights(name, model):
    with tempfile.TemporaryDirectory() as folder:
        (out,), wrong = rewrite(folder, [model], "--without-weights")
        a, b = (onnx.load(p, load_external_data=False) for p in (model, out))
        for x, y in zip(a.graph.initializer, b.graph.initializer):
            if (x.name, x.dims, x.data_type) != (y.name, y.dims, y.data_type):
                wrong.append(x.name + ": is another tensor")
            if y.raw_data or [(e.key, e.value) for e in y.external_data] != [("location", "mcompress-container")]:
                wrong.append(x.name + ": has data")
            y.CopyFrom(x)
        wrong += differences(a, b)
    report(name, wrong, "all but the weights")


def main():
    onnxruntime.set_default_logger_severity(3)
    for suite, least in (("node", 900), ("pytorch-converted", 80), ("pytorch-operator", 30), ("simple", 15)):
        paths = sorted(glob.glob(os.path.join(TESTDATA, suite, "*", "model.onnx")))
        read_and_write(suite, paths, least)
    goldens = sorted(glob.glob(os.path.join(ROOT, "tests/golden/onnx/*.onnx")))
    read_and_write("goldens", goldens, 8)
    read_and_write("goldens", goldens, 8, "--external", "1")
    run_goldens()
    for name in ("mnist", "resnet8"):
        model, npz = (os.path.join(MODELS, name, f) for f in (name + ".onnx", "eval.npz"))
        for options in (), ("--external", "256"):
            read_and_write(name, [model], 1, *options)
            run(name, model, npz, *options)
        external(name, model)
        without_weights(name, model)
    return 0


if __name__ == "__main__":
    sys.exit(main())

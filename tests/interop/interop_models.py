"""Whole models against outputs and figures of other programs: the float outputs of models/, perplexity and token ids of tinylm,
llama.cpp's files of log-probabilities, quantized models against ONNX Runtime on the decoded weights, rounded activations
included, and a Llama as an ONNX graph against the same as a Hugging Face folder."""
import json
import os
import re
import struct

import oracles
from oracles import TINYLM, cases, np
import llama_onnx
import mcpk_decode

import onnx
import onnxruntime
from onnx import helper, numpy_helper

MODELS = os.path.join(os.environ["MC_SHARED"], "models")
EVAL_IDS = os.path.join(TINYLM, "eval_ids.npy")
WINDOW, WINDOWS = 256, 297
TOP1 = {"mnist": 0.9810, "resnet8": 0.7620}
scratch = cases.scratch()


def path(name):
    return os.path.join(scratch, name)


def verify(container, model, data, *options):
    """The report's JSON. Ends the suite when verify does."""
    if data:
        options = ("--data", data, *options)
    code, text, err = cases.run("verify", container, "--reference", model, "--json", *options)
    if code != 0:
        raise RuntimeError(f"verify {options}: exit {code}: {err}")
    return json.loads(text)


def dumped(container, model, data, *options):
    """(outputs of the original, of the container), by their names, and the report."""
    out = path("dump.npz")
    report = verify(container, model, data, "--dump", out, *options)
    arrays = dict(np.load(out))
    os.unlink(out)
    sides = [{n.split("/", 1)[1]: a for n, a in arrays.items() if n.startswith(side)} for side in ("original/", "container/")]
    return sides[0], sides[1], report


def only(arrays):
    assert len(arrays) == 1
    return next(iter(arrays.values()))


def relative(a, b):
    """max |a - b| / max |b| of each sample."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    return np.abs(a - b).max(1) / np.abs(b).max(1)


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # keeps rounding where it stands
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def runtime(model, data, samples):
    """ONNX Runtime's first output, sample by sample."""
    run, feeds = session(model), [i.name for i in model.graph.input if i.name in data]
    kinds = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    return np.concatenate([run.run(None, {n: data[n][i:i + 1].astype(kinds[n]) for n in feeds})[0] for i in range(samples)])


def with_weights_of(container, model):
    """A copy whose initializers are what the container's bytes stand for."""
    with open(container, "rb") as file:
        decoder = mcpk_decode.Container(file.read())
    decoder.check()
    values = {w.name: decoder.values(w) for w in decoder.weights if w.form == 2}
    out = onnx.ModelProto()
    out.CopyFrom(model)
    for tensor in out.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(np.array(values[tensor.name], np.float32).reshape(tuple(tensor.dims)), tensor.name))
    return out, len(values)


def rounding(x, axes, tag, version):
    """Nodes that round x to 8 bits with one scale over `axes`, as core/act.h defines it."""
    least = helper.make_node("Constant", [], [tag + "least"], value=numpy_helper.from_array(np.float32([1e-30])))
    most = helper.make_node("Constant", [], [tag + "most"], value=numpy_helper.from_array(np.float32([127])))
    nodes = [least, most, helper.make_node("Abs", [x], [tag + "abs"])]
    if version >= 18:
        nodes.append(helper.make_node("Constant", [], [tag + "axes"], value=numpy_helper.from_array(np.int64(axes))))
        nodes.append(helper.make_node("ReduceMax", [tag + "abs", tag + "axes"], [tag + "max"], keepdims=1))
    else:
        nodes.append(helper.make_node("ReduceMax", [tag + "abs"], [tag + "max"], axes=axes, keepdims=1))
    chain = [("Div", [tag + "max", tag + "most"], "raw"), ("Max", [tag + "raw", tag + "least"], "scale"), ("Div", [x, tag + "scale"], "units"),
             ("Round", [tag + "units"], "codes"), ("Mul", [tag + "codes", tag + "scale"], "rounded")]
    return nodes + [helper.make_node(kind, ins, [tag + out]) for kind, ins, out in chain], tag + "rounded"


def with_rounded_activations(model):
    """In front of every Conv (by sample) and MatMul or Gemm by a constant (by token); opset 11 at least, which has Round."""
    version = max(o.version for o in model.opset_import if o.domain == "")
    if version < 11:
        model = onnx.version_converter.convert_version(model, 13)
        version = 13
    nodes, sites = [], 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            axes = [1, 2, 3] if node.op_type == "Conv" else [1]
            more, node.input[0] = rounding(node.input[0], axes, f"act{sites}_", version)
            nodes += more
            sites += 1
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model, sites


# ---- models/mnist, models/resnet8 ----

def images(name):
    folder = os.path.join(MODELS, name)
    file, data = os.path.join(folder, name + ".onnx"), os.path.join(folder, "eval.npz")
    model, samples = onnx.load(file), dict(np.load(data))
    kept = oracles.quantize(scratch, "kept.bin", "--w8a16", "--keep", ".*", model=file)
    ours, also, _ = dumped(kept, file, data, "--quick", "100")
    theirs = np.load(os.path.join(folder, "eval_outputs_100.npy"))
    far = relative(only(ours), theirs).max()
    cases.check(f"{name}: outputs are ONNX Runtime's within 1e-4 of their largest ({far:.1e})", far <= 1e-4)
    cases.check(f"{name}: a container that keeps all weights gives the same bits", np.array_equal(only(ours), only(also)))

    eight = oracles.quantize(scratch, "w8a8.bin", "--w8a8", model=file)
    figures = verify(eight, file, data)["model"]
    cases.check(f"{name}: top-1 of the original is {TOP1[name]} of 2000", figures["accuracy_reference"] == TOP1[name] and
                figures["n"] == 2000, figures)

    float16 = oracles.quantize(scratch, "w4a16.bin", "--w4a16", model=file)
    decoded, quantized = with_weights_of(float16, model)
    _, ours, _ = dumped(float16, file, data, "--quick", "100")
    far = relative(only(ours), runtime(decoded, samples, 100)).max()
    cases.check(f"{name}: w4a16 is ONNX Runtime's on the {quantized} decoded weights within 1e-4 ({far:.1e})", far <= 1e-4)

    decoded, quantized = with_weights_of(eight, model)
    rounded, sites = with_rounded_activations(decoded)
    theirs = runtime(rounded, samples, 100)
    for numerics in ("fake-quant", "integer"):
        _, ours, _ = dumped(eight, file, data, "--quick", "100", "--numerics", numerics)
        far = relative(only(ours), theirs)
        # Where float rounding turns a code by one, codes behind it turn too: that sample has other noise of the same size.
        cases.check(f"{name}: w8a8 in {numerics} is ONNX Runtime's with rounding before {sites} sites "
                    f"(median {np.median(far):.1e}, most {far.max():.1e})", np.median(far) <= 1e-5 and far.max() <= 1e-1)


# ---- models/tinylm ----

def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def perplexity(logits, ids):
    """Of windows [n, window, words], each position against the next id."""
    n = logits.shape[0] * logits.shape[1]
    known = min(n, len(ids) - 1)
    log_p = log_softmax(logits.reshape(n, -1)[:known])
    return np.exp(-log_p[np.arange(known), ids[1:known + 1]].mean())


def tinylm(kept, ids):
    ours, _, report = dumped(kept, TINYLM, EVAL_IDS, "--quick", "4")
    logits = only(ours).reshape(4, WINDOW, -1)
    far = np.abs(logits[0] - np.load(os.path.join(TINYLM, "reference_logits.npy"))).max()
    cases.check(f"tinylm: logits of the first window are the reference's within 2e-3 ({far:.1e})", far <= 2e-3)
    again = perplexity(logits, ids)
    told = report["model"]["perplexity_reference"]
    cases.check(f"tinylm: perplexity is numpy's from the logits ({told:.6f})", abs(told / again - 1) <= 1e-9, again)

    with open(os.path.join(TINYLM, "README.md"), encoding="utf-8") as file:
        documented = float(re.search(r"perplexity_eval = ([0-9.]+)", file.read())[1])
    for data, what in ((EVAL_IDS, "token ids"), (os.path.join(TINYLM, "eval.txt"), "text")):
        figures = verify(kept, TINYLM, data)["model"]
        told = figures["perplexity_reference"]
        cases.check(f"tinylm: perplexity of {what} is {documented} within 0.1 % ({told:.4f})", abs(told / documented - 1) <= 1e-3)
        cases.check(f"tinylm: {what} make {WINDOWS} windows of {WINDOW}", figures["n"] == WINDOWS * WINDOW, figures)
    return logits


def read_logits_file(name):
    """(ids [chunk, window], log p [chunk, row, words], bytes of a row), by the format's description alone."""
    with open(name, "rb") as file:
        data = file.read()
    assert data[:8] == b"_logits_"
    window, words, chunks = struct.unpack_from("<3i", data, 8)
    ids = np.frombuffer(data, "<i4", window * chunks, 20).reshape(chunks, window)
    rows, row_bytes = window - 1 - window // 2, 2 * (2 * ((words + 1) // 2) + 4)
    assert len(data) == 20 + 4 * ids.size + chunks * rows * row_bytes
    row = np.frombuffer(data, np.uint8, offset=20 + 4 * ids.size).reshape(chunks, rows, row_bytes)
    scale, least = (row[..., 4 * i:4 * i + 4].copy().view("<f4") for i in (0, 1))
    codes = row[..., 8:8 + 2 * words].copy().view("<u2")
    return ids, scale * codes.astype(np.float32) + least, scale


def logits_files(kept, four, logits, ids):
    name = path("logits")
    verify(kept, TINYLM, EVAL_IDS, "--quick", "4", "--logits-out", name)
    chunk_ids, log_p, scale = read_logits_file(name)
    cases.check("logits file: holds the ids of its windows", np.array_equal(chunk_ids.ravel(), ids[:4 * WINDOW]))
    first = WINDOW // 2
    must = log_softmax(logits[:, first:WINDOW - 1])
    held = must >= must.max(-1, keepdims=True) - 16
    off = (np.abs(log_p - must) / scale)[held].max()
    cases.check(f"logits file: log p is that of the logits within half a code ({off:.3f} codes)", off <= 0.51)
    cases.check("logits file: what is below 16 nats stands at the lowest",
                (np.abs(log_p - (must.max(-1, keepdims=True) - 16))[~held] <= 1e-3).all())

    figures = verify(kept, TINYLM, None, "--logits-in", name, "--numerics", "float")["model"]
    p = np.exp(log_p.astype(np.float64))
    noise = (p * (log_p - must))[log_p > -16].sum() / p[..., 0].size
    cases.check(f"logits file: what 16 bits cost in divergence is numpy's ({figures['kl_mean']:.2e} and {noise:.2e})",
                abs(figures["kl_mean"] - noise) <= 1e-5 and figures["kl_mean"] <= 1e-3, figures)

    # The same container against the model and against the file of the model, on the file's positions.
    _, container, _ = dumped(four, TINYLM, EVAL_IDS, "--quick", "4")
    q = log_softmax(only(container).reshape(4, WINDOW, -1)[:, first:WINDOW - 1])
    exact = (np.exp(must) * (must - q))[must > -16].sum() / p[..., 0].size
    told = verify(four, TINYLM, None, "--logits-in", name)["model"]
    cases.check(f"logits file: divergence of a w4a8 container from it is numpy's from the logits ({told['kl_mean']:.5f}, {exact:.5f})",
                abs(told["kl_mean"] - exact) <= 1e-3, told)
    agree = (must.argmax(-1) == q.argmax(-1)).mean()
    cases.check(f"logits file: so is the share of equal choices ({agree:.4f})", abs(told["top1_agreement"] - agree) <= 4 / p[..., 0].size, told)


# ---- the same Llama as an ONNX graph ----

def as_onnx(ids):
    """Matrices lie as [in, out] there; groups still follow the inputs, so codes are those of the folder."""
    config, weights = oracles.llama_folder(TINYLM)
    model = llama_onnx.build(config, weights, WINDOW)
    file, data, samples = path("tinylm.onnx"), path("ids.npz"), 4
    onnx.save(model, file)
    rows = ids[:samples * WINDOW].reshape(samples, WINDOW)
    np.savez(data, input_ids=rows)
    kept = oracles.quantize(scratch, "onnx_kept.bin", "--w8a16", "--keep", ".*", model=file)
    ours, _, report = dumped(kept, file, data)
    theirs = runtime(model, {"input_ids": rows}, samples)
    far = relative(only(ours), theirs).max()
    cases.check(f"tinylm.onnx: logits are ONNX Runtime's within 1e-5 ({far:.1e})", far <= 1e-5)
    return model, file, data, only(ours), report


def compare_with_folder(model, file, data, ids, folder_logits, logits):
    samples = len(logits)
    told, must = perplexity(logits, ids), perplexity(folder_logits[:samples], ids)
    cases.check(f"tinylm.onnx: perplexity is the folder's within 0.1 % ({told:.4f})", abs(told / must - 1) <= 1e-3, must)

    four = oracles.quantize(scratch, "onnx_w4.bin", "--w4a16", model=file)
    folder = oracles.quantize(scratch, "folder_w4.bin", "--w4a16", model=TINYLM)
    with open(four, "rb") as a, open(folder, "rb") as b:
        a, b = mcpk_decode.Container(a.read()), mcpk_decode.Container(b.read())
    theirs = {w.name: w for w in b.weights}
    matrices = [w for w in a.weights if w.name in theirs and w.ndim == 2]
    wrong = []
    for w in matrices:
        other = theirs[w.name]
        same = (w.form, w.levels, w.rows, w.cols, w.group) == (other.form, other.levels, other.rows, other.cols, other.group)
        if not same or a.bytes_of(w.first) != b.bytes_of(other.first):
            wrong.append((w.name, w.form, w.levels, w.rows, w.cols, w.group, other.levels, other.rows, other.cols))
    cases.check(f"tinylm.onnx: codes of all {len(matrices)} matrices are the folder's", not wrong and len(matrices) == 30, wrong[:4])
    decoded, quantized = with_weights_of(four, model)
    _, ours, report = dumped(four, file, data)
    far = relative(only(ours), runtime(decoded, {"input_ids": ids[:samples * WINDOW].reshape(samples, WINDOW)}, samples)).max()
    cases.check(f"tinylm.onnx: w4a16 is ONNX Runtime's on the {quantized} decoded weights within 1e-4 ({far:.1e})", far <= 1e-4)
    _, ours, report = dumped(oracles.quantize(scratch, "onnx_w4a8.bin", "--w4a8", model=file), file, data)
    _, theirs, _ = dumped(oracles.quantize(scratch, "folder_w4a8.bin", "--w4a8", model=TINYLM), TINYLM, EVAL_IDS, "--quick", str(samples))
    told, must = perplexity(only(ours), ids), perplexity(only(theirs).reshape(only(ours).shape), ids)
    cases.check(f"tinylm.onnx: w4a8 has the folder's perplexity within 0.2 % ({told:.4f}, {must:.4f})", abs(told / must - 1) <= 2e-3)
    cases.check("tinylm.onnx: 28 matrices, embedding and head are sites", len(report["sites"]) == 30, len(report["sites"]))


def main():
    for name in TOP1:
        images(name)
    ids = np.load(EVAL_IDS)
    kept = oracles.quantize(scratch, "kept.bin", "--w8a16", "--keep", ".*", model=TINYLM)
    four = oracles.quantize(scratch, "four.bin", "--w4a8", model=TINYLM)
    logits = tinylm(kept, ids)
    logits_files(kept, four, logits, ids)
    model, file, data, onnx_logits, _ = as_onnx(ids)
    compare_with_folder(model, file, data, ids, logits, onnx_logits)
    cases.finish()


main()

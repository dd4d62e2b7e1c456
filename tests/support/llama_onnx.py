"""A Llama as the ONNX graph that an exporter would write: plain operators of opset 17, matrices as [in, out], normalization,
rotary embedding and attention decomposed. Needs onnx and numpy."""
import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper


class Builder:
    def __init__(self):
        self.nodes, self.weights, self.count = [], {}, 0

    def constant(self, name, value, dtype=np.float32):
        self.weights.setdefault(name, np.ascontiguousarray(value, dtype))
        return name

    def ints(self, *values):
        return self.constant("shape_" + "_".join(map(str, values)), values, np.int64)

    def op(self, kind, *inputs, name=None, outputs=1, **attributes):
        self.count += 1
        names = [name if name and outputs == 1 else f"{kind.lower()}_{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, f"{kind}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x, weights, name):
        return self.op("MatMul", x, self.constant(name, weights[name].T))

    def rms_norm(self, x, weight, name, eps):
        square = self.op("Pow", x, self.constant("two", 2))
        mean = self.op("ReduceMean", square, axes=[-1], keepdims=1)
        root = self.op("Sqrt", self.op("Add", mean, self.constant("eps", eps)))
        return self.op("Mul", self.constant(name, weight), self.op("Div", x, root))

    def rotate(self, x, half, cos, sin):
        a, b = self.op("Split", x, self.ints(half, half), outputs=2, axis=-1)
        turned = self.op("Concat", self.op("Neg", b), a, axis=-1)
        return self.op("Add", self.op("Mul", x, cos), self.op("Mul", turned, sin))

    def heads(self, x, heads, dim):
        return self.op("Transpose", self.op("Reshape", x, self.ints(0, 0, heads, dim)), perm=[0, 2, 1, 3])


def attention(b, x, weights, prefix, config, tables):
    heads, kv, dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    cos, sin, mask = tables
    q, k, v = (b.heads(b.linear(x, weights, f"{prefix}{n}_proj.weight"), h, dim) for n, h in (("q", heads), ("k", kv), ("v", kv)))
    q, k = (b.rotate(t, dim // 2, cos, sin) for t in (q, k))
    if heads != kv:  # every head of k and v serves several of q
        k, v = (b.op("Reshape", b.op("Expand", b.op("Unsqueeze", t, b.ints(2)), b.ints(1, kv, heads // kv, 1, 1)),
                     b.ints(0, heads, -1, dim)) for t in (k, v))
    scores = b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2]))
    scores = b.op("Add", b.op("Mul", scores, b.constant("scale", dim ** -0.5)), mask)
    y = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), b.ints(0, 0, heads * dim))
    return b.linear(y, weights, f"{prefix}o_proj.weight")


def mlp(b, x, weights, prefix):
    gate = b.linear(x, weights, f"{prefix}gate_proj.weight")
    up = b.linear(x, weights, f"{prefix}up_proj.weight")
    gated = b.op("Mul", b.op("Mul", gate, b.op("Sigmoid", gate)), up)
    return b.linear(gated, weights, f"{prefix}down_proj.weight")


def tables_of(b, config, window):
    """cos and sin of rotary positions, half-split; what a causal mask adds."""
    half = config["head_dim"] // 2
    angle = np.outer(np.arange(window), config["rope_theta"] ** (-np.arange(half) / half))
    angle = np.concatenate([angle, angle], 1)
    causal = np.triu(np.full((window, window), -np.inf), 1)
    return b.constant("cos", np.cos(angle)), b.constant("sin", np.sin(angle)), b.constant("causal_mask", causal)


def build(config, weights, window, scored=False, batch="batch"):
    """input_ids [batch, window] -> logits. `scored`: targets of that shape too, and instead of logits the sum of
    -log p(target); targets below 0 do not count."""
    b = Builder()
    tables = tables_of(b, config, window)
    x = b.op("Gather", b.constant("model.embed_tokens.weight", weights["model.embed_tokens.weight"]), "input_ids")
    for i in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{i}."
        norms = [(weights[prefix + n], prefix + n) for n in ("input_layernorm.weight", "post_attention_layernorm.weight")]
        h = b.rms_norm(x, *norms[0], config["rms_norm_eps"])
        x = b.op("Add", x, attention(b, h, weights, prefix + "self_attn.", config, tables))
        h = b.rms_norm(x, *norms[1], config["rms_norm_eps"])
        x = b.op("Add", x, mlp(b, h, weights, prefix + "mlp."))
    x = b.rms_norm(x, weights["model.norm.weight"], "model.norm.weight", config["rms_norm_eps"])
    head = b.constant("lm_head.weight", weights["lm_head.weight"].T)
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, [batch, window]) for n in ("input_ids", "targets")[:1 + scored]]
    if scored:
        logits = b.op("Transpose", b.op("MatMul", x, head), perm=[0, 2, 1])
        b.op("SoftmaxCrossEntropyLoss", logits, "targets", name="nll", reduction="sum", ignore_index=-1)
        output = helper.make_tensor_value_info("nll", TensorProto.FLOAT, [])
    else:
        b.op("MatMul", x, head, name="logits")
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, window, config["vocab_size"]])
    graph = helper.make_graph(b.nodes, "llama", ids, [output], [numpy_helper.from_array(w, n) for n, w in b.weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model

#!/usr/bin/env python3
"""Small modules as PyTorch's exporters write them, with an input and what PyTorch computes.

    make_pass_goldens.py [FOLDER [NAME ...]]      default: tests/golden/passes, all

Needs torch and onnx, for the names that end in _dynamo onnxscript too; the tests only read what this
wrote. NAME_EXPORTER.onnx has inputs x (and mask); NAME.npz holds them and the output y: one file for
all exports of a module. EXPORTER is the operator set of the TorchScript exporter, or "dynamo".
"""

import pathlib
import sys
import warnings

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HEADS, TOKENS, BATCH = 8, 2, 5, 2


class RMSNorm(nn.Module):
    """As transformers writes it: to float32 and back, and a weight in front of the norm."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        h = x.to(torch.float32)
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * h.to(x.dtype)


class GeluNew(nn.Module):
    """GPT-2's."""

    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * torch.pow(x, 3.0))))


class Attention(nn.Module):
    """Heads by hand or by torch; a boolean mask, an additive one, a causal one, or none."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)

    def by_hand(self, q, k, v, mask):
        scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(torch.float32).min) if mask.dtype == torch.bool else scores + mask
        return F.softmax(scores, dim=-1) @ v

    def forward(self, x, mask=None):
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        if self.how == "hand":
            y = self.by_hand(q, k, v, mask)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.how == "causal")
        return self.o(y.transpose(1, 2).reshape(x.shape))


class BertLayer(nn.Module):
    """Post-norm, Gelu by erf, an additive mask."""

    def __init__(self):
        super().__init__()
        self.attention = Attention("hand")
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x, mask):
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Convolutions(nn.Module):
    """An image, a grouped convolution, a transposed one, each with its BatchNormalization."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
            nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.SiLU(),
            nn.ConvTranspose2d(8, 4, 2, stride=2), nn.BatchNorm2d(4),
            nn.ConvTranspose2d(4, 4, 2, groups=2), nn.BatchNorm2d(4))

    def forward(self, x):
        return self.body(x)


class LinearNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(WIDTH, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5, bias=False))

    def forward(self, x):
        return self.body(x)


def masks():
    """Which positions each position may see: [batch, 1, tokens, tokens]; every row sees some."""
    seen = torch.ones(BATCH, 1, TOKENS, TOKENS, dtype=torch.bool).tril()
    seen[1, :, :, 0] = False
    seen[1, :, 0, 0] = True
    return seen


def tokens():
    return torch.randn(BATCH, TOKENS, WIDTH)


def added(seen):
    return torch.zeros(seen.shape).masked_fill(~seen, -10000.0)


# name: module, inputs, exporters that can write it and write it differently
MODULES = {
    "layernorm": (lambda: nn.LayerNorm(WIDTH), lambda: [tokens()], (11, 13, 17, "dynamo")),
    "rmsnorm": (lambda: nn.RMSNorm(WIDTH, eps=1e-5), lambda: [tokens()], ("dynamo",)),
    "rmsnorm_llama": (RMSNorm, lambda: [tokens()], (11, 17, "dynamo")),
    "gelu": (nn.GELU, lambda: [3 * tokens()], (11, "dynamo")),
    "gelu_tanh": (lambda: nn.GELU(approximate="tanh"), lambda: [3 * tokens()], (11, "dynamo")),
    "gelu_new": (GeluNew, lambda: [3 * tokens()], (11, "dynamo")),
    "silu": (nn.SiLU, lambda: [3 * tokens()], (11, "dynamo")),
    "hardswish": (nn.Hardswish, lambda: [3 * tokens()], (11, 13, 17, "dynamo")),
    "mha": (SelfAttention, lambda: [tokens()], (17, "dynamo")),
    "attention": (lambda: Attention("hand"), lambda: [tokens()], (11, "dynamo")),
    "attention_masked": (lambda: Attention("hand"), lambda: [tokens(), masks()], (17, "dynamo")),
    "sdpa": (lambda: Attention("sdpa"), lambda: [tokens()], (17, "dynamo")),
    "sdpa_causal": (lambda: Attention("causal"), lambda: [tokens()], (17, "dynamo")),
    "sdpa_masked": (lambda: Attention("sdpa"), lambda: [tokens(), masks()], (17, "dynamo")),
    "sdpa_added": (lambda: Attention("sdpa"), lambda: [tokens(), added(masks())], (17, "dynamo")),
    "bert": (BertLayer, lambda: [tokens(), added(masks())], (11, "dynamo")),
    "convs": (Convolutions, lambda: [torch.randn(2, 4, 6, 5)], (11, "dynamo")),
    "linear": (LinearNorm, lambda: [torch.randn(7, WIDTH)], (11, "dynamo")),
}


def unsettle(module):
    """Numbers that no default hides: norms with scale and shift, statistics as after training."""
    for name, t in list(module.named_parameters()) + list(module.named_buffers()):
        if not t.is_floating_point():
            continue
        low = 0.5 if "var" in name else -0.5
        with torch.no_grad():
            t.copy_(torch.empty_like(t).uniform_(low, low + 1))


def export(module, inputs, exporter, path):
    names = ["x", "mask"][: len(inputs)]
    axes = {"x": {0: "batch"}, "mask": {0: "batch"}}
    kinds = {"input_names": names, "output_names": ["y"]}
    if exporter == "dynamo":
        shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs)
        torch.onnx.export(module, tuple(inputs), str(path), dynamo=True, external_data=False, verbose=False,
                          dynamic_shapes=shapes, **kinds)
    else:
        torch.onnx.export(module, tuple(inputs), str(path), dynamo=False, opset_version=exporter,
                          dynamic_axes={n: axes[n] for n in names}, **kinds)
    model = onnx.load(path)
    for node in model.graph.node:  # where in whose files it was made
        del node.metadata_props[:]
        node.doc_string = ""
    for value in list(model.graph.value_info) + list(model.graph.input) + list(model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.metadata_props[:], model.graph.metadata_props[:]
    path.write_bytes(model.SerializeToString())


def make(folder, name):
    build, draw, exporters = MODULES[name]
    torch.manual_seed(sorted(MODULES).index(name))
    module = build().eval()
    unsettle(module)
    inputs = draw()
    with torch.no_grad():
        y = module(*inputs)
    arrays = {n: t.numpy() for n, t in zip(["x", "mask"], inputs)}
    np.savez_compressed(folder / f"{name}.npz", y=y.numpy(), **arrays)
    for exporter in exporters:
        export(module, inputs, exporter, folder / f"{name}_{exporter}.onnx")


def main():
    warnings.simplefilter("ignore")
    here = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "golden" / "passes"
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or MODULES:
        make(folder, name)


if __name__ == "__main__":
    main()

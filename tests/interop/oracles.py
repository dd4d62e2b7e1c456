"""What the interop suites share: the program, the models, and llama.cpp's block quantizer."""
import ctypes
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "reference"))
import cases
from safetensors_read import bf16_weights, llama_folder, read_safetensors

import gguf
import numpy as np

TINYLM = os.path.join(os.environ["MC_SHARED"], "models", "tinylm")


def tinylm_weights():
    """name -> f32 array."""
    return bf16_weights(os.path.join(TINYLM, "model.safetensors"))


def quantize(folder, name, *options, model=os.path.join(TINYLM, "model.safetensors")):
    """Writes a container and gives its path; a failure is the end of the suite."""
    out = os.path.join(folder, name)
    code, _, err = cases.run("quantize", "--no-fsync", "--force", *options, model, out)
    if code != 0:
        raise RuntimeError(f"quantize {options}: exit {code}: {err}")
    return out


def verify(container, model=os.path.join(TINYLM, "model.safetensors")):
    """The report of `verify --json`."""
    code, text, err = cases.run("verify", container, "--reference", model, "--json")
    if code != 0:
        raise RuntimeError(f"verify: exit {code}: {err}")
    return json.loads(text)


def ggml_round_trip(kind, w):
    """w through llama.cpp's quantizer of that block type and back (by the gguf package); and the bytes in between."""
    folder = os.environ["LLAMA_LIB"]
    base = next(name for name in sorted(os.listdir(folder)) if name.startswith("libggml-base.so"))
    lib = ctypes.CDLL(os.path.join(folder, base))
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
                                        ctypes.c_void_p]
    w = np.ascontiguousarray(w, np.float32)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    packed = np.zeros(w.size // block * size, np.uint8)
    used = lib.ggml_quantize_chunk(int(kind), w.ctypes.data, packed.ctypes.data, 0, w.shape[0], w.shape[1], None)
    assert used == packed.size
    return gguf.quants.dequantize(packed.reshape(w.shape[0], -1), kind).reshape(w.shape), used


def sqnr_db(w, v):
    w, v = w.astype(np.float64), v.astype(np.float64)
    noise = ((w - v) ** 2).sum()
    return np.inf if noise == 0 else 10 * np.log10((w ** 2).sum() / noise)

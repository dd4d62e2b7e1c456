"""safetensors in Python, by the format's description alone. Needs numpy."""
import json
import os

import numpy as np


def bf16_to_f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def read_safetensors(path):
    """name -> (dtype, shape, raw bytes)"""
    with open(path, "rb") as file:
        data = file.read()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + n])
    out = {}
    for name, e in header.items():
        if name != "__metadata__":
            begin, end = e["data_offsets"]
            out[name] = (e["dtype"], e["shape"], data[8 + n + begin:8 + n + end])
    return out


def bf16_weights(path):
    """name -> f32 array, of a file that holds nothing but BF16."""
    out = {}
    for name, (dtype, shape, raw) in read_safetensors(path).items():
        assert dtype == "BF16"
        out[name] = bf16_to_f32(np.frombuffer(raw, np.uint16)).reshape(shape)
    return out


def llama_folder(folder):
    """(config, weights) of a folder as Hugging Face lays it out."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    return config, bf16_weights(os.path.join(folder, "model.safetensors"))

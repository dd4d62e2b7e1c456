"""Importance matrices against the gguf package: what it writes is read under the names of Hugging Face models, as its own
table of names maps them; what is written then is a GGUF that it reads, with the same sums and counts."""
import os
import random
import re
import subprocess
import tempfile

import gguf
import numpy as np

PROGRAM = os.environ["IMATRIX_REWRITE"]
ROUNDS = int(os.environ.get("IMATRIX_ROUNDS", "10"))
ARCH = gguf.MODEL_ARCH
EXPERTS = 4

# Weights of a block; # stands for an expert.
MODELS = {
    "llama": (ARCH.LLAMA, ["model.layers.%d.self_attn." + p + "_proj.weight" for p in "qkvo"]
              + ["model.layers.%d.mlp." + p + "_proj.weight" for p in ("gate", "up", "down")] + ["lm_head.weight"]),
    "mixtral": (ARCH.LLAMA, ["model.layers.%d.block_sparse_moe.gate.weight", "model.layers.%d.self_attn.q_proj.weight"]
                + ["model.layers.%d.block_sparse_moe.experts.#." + p + ".weight" for p in ("w1", "w2", "w3")]),
    "qwen2moe": (ARCH.QWEN2MOE, ["model.layers.%d.mlp.gate.weight", "model.layers.%d.mlp.shared_expert_gate.weight"]
                 + ["model.layers.%d.mlp." + e + p + "_proj.weight" for e in ("experts.#.", "shared_expert.") for p in ("gate", "up", "down")]),
    "phi3": (ARCH.PHI3, ["model.layers.%d.self_attn.qkv_proj.weight", "model.layers.%d.mlp.gate_up_proj.weight"]),
    "gpt2": (ARCH.GPT2, ["transformer.h.%d.attn.c_attn.weight", "transformer.h.%d.attn.c_proj.weight", "h.%d.mlp.c_fc.weight",
                         "h.%d.mlp.c_proj.weight"]),
    "mamba2": (ARCH.MAMBA2, ["backbone.layers.%d.mixer.in_proj.weight", "backbone.layers.%d.mixer.out_proj.weight"]),
    "bert": (ARCH.BERT, ["encoder.layer.%d.attention.self." + p + ".weight" for p in ("query", "key", "value")]
             + ["encoder.layer.%d." + p + ".dense.weight" for p in ("attention.output", "intermediate", "output")]),
}

count = 0


def report(wrong, what):
    global count
    count += 1
    print("%s %d - imatrix: %s" % ("not ok" if wrong else "ok", count, what))
    for line in wrong[:5]:
        print("#   " + line)


def weights_of(patterns, blocks):
    """Each weight, and the name of its tensor without the expert."""
    for pattern in patterns:
        for block in range(blocks) if "%d" in pattern else (None,):
            whole = pattern if block is None else pattern % block
            names = [whole.replace("#", str(e)) for e in range(EXPERTS)] if "#" in whole else [whole]
            yield names, whole.replace("#.", "")


def save(path, tensors, chunks):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["calibration.txt"])
    writer.add_uint32("imatrix.chunk_count", chunks)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, (sums, counts) in tensors.items():
        writer.add_tensor(name + ".in_sum2", sums)
        writer.add_tensor(name + ".counts", counts)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def differences(path, tensors, chunks):
    reader = gguf.GGUFReader(path)
    field = {name: f.contents() for name, f in reader.fields.items()}
    wrong = []
    want = {"general.type": "imatrix", "imatrix.datasets": ["calibration.txt"], "imatrix.chunk_count": chunks, "imatrix.chunk_size": 512}
    wrong += ["%s is %s" % (key, field.get(key)) for key, value in want.items() if field.get(key) != value]
    got = {t.name: t for t in reader.tensors}
    if len(got) != 2 * len(tensors):
        wrong.append("%d tensors, not %d" % (len(got), 2 * len(tensors)))
    for name, (sums, counts) in tensors.items():
        for end, numbers in ((".in_sum2", sums), (".counts", counts)):
            t = got.get(name + end)
            if t is None or t.data.tobytes() != numbers.tobytes():
                wrong.append("%s: other numbers" % (name + end))
            elif list(t.shape) != list(reversed(numbers.shape))[:len(t.shape)]:
                wrong.append("%s: shape %s" % (name + end, t.shape))
    return wrong


def check(folder, rng, arch, patterns):
    blocks = rng.randrange(1, 4)
    names = gguf.get_tensor_name_map(arch, blocks)
    weights, tensors = [], {}
    for group, whole in weights_of(patterns, blocks):
        name = names.get_name(whole, try_suffixes=(".weight",))
        if name is None:
            return ["the package has no name for " + whole]
        n = rng.randrange(1, 70)
        numbers = np.random.default_rng(rng.getrandbits(32))
        sums = numbers.random((len(group), n), dtype=np.float32) * np.float32(10.0 ** rng.randrange(-10, 20))
        tensors[name] = (sums, numbers.integers(0, 1 << 20, (len(group), 1)).astype(np.float32))
        weights += group
    rng.shuffle(weights)
    before, after = os.path.join(folder, "before.gguf"), os.path.join(folder, "after.gguf")
    chunks = rng.randrange(1000)
    save(before, tensors, chunks)
    run = subprocess.run([PROGRAM, before, after, *weights], stderr=subprocess.PIPE)
    if run.returncode != 0:
        return [re.sub(r"\s+", " ", run.stderr.decode())]
    return differences(after, tensors, chunks)


def main():
    rng = random.Random(20240801)
    with tempfile.TemporaryDirectory() as folder:
        for model, (arch, patterns) in MODELS.items():
            wrong = []
            for _ in range(ROUNDS):
                wrong += check(folder, rng, arch, patterns)
            report(wrong, "%d files, names of %s" % (ROUNDS, model))


main()

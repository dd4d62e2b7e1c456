#!/usr/bin/env python3
"""Tiny models with random weights and the logits that `transformers` computes for them.

    make_hf_goldens.py [FOLDER [NAME ...]]      default: tests/golden/hf, all

Needs transformers (5.x) and torch; the tests only read what this wrote. Each folder gets config.json
(as published models write it), model.safetensors, ids.npy [2, 24] and logits.npy [2, 24, vocab];
where these are more than a prefix's, short.npy [2, 8, vocab] has those of the first eight ids alone.
The logits are those of the saved folder, loaded again, computed in float32 without fused attention.
Shapes are chosen so that nothing is symmetric by accident: fewer key than query heads, a head size
that is not hidden / heads where the family allows it, windows shorter than the sequence.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

ROWS, LENGTH, SHORT = 2, 24, 8
LENGTH_MATTERS = {"phi3_longrope"}

DECODER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "vocab_size": 96,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}

MAMBA = {
    "architectures": ["Mamba2ForCausalLM"],
    "model_type": "mamba2",
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 8,
    "head_dim": 8,
    "state_size": 8,
    "expand": 2,
    "conv_kernel": 4,
    "chunk_size": 8,
    "use_bias": False,
    "use_conv_bias": True,
    "hidden_act": "silu",
    "layer_norm_epsilon": 1e-5,
}


def decoder(architecture, model_type, **more):
    return {"architectures": [architecture], "model_type": model_type, **DECODER, **more}


# name: (config.json, dtype of the weights)
MODELS = {
    "llama": (decoder("LlamaForCausalLM", "llama", rope_theta=10000.0, rope_scaling=None), "float32"),
    # Frequencies below, between and above the two wavelengths; biases everywhere; tied; head_dim.
    "llama3_rope": (
        decoder(
            "LlamaForCausalLM",
            "llama",
            head_dim=16,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            rope_theta=500.0,
            rope_scaling={
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
                "rope_type": "llama3",
            },
        ),
        "bfloat16",
    ),
    "llama_linear_rope": (
        decoder("LlamaForCausalLM", "llama", rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 4.0}),
        "float16",
    ),
    "mistral": (decoder("MistralForCausalLM", "mistral", rope_theta=10000.0, sliding_window=7), "bfloat16"),
    "qwen2": (
        decoder(
            "Qwen2ForCausalLM",
            "qwen2",
            rope_theta=1000000.0,
            use_sliding_window=True,
            sliding_window=5,
            max_window_layers=1,
        ),
        "bfloat16",
    ),
    # As transformers 5 writes it: rope_parameters, layer_types, dtype.
    "qwen3": (
        decoder(
            "Qwen3ForCausalLM",
            "qwen3",
            head_dim=16,
            attention_bias=False,
            tie_word_embeddings=True,
            rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"},
            layer_types=["full_attention", "sliding_attention"],
            use_sliding_window=True,
            sliding_window=6,
            max_window_layers=1,
            dtype="bfloat16",
        ),
        "bfloat16",
    ),
    "phi3": (
        decoder("Phi3ForCausalLM", "phi3", rope_theta=10000.0, rope_scaling=None, sliding_window=9, pad_token_id=0),
        "bfloat16",
    ),
    # 24 positions are more than the original 16: the long factors; a part of each head turns.
    "phi3_longrope": (
        decoder(
            "Phi3ForCausalLM",
            "phi3",
            rope_theta=10000.0,
            partial_rotary_factor=0.5,
            original_max_position_embeddings=16,
            rope_scaling={"type": "longrope", "short_factor": [1.0, 1.25], "long_factor": [1.5, 3.0]},
            pad_token_id=0,
        ),
        "bfloat16",
    ),
    "gemma2": (
        {
            **decoder("Gemma2ForCausalLM", "gemma2", head_dim=16, rope_theta=10000.0, sliding_window=6, pad_token_id=0),
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": 24,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "tie_word_embeddings": None,  # left out: the family's default is a tied head
        },
        "bfloat16",
    ),
    "mixtral": (
        decoder(
            "MixtralForCausalLM",
            "mixtral",
            rope_theta=1000000.0,
            sliding_window=None,
            num_local_experts=4,
            num_experts_per_tok=2,
            intermediate_size=24,
        ),
        "bfloat16",
    ),
    "mamba2": (
        {**MAMBA, "n_groups": 2, "time_step_limit": [0.02, float("inf")], "tie_word_embeddings": False},
        "bfloat16",
    ),
    # One group, biases, tied; infinity as transformers 5 writes it.
    "mamba2_one_group": (
        {
            **MAMBA,
            "n_groups": 1,
            "num_hidden_layers": 1,
            "use_bias": True,
            "use_conv_bias": False,
            "time_step_limit": [0.0, {"__float__": "Infinity"}],
            "tie_word_embeddings": True,
        },
        "bfloat16",
    ),
}

# The same model with other names of tensors: it has no numbers of its own.
MODELS["mixtral_stacked"] = MODELS["mixtral"]
SAME_AS = {"mixtral_stacked": "mixtral"}


def stack_experts(weights):
    """Tensors as newer libraries keep them: all experts in one."""
    stacked = {k: v for k, v in weights.items() if ".experts." not in k}
    layers = {k.split(".block_sparse_moe.")[0] for k in weights if ".block_sparse_moe." in k}
    for layer in layers:
        old, new = f"{layer}.block_sparse_moe", f"{layer}.mlp"
        stacked[f"{new}.gate.weight"] = stacked.pop(f"{old}.gate.weight")
        each = [[weights[f"{old}.experts.{e}.w{i}.weight"] for i in (1, 3, 2)] for e in range(4)]
        stacked[f"{new}.experts.gate_up_proj"] = torch.stack([torch.cat(w[:2]) for w in each])
        stacked[f"{new}.experts.down_proj"] = torch.stack([w[2] for w in each])
    return stacked


def randomize(model, seed):
    """Numbers of a trained model's size: no zeros and ones left over from initialisation."""
    draw = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=draw)
        if name.endswith("A_log"):
            p.data = noise.abs() * 0.7
        elif name.endswith(("dt_bias", ".D", "conv1d.weight")):
            p.data = noise * 0.5
        elif p.ndim == 1 and name.endswith("bias"):
            p.data = noise * 0.2
        elif p.ndim == 1:
            p.data = (0.0 if "gemma2" in model.config.model_type else 1.0) + noise * 0.3
        else:
            p.data = noise * (1.6 / p.shape[-1] ** 0.5)


def make(folder, name):
    config, dtype = MODELS[name]
    config = {key: value for key, value in config.items() if key != "tie_word_embeddings" or value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")

    seed = sum(SAME_AS.get(name, name).encode())
    settings = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(settings, attn_implementation="eager", dtype=torch.float32)
    randomize(model, seed)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    weights = load_file(folder / "model.safetensors")
    if name in SAME_AS:
        weights = stack_experts(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    model, read = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    model.eval()
    assert not read["missing_keys"] and not read["unexpected_keys"], read
    ids = torch.randint(0, config["vocab_size"], (ROWS, LENGTH), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
        short = model(input_ids=ids[:, :SHORT], use_cache=False).logits
    if name in SAME_AS:
        twin = np.load(folder.parent / SAME_AS[name] / "logits.npy")
        assert np.array_equal(logits.float().numpy(), twin), name
        return
    np.save(folder / "ids.npy", ids.numpy())
    np.save(folder / "logits.npy", logits.float().numpy())
    if name in LENGTH_MATTERS:
        np.save(folder / "short.npy", short.float().numpy())
    bytes_ = (folder / "model.safetensors").stat().st_size
    print(f"{name}: {bytes_} bytes, |logits| up to {logits.abs().max():.3f}, std {logits.std():.3f}")


def make_example(folder):
    """tinylm: one window of its context, the logits at four positions. Only numbers, no model."""
    root = pathlib.Path(__file__).resolve().parents[2]
    model = AutoModelForCausalLM.from_pretrained(
        root / "examples" / "tinylm", attn_implementation="eager", dtype=torch.float32
    ).eval()
    ids = torch.randint(0, 4096, (1, 256), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "ids.npy", ids.numpy())
    np.save(folder / "logits.npy", logits[0, [0, 85, 170, 255]].numpy())


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "golden" / "hf"
    if len(sys.argv) > 1:
        root = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or [*MODELS, "tinylm"]:
        if name == "tinylm":
            make_example(root / name)
        else:
            make(root / name, name)


if __name__ == "__main__":
    main()

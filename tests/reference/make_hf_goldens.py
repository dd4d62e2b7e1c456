#!/usr/bin/env python3
"""Tiny models with random weights and the logits that `transformers` computes for them.

    make_hf_goldens.py [FOLDER [NAME ...]]      default: tests/golden/hf, all

Needs transformers (5.x) and torch; the tests only read what this wrote. Each folder gets config.json
(as published models write it) and model.safetensors; decoders ids.npy [2, 24] and logits.npy
[2, 24, vocab]; where these are more than a prefix's, short.npy [2, 8, vocab] has those of the first
eight ids alone; the others an array for each input and each output, under their names. The numbers
are those of the saved folder, loaded again, computed in float32 without fused attention.
Shapes are chosen so that nothing is symmetric by accident: fewer key than query heads, a head size
that is not hidden / heads where the family allows it, windows shorter than the sequence.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
import transformers
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

OPT = {
    "architectures": ["OPTForCausalLM"],
    "model_type": "opt",
    "vocab_size": 96,
    "hidden_size": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
    "activation_function": "relu",
    "bos_token_id": 2,
    "eos_token_id": 2,
    "pad_token_id": 1,
}

GPT2 = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": 96,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 40,
    "bos_token_id": 1,
    "eos_token_id": 1,
}

# What encoders of texts and of images have alike.
ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


def bert(architecture, **more):
    about = {"architectures": [architecture], "model_type": "bert", "vocab_size": 96, "type_vocab_size": 2}
    return {**about, **ENCODER, "max_position_embeddings": 40, "pad_token_id": 0, **more}


def image_model(architecture, model_type, **more):
    about = {"architectures": [architecture], "model_type": model_type, "num_channels": 3}
    return {**about, **ENCODER, "image_size": 16, "patch_size": 4, **more}


def labels(n):
    return {"id2label": {str(i): f"LABEL_{i}" for i in range(n)}, "label2id": {f"LABEL_{i}": i for i in range(n)}}


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

MODELS["gpt2"] = ({**GPT2, "n_layer": 1}, "bfloat16")
# Everything that may differ; named as the file of the first published model.
MODELS["gpt2_bare"] = (
    {
        **GPT2,
        "n_inner": 40,
        "n_head": 2,
        "activation_function": "gelu",
        "scale_attn_by_inverse_layer_idx": True,
        "tie_word_embeddings": False,
    },
    "float16",
)
MODELS["opt"] = (OPT, "float16")
# As the model of 350 million weights: norms behind, narrow embeddings.
MODELS["opt_narrow"] = (
    {**OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 16, "num_attention_heads": 2},
    "bfloat16",
)
# Neither biases nor weights of norms, and no last norm.
MODELS["opt_plain"] = (
    {
        **OPT,
        "enable_bias": False,
        "layer_norm_elementwise_affine": False,
        "_remove_final_layer_norm": True,
        "activation_function": "gelu",
        "tie_word_embeddings": False,
        "num_hidden_layers": 1,
    },
    "bfloat16",
)

# Models with other inputs than ids alone, or other outputs than logits: the outputs.
OUTPUTS = {
    "gpt2_model": ["last_hidden_state"],
    "bert": ["logits"],
    "bert_words": ["logits"],
    "minilm": ["last_hidden_state", "pooler_output"],
    "vit": ["logits"],
    "vit_model": ["last_hidden_state", "pooler_output"],
    "deit": ["logits"],
    "deit_teacher": ["logits"],
    "whisper": ["logits"],
}
MODELS["gpt2_model"] = (
    {
        **GPT2,
        "architectures": ["GPT2Model"],
        "n_layer": 1,
        "n_inner": 40,
        "scale_attn_weights": False,
        "vocab_size": 24,
    },
    "bfloat16",
)
MODELS["bert"] = (bert("BertForSequenceClassification", num_hidden_layers=1, **labels(3)), "bfloat16")
# Norms named as in the first published model.
MODELS["bert_words"] = (bert("BertForMaskedLM", num_hidden_layers=1, num_attention_heads=2), "bfloat16")
MODELS["minilm"] = (bert("BertModel", hidden_act="gelu_new"), "bfloat16")
MODELS["vit"] = (image_model("ViTForImageClassification", "vit", **labels(10)), "bfloat16")
# Not square, no biases of queries, keys and values; names as transformers 5 has them in memory.
MODELS["vit_model"] = (
    image_model("ViTModel", "vit", image_size=[12, 16], patch_size=[6, 4], qkv_bias=False, num_hidden_layers=1),
    "bfloat16",
)
MODELS["deit"] = (image_model("DeiTForImageClassification", "deit", num_hidden_layers=1, **labels(10)), "bfloat16")
MODELS["deit_teacher"] = (
    image_model("DeiTForImageClassificationWithTeacher", "deit", num_hidden_layers=1, **labels(10)),
    "bfloat16",
)
MODELS["whisper"] = (
    {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "vocab_size": 96,
        "num_mel_bins": 8,
        "d_model": 32,
        "encoder_layers": 1,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_layers": 2,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 40,
        "max_source_positions": 20,
        "max_target_positions": 16,
        "activation_function": "gelu",
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "decoder_start_token_id": 1,
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
    },
    "float16",
)

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


def without(prefix):
    return lambda weights: {k.removeprefix(prefix): v for k, v in weights.items()}


def old_norms(weights):
    """As TensorFlow named them."""
    names = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
    for old, new in names.items():
        weights = {k.replace(old, new): v for k, v in weights.items()}
    return weights


def newer_names(weights):
    parts = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
    names = {f"attention.attention.{old}": f"attention.{new}" for old, new in parts.items()}
    names |= {"attention.output.dense": "attention.o_proj", "encoder.layer.": "layers."}
    names |= {"intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2"}
    for old, new in names.items():
        weights = {k.replace(old, new): v for k, v in weights.items()}
    return weights


RENAME = {
    "mixtral_stacked": stack_experts,
    "gpt2_bare": without("transformer."),
    "opt_narrow": without("model."),
    "bert_words": old_norms,
    "vit_model": newer_names,
}


def randomize(model, seed):
    """Numbers of a trained model's size: no zeros and ones left over from initialisation."""
    draw = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=draw)
        if name.endswith("A_log"):
            p.data = noise.abs() * 0.7
        elif name.endswith(("dt_bias", ".D", "conv1d.weight")):
            p.data = noise * 0.5
        elif p.ndim > 2 and (".conv" in name or "patch_embeddings" in name):
            p.data = noise * (1.6 / p[0].numel() ** 0.5)
        elif p.ndim == 1 and name.endswith("bias"):
            p.data = noise * 0.2
        elif p.ndim == 1:
            p.data = (0.0 if "gemma2" in model.config.model_type else 1.0) + noise * 0.3
        else:
            p.data = noise * (1.6 / p.shape[-1] ** 0.5)


def save(folder, name):
    """config.json and random weights, under the names that are asked for."""
    config, dtype = MODELS[name]
    config = {key: value for key, value in config.items() if key != "tie_word_embeddings" or value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")

    seed = sum(SAME_AS.get(name, name).encode())
    settings = AutoConfig.from_pretrained(folder)
    model = getattr(transformers, config["architectures"][0])._from_config(
        settings, attn_implementation="eager", dtype=torch.float32
    )
    randomize(model, seed)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    weights = load_file(folder / "model.safetensors")
    if name in RENAME:
        weights = RENAME[name](weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return config, seed


def load(folder, config):
    model, read = getattr(transformers, config["architectures"][0]).from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    assert not read["missing_keys"] and not read["unexpected_keys"], read
    return model.eval()


def inputs_of(config, draw):
    """What a model of this kind takes, by name."""
    kind = config["model_type"]
    if kind in ("vit", "deit"):
        sides = config["image_size"]
        sides = sides if isinstance(sides, list) else [sides, sides]
        return {"pixel_values": torch.randn(ROWS, config["num_channels"], *sides, generator=draw)}
    ids = torch.randint(0, config["vocab_size"], (ROWS, 12), generator=draw)
    if kind == "whisper":
        frames = 2 * config["max_source_positions"]
        features = torch.randn(ROWS, config["num_mel_bins"], frames, generator=draw)
        return {"input_features": features, "decoder_input_ids": ids}
    if kind == "gpt2":
        return {"input_ids": ids}
    seen = torch.ones_like(ids)
    seen[1, 7:] = 0  # padded
    kinds = torch.zeros_like(ids)
    kinds[:, 4:] = 1
    return {"input_ids": ids, "attention_mask": seen, "token_type_ids": kinds}


def make_encoder(folder, name):
    config, seed = save(folder, name)
    model = load(folder, config)
    inputs = inputs_of(config, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        outputs = model(**inputs)
    for key in OUTPUTS[name]:
        np.save(folder / f"{key}.npy", outputs[key].float().numpy())
        print(f"{name}: {key} up to {outputs[key].abs().max():.3f}, std {outputs[key].std():.3f}")
    for key, value in inputs.items():
        np.save(folder / f"{key}.npy", value.numpy())


def make(folder, name):
    config, seed = save(folder, name)
    model = load(folder, config)
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
        elif name in OUTPUTS:
            make_encoder(root / name, name)
        else:
            make(root / name, name)


if __name__ == "__main__":
    main()

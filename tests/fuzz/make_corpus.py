#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: small inputs, valid ones and one for each way to be invalid.

    make_corpus.py CORPUS_DIR [MCOMPRESS]

With the program the seeds of the container target are made too. Files that fuzzing adds are kept.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile


def put(target, name, data):
    folder = os.path.join(CORPUS, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def safetensors(header, data=b"", pad=True):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def one(dtype="F32", shape=(1,), offsets=(0, 4), name="a", **more):
    return {name: {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}}


DTYPES = {"F32": 32, "F16": 16, "BF16": 16, "F64": 64, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
          "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "C64": 64,
          "I64": 64, "U64": 64}


def safetensors_seeds():
    all_dtypes, at = {}, 0
    for name, bits in DTYPES.items():
        all_dtypes["t." + name] = {"dtype": name, "shape": [2, 4], "data_offsets": [at, at + bits]}
        at += bits
    four = bytes(range(4))
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    return {
        "one": safetensors(one(), four),
        "all_dtypes": safetensors(all_dtypes, bytes(i % 251 for i in range(at))),
        "scalar": safetensors(one(shape=()), four),
        "empty_tensor": safetensors(one(shape=(0, 3), offsets=(0, 0))),
        "eight_dims": safetensors(one(shape=(1,) * 8), four),
        "nine_dims": safetensors(one(shape=(1,) * 9), four),
        "no_tensors": safetensors({}),
        "metadata": safetensors({"__metadata__": {"format": "pt", "a": "\u00e9"}, **one()}, four),
        "escapes": safetensors(b'{"\\u0061\\n\\ud83d\\ude00":' + entry.encode() + b"}", four),
        "two": safetensors({**one(), **one(name="b", offsets=(4, 8))}, four * 2),
        "unknown_field": safetensors(one(more=[1, {"x": None}]), four),
        "empty": b"",
        "seven_bytes": b"1234567",
        "header_beyond_file": struct.pack("<Q", 1000) + b"{}",
        "header_too_long": struct.pack("<Q", 100_000_001) + b"{" + b" " * 100,
        "header_huge": struct.pack("<Q", 2**64 - 1) + b"{}",
        "not_utf8": safetensors(b'{"\xff\xfe":' + entry.encode() + b"}", four),
        "overlong_utf8": safetensors(b'{"\xc0\x80":' + entry.encode() + b"}", four),
        "nul_in_name": safetensors(('{"a\\u0000b":' + entry + "}").encode(), four),
        "lone_surrogate": safetensors(('{"\\ud800":' + entry + "}").encode(), four),
        "duplicate": safetensors(('{"a":' + entry + ',"a":' + entry + "}").encode(), four),
        "duplicate_by_escape": safetensors(('{"a":' + entry + ',"\\u0061":' + entry + "}").encode(), four),
        "nested": safetensors(b'{"a":' + b"[" * 2000),
        "nested_unknown": safetensors(b'{"a":{"x":' + b"[" * 200 + b"]" * 200 + b"}}"),
        "overlap": safetensors({**one(), **one(name="b", offsets=(2, 6))}, four * 2),
        "hole": safetensors({**one(), **one(name="b", offsets=(8, 12))}, four * 3),
        "starts_late": safetensors(one(offsets=(4, 8)), four * 2),
        "trailing": safetensors(one(), four * 2),
        "missing_data": safetensors(one(), four[:2]),
        "wrong_size": safetensors(one(shape=(2,)), four),
        "shape_overflow": safetensors(one(shape=(2**33, 2**33)), four),
        "shape_above_u64": safetensors(b'{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}', four),
        "backwards": safetensors(one(offsets=(4, 0)), four),
        "negative": safetensors(one(shape=(-1,)), four),
        "fraction": safetensors(one(shape=(1.0,)), four),
        "exponent": safetensors(b'{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}', four),
        "leading_zero": safetensors(b'{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}', four),
        "unknown_dtype": safetensors(one(dtype="F31"), four),
        "no_dtype": safetensors({"a": {"shape": [1], "data_offsets": [0, 4]}}, four),
        "three_offsets": safetensors(one(offsets=(0, 4, 8)), four),
        "half_byte": safetensors(one(dtype="F4", shape=(3,), offsets=(0, 2)), four[:2]),
        "metadata_number": safetensors({"__metadata__": {"a": 1}}),
        "metadata_null": safetensors({"__metadata__": None}),
        "array": safetensors(b"[1,2]"),
        "two_values": safetensors(b"{} {}"),
        "comma_at_end": safetensors(('{"a":' + entry + ",}").encode(), four),
        "open_text": safetensors(b'{"a'),
        "control_in_text": safetensors(b'{"a\x01":' + entry.encode() + b"}", four),
    }


def index_seeds():
    def index(weight_map, **more):
        return json.dumps({"metadata": {"total_size": 8}, "weight_map": weight_map, **more}).encode()
    return {
        "two_files": index({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}),
        "one_file": index({"b": "x.safetensors", "a": "x.safetensors"}),
        "escapes": b'{"weight_map":{"\\u0061\\ud83d\\ude00":"x\\u002esafetensors"}}',
        "more_fields": index({"a": "x"}, extra=[1, [2, {"y": None}], 1.5e-3, True, False]),
        "leaves_folder": index({"a": "../x.safetensors"}),
        "absolute": index({"a": "/x.safetensors"}),
        "escaped_slash": b'{"weight_map":{"a":"..\\u002fx"}}',
        "nul_in_file": b'{"weight_map":{"a":"x\\u0000y"}}',
        "dots": index({"a": ".."}),
        "empty_name": index({"a": ""}),
        "long_name": index({"a": "x" * 300}),
        "number_as_file": b'{"weight_map":{"a":1}}',
        "duplicate": b'{"weight_map":{"a":"x","a":"y"}}',
        "map_twice": b'{"weight_map":{"a":"x"},"weight_map":{"b":"x"}}',
        "no_map": b'{"metadata":{}}',
        "empty_map": b'{"weight_map":{}}',
        "map_is_list": b'{"weight_map":[]}',
        "list": b"[]",
        "empty": b"",
        "nested": b'{"x":' + b"[" * 2000,
        "not_utf8": b'{"weight_map":{"\xff":"x"}}',
        "trailing": b'{"weight_map":{"a":"x"}} x',
        "cut": b'{"weight_map":{"a":',
    }


def options_seeds():
    lines = {
        "famous": "quantize|--w4a8|in.safetensors|out.bin",
        "everything": "quantize|--w4a8kv4|--method|mse:norm=2.4|--group|32|--asym|--zero|float|--scale-dtype|f16|--bits|lm_head=8|"
                      "--keep|norm|--no-fallback|--target|generic|--align|4096|--compress|--max-flash|3MiB|--force|--no-fsync|--dry-run|"
                      "--strict|-MD|-MF|x.d|--report|r.json|--html|r.html|--require|min_tensor_sqnr_db>=20|--threads|2|--memory-limit|1GiB|"
                      "--json|in|out",
        "ternary": "quantize|--w1.58a8|in|out",
        "sub_scales": "quantize|--w4a16|--scale-dtype|k6x8|--sym-grid|full|--sym|in|out",
        "levels": "quantize|--levels|nf4|--group|channel|in|out",
        "verify": "verify|out.bin|--reference|in|--json|--require|mean_tensor_sqnr_db >= 20",
        "equals": "quantize|--group=tensor|--threads=7|in|out",
        "inspect": "inspect|--json|x",
        "diff": "diff|a|b",
        "completion": "completion|bash",
        "help": "help|quantize",
        "version": "--version",
        "help_option": "quantize|--help",
        "dashes": "quantize|--|--w4a8|-",
        "unknown": "quantize|--metod|mse|in|out",
        "unknown_command": "quantise|in|out",
        "value_missing": "quantize|--group",
        "value_empty": "quantize|--group=|in|out",
        "bad_number": "quantize|--threads|-1|in|out",
        "too_big": "quantize|--memory-limit|99999999999999999999GiB|in|out",
        "bad_scheme": "quantize|--w9a8|in|out",
        "scheme_twice": "quantize|--w4a8|--w3a8|in|out",
        "bad_regex": "quantize|--bits|[=4|in|out",
        "bits_rule": "quantize|--bits|a=b=3|--bits|=4|--bits|x=16|in|out",
        "too_many": "diff|a|b|c|d|e",
        "empty_argument": "quantize|||",
        "percent": "quantize|--%s%n%d|%s",
    }
    return {name: text.replace("|", "\n").encode() for name, text in lines.items()}


def container_seeds(program):
    """One container of every scheme, from a model of a few hundred weights."""
    schemes = {"w4": ["--w4a8"], "w8_channel": ["--w8a8"], "w3_asym": ["--w3a8", "--asym"], "w2_float_zero": ["--w2a8", "--asym", "--zero", "float"],
               "w1": ["--w1a8"], "ternary": ["--w1.58a8"], "w5_tensor": ["--w5a8", "--group", "tensor"], "w6": ["--w6a8", "--group", "16"],
               "w7": ["--w7a8kv4"], "sub_scales": ["--w4a8", "--scale-dtype", "k6x8", "--group", "8"], "compressed": ["--w4a8", "--compress"]}
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.safetensors")
        rows, cols = 6, 64
        values = struct.pack(f"<{rows * cols}f", *[((i * 37) % 101 - 50) / 50 for i in range(rows * cols)])
        norm = struct.pack("<4f", 1, 2, 3, 4)
        header = {"fc.weight": {"dtype": "F32", "shape": [rows, cols], "data_offsets": [0, len(values)]},
                  "norm.weight": {"dtype": "F32", "shape": [4], "data_offsets": [len(values), len(values) + 16]}}
        with open(model, "wb") as file:
            file.write(safetensors(header, values + norm))
        for name, options in schemes.items():
            out = os.path.join(folder, name)
            subprocess.run([program, "quantize", "--no-fsync", *options, model, out], check=True, stdout=subprocess.DEVNULL)
            with open(out, "rb") as file:
                data = file.read()
            put("container", name, data)
            if name == "w4":
                put("container", "cut", data[:len(data) // 2])
                put("container", "only_header", data[:128])
                put("container", "more_behind", data + b"\0" * 10)
                put("container", "version_2", data[:8] + b"\x02" + data[9:])
    put("container", "empty", b"")
    put("container", "not_a_container", b"PK\x03\x04" + b"\0" * 200)


CORPUS = sys.argv[1]
for seeds_target, seeds in (("safetensors", safetensors_seeds()), ("index", index_seeds()), ("options", options_seeds())):
    for seed_name, seed in seeds.items():
        put(seeds_target, seed_name, seed)
if len(sys.argv) > 2:
    container_seeds(sys.argv[2])

#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: small inputs, valid ones and one for each way to be invalid.

    make_corpus.py CORPUS_DIR [MCOMPRESS]

With the program the seeds of the container target are made too, but those with sites, which its tests' builder made
(container_builder_sites). Files that fuzzing adds are kept.
"""
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
import zlib


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


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def proto(*fields):
    """A protobuf message of (number, value): int, float, bytes, str, or a list of any of them."""
    out = b""
    for number, value in fields:
        for one_value in value if isinstance(value, list) else [value]:
            if isinstance(one_value, int):
                out += varint(number << 3) + varint(one_value)
            elif isinstance(one_value, float):
                out += varint(number << 3 | 5) + struct.pack("<f", one_value)
            else:
                data = one_value.encode() if isinstance(one_value, str) else one_value
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def onnx_tensor(name, data_type, dims, *storage):
    return proto((1, dims), (2, data_type), *storage, (8, name))


def onnx_value(name, data_type=1, dims=(2,)):
    shape = proto((1, [proto((1, d)) for d in dims]))
    return proto((1, name), (2, proto((1, proto((1, data_type), (2, shape))))))


def onnx_node(op, ins, outs, *attrs, domain=""):
    return proto((1, list(ins)), (2, list(outs)), (3, "n_" + op), (4, op), (5, list(attrs)), (7, domain))


def onnx_attr(name, kind, *value):
    return proto((1, name), *value, (20, kind))


def onnx_model(graph, *more):
    return proto((1, 8), (2, "seed"), (8, proto((1, ""), (2, 17))), *more, (7, graph))


def onnx_graph(nodes, tensors=(), ins=("x",), outs=("y",), *more):
    return proto((1, list(nodes)), (2, "g"), (5, list(tensors)), (11, [onnx_value(n) for n in ins]),
                 (12, [onnx_value(n) for n in outs]), *more)


def onnx_seeds():
    two = struct.pack("<2f", 1, 2)
    weight = onnx_tensor("w", 1, [2], (9, two))
    add = onnx_graph([onnx_node("Add", "xw", "y")], [weight])
    storages = [
        onnx_tensor("raw", 10, [3], (9, bytes(6))), onnx_tensor("packed", 1, [2], (4, two)),
        onnx_tensor("single", 1, [2], (4, [1.0, 2.0])), onnx_tensor("ints", 3, [2], (5, b"\x01\x02")),
        onnx_tensor("int4", 22, [3], (5, [33, 15])), onnx_tensor("int64", 7, [2], (7, [1, -1])),
        onnx_tensor("uint64", 13, [2], (11, [1, -1])), onnx_tensor("double", 11, [1], (10, bytes(8))),
        onnx_tensor("text", 8, [2], (6, ["a", "b"])), onnx_tensor("none", 1, [0, 3]),
        onnx_tensor("bool", 9, [2], (5, [0, 1])), onnx_tensor("complex", 14, [1], (4, two)),
    ]
    external = onnx_tensor("w", 1, [2], (13, [proto((1, "location"), (2, "w.bin")), proto((1, "offset"), (2, "0"))]), (14, 1))
    branch = onnx_graph([onnx_node("Add", ["x", "k"], ["r"])], [onnx_tensor("k", 1, [], (9, two[:4]))], (), ("r",))
    choose = onnx_graph([onnx_node("If", "c", "y", onnx_attr("then_branch", 5, (6, branch)), onnx_attr("else_branch", 5, (6, branch)))],
                        [onnx_tensor("c", 9, [], (9, b"\x01"))])
    attrs = onnx_node("Mystery", "x", "y", onnx_attr("f", 1, (2, 1.5)), onnx_attr("i", 2, (3, -7)), onnx_attr("s", 3, (4, b"a\0b")),
                      onnx_attr("floats", 6, (7, two)), onnx_attr("ints", 7, (8, b"\x01\x02")), onnx_attr("strings", 8, (9, ["a", ""])),
                      onnx_attr("tensors", 9, (10, [weight])), onnx_attr("t", 4, (5, weight)), domain="com.acme")
    function = proto((1, "f"), (10, "mine"), (4, "a"), (5, "b"), (6, "alpha"), (9, proto((1, ""), (2, 16))),
                     (7, onnx_node("LeakyRelu", "a", "b", proto((1, "alpha"), (20, 1), (21, "alpha")))),
                     (11, onnx_attr("beta", 1, (2, 0.5))))
    deep = add
    for _ in range(40):
        deep = onnx_graph([onnx_node("If", "x", "y", onnx_attr("then_branch", 5, (6, deep)))])
    return {
        "add": onnx_model(add),
        "constant": onnx_model(onnx_graph([onnx_node("Constant", [], "w", onnx_attr("value", 4, (5, weight))), onnx_node("Add", "xw", "y")])),
        "storages": onnx_model(onnx_graph([onnx_node("Relu", "x", "y")], storages)),
        "external": onnx_model(onnx_graph([onnx_node("Add", "xw", "y")], [external])),
        "if": onnx_model(choose),
        "attributes": onnx_model(onnx_graph([attrs])),
        "function": onnx_model(onnx_graph([onnx_node("f", "x", "y", domain="mine")]), (8, proto((1, "mine"), (2, 1))), (25, function)),
        "metadata": onnx_model(add, (14, [proto((1, "a"), (2, "1")), proto((1, "b"), (2, "2"))])),
        "sparse": onnx_model(onnx_graph([onnx_node("Add", "xs", "y")], [], ("x",), ("y",),
                                        (15, proto((1, onnx_tensor("s", 1, [1], (9, two[:4]))), (3, 2))))),
        "cycle": onnx_model(onnx_graph([onnx_node("Relu", "y", "z"), onnx_node("Relu", "z", "y")])),
        "twice": onnx_model(onnx_graph([onnx_node("Relu", "x", "y"), onnx_node("Abs", "x", "y")])),
        "out_of_order": onnx_model(onnx_graph([onnx_node("Relu", "z", "y"), onnx_node("Abs", "x", "z")])),
        "overflow": onnx_model(onnx_graph([], [onnx_tensor("w", 1, [1 << 62, 1 << 62])], (), ())),
        "negative": onnx_model(onnx_graph([], [onnx_tensor("w", 1, [-1])], (), ())),
        "newer": proto((1, 13), (8, proto((2, 99))), (7, add)),
        "deep": onnx_model(deep),
        "groups": onnx_model(add) + b"\x13" * 4096,
        "two_graphs": onnx_model(add, (7, add)),
        "sequence": proto((2, 1), (3, [onnx_tensor("", 1, [2], (9, two))] * 2)),
        "tensor": onnx_tensor("t", 8, [2], (6, ["a", "b"])),
        "empty": b"",
    }


def npy(dictionary, data=b"", version=1):
    text = dictionary if isinstance(dictionary, str) else repr(dictionary)
    length = struct.pack("<H" if version == 1 else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + b"\n" + data


def array(descr="<f4", shape=(2,), fortran=False, data=None, version=1):
    size = int(descr[-1])
    for dim in shape:
        size *= dim
    return npy({"descr": descr, "fortran_order": fortran, "shape": shape}, bytes(range(size)) if data is None else data, version)


def zipped(members, comment=b"", method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def in_zip64(data):
    """One stored member, a.npy, with all sizes in the records of zip64."""
    extra = struct.pack("<HHQQQ", 1, 24, len(data), len(data), 0)
    head = struct.pack("<HHHHHIIIHH", 45, 0, 0, 0, 33, zlib.crc32(data), 2**32 - 1, 2**32 - 1, 5, len(extra))
    local = b"PK\3\4" + head + b"a.npy" + extra + data
    entry = b"PK\1\2" + struct.pack("<H", 45) + head + struct.pack("<HHHII", 0, 0, 0, 0, 2**32 - 1) + b"a.npy" + extra
    at = len(local) + len(entry)
    end = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, len(entry), len(local))
    locator = b"PK\6\7" + struct.pack("<IQI", 0, at, 1)
    last = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    return local + entry + end + locator + last


def npz_seeds():
    every = [(kind + ".npy", array("<" + kind, (2, 3))) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")]
    two = [("a.npy", array()), ("b.npy", array(">i2", (2, 2), True))]
    damaged = bytearray(zipped(two))
    damaged[60] ^= 1
    return {
        "every": zipped(every), "deflated": zipped(every, method=zipfile.ZIP_DEFLATED), "comment": zipped(two, b"PK\5\6 and more"),
        "zip64": in_zip64(array()), "damaged": bytes(damaged), "cut": zipped(two)[:-30], "empty": zipped([]), "nothing": b"",
        "bomb": zipped([("a.npy", array("|u1", (900000,), data=bytes(900000)))], method=zipfile.ZIP_DEFLATED),
        "others": zipped([("README", b"hello"), ("d/a.npy", array())]), "twice": zipped([("a.npy", array())] * 2),
        "lzma": zipped(two, method=zipfile.ZIP_LZMA),
        "npy": array(), "npy_2": array(version=2), "npy_3": array(">f8", (1, 2, 3), True, version=3), "npy_4": array(version=4),
        "scalar": array(shape=()), "no_elements": array(shape=(0, 3)), "eight": array("|u1", (1, 2) * 4), "nine": array("|u1", (1,) * 9),
        "overflow": array(shape=(2**32, 2**32), data=b""), "text": array("<U2", data=bytes(16)), "too_few": array(shape=(9,), data=b"1234"),
        "records": npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", bytes(4)),
        "python_2": npy('{"shape": (2L,), "descr": "<i4", "fortran_order": True}', bytes(8)),
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


def tokenizer_seeds():
    """tokenizer.json, NUL, text; and a tokenizer.model."""
    def bpe(vocab="abst he", merges=("t h", "th e"), **more):
        tokens = list(dict.fromkeys(vocab)) + [m.replace(" ", "") for m in merges]
        model = {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": list(merges)}
        model.update(more.pop("model", {}))
        return dict(more, version="1.0", added_tokens=more.get("added_tokens", []), model=model)

    def added(i, content, **flags):
        return dict({"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                     "special": False}, **flags)

    words = {"type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,
             "vocab": {"u": 0, "th": 1, "##e": 2, "a": 3, ".": 4}}
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    bytes_ = {"<0x%02X>" % b: b + 2 for b in range(256)}
    files = {
        "plain": bpe(),
        "byte_level": bpe("the\u0120s'", ("t h",), pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "use_regex": True},
                          decoder={"type": "ByteLevel"}),
        "llama3": bpe("the\u0120", (), pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": llama3}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}, model={"ignore_merges": True}),
        "llama2": bpe(model={"vocab": dict(bytes_, u=0, a=1), "merges": [["a", "a"]][:0], "byte_fallback": True, "fuse_unk": True,
                             "unk_token": "u"},
                      normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, {
                          "type": "Replace", "pattern": {"String": " "}, "content": "_"}, {"type": "NFC"}]},
                      decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "}, {
                          "type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
        "metaspace": bpe("_ab", (), pre_tokenizer={"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": True},
                         decoder={"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}),
        "added": bpe(added_tokens=[added(9, "it", lstrip=True, rstrip=True), added(10, " x", special=True),
                                   added(11, "A", normalized=True, single_word=True)], normalizer={"type": "Lowercase"}),
        "bert": {"model": words, "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
                 "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                                "lowercase": True}},
        "words": {"model": words, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Whitespace"}, {"type": "Digits", "individual_digits": False}, {"type": "Punctuation", "behavior": "MergedWithNext"}]}},
        "cyclic": bpe("ab", ("a b", "ab a", "aba ab")), "shared_id": bpe(model={"vocab": {"a": 0, "b": 0}, "merges": []}),
        "unigram": {"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}, "high_id": bpe(model={"vocab": {"a": 2**40}, "merges": []}),
    }
    text = "\0The the  <x> it's 12345\r\n \u0301e\u0301\u4e2d\U0001f600 x A a".encode()
    seeds = {name: json.dumps(file, ensure_ascii=False, separators=(",", ":")).encode() + text for name, file in files.items()}
    trainer = proto((3, 2), (35, 1), (40, 0), (41, 2**64 - 1))
    seeds["model"] = proto((1, proto((1, b"a"), (3, 2))), (1, proto((1, b"\xe2\x96\x81b"))), (2, trainer), (3, proto((3, 0), (4, 1))))
    return seeds


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


def stats_seeds():
    """Statistics of one or two weights, whole and with something missing."""
    about = {"format": "mcompress-stats", "version": "1", "model": "0123456789abcdef" * 4, "data": "d", "samples": "2", "tokens": "0",
             "window": "0"}
    histogram = [0] * 4096
    histogram[2048 + 1024] = 3  # three times 1.0, in bins of 2^-10
    arrays = {"rows": ("I64", [1], [3]), "sum": ("F64", [1, 2], [3, -1]), "square": ("F64", [1, 2], [3, 5]),
              "gram": ("F64", [1, 3], [3, 1, 5]), "channel_rows": ("I64", [1], [3]), "channel_least": ("F32", [2], [0, -2]),
              "channel_most": ("F32", [2], [2, 1]), "channel_sum": ("F64", [2], [3, -1]), "channel_abs": ("F64", [2], [3, 3]),
              "channel_square": ("F64", [2], [3, 5]), "histogram": ("I64", [4096], histogram),
              "histogram_about": ("I64", [6], [3, 0, 0, 0, 4096, 149]), "histogram_range": ("F32", [2], [1, 1])}
    letter = {"I64": "q", "F64": "d", "F32": "f"}

    def made(without=(), weights=("w",), **more):
        header, data = {"__metadata__": {**about, **{"weight/" + name: "w" for name in weights}, **more}}, b""
        for kind in ("I64", "F64", "F32"):
            for name, (dtype, shape, values) in sorted(arrays.items()):
                if dtype == kind and not name.startswith(tuple(without) or ("-",)):
                    raw = struct.pack("<%d%s" % (len(values), letter[dtype]), *values)
                    header["w/" + name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
                    data += raw
        return safetensors(header, data)

    return {"all": made(weights=("w", "v")), "moments": made(("channel", "histogram")), "squares": made(("gram", "channel", "histogram")),
            "channels": made(("gram", "histogram")), "no_rows": made(("rows", "histogram")), "no_weight": made(weights=()),
            "part": made(("histogram",), part="1"), "version": made(("histogram",), version="2"),
            "model": made(("histogram",), model="0"), "other_block": made(("histogram",), **{"weight/x": "x"})}


def imatrix_seeds():
    """Importance matrices in GGUF."""
    def text(value):
        return struct.pack("<Q", len(value)) + value

    def pair(key, kind, value):
        return text(key) + struct.pack("<I", kind) + value

    def gguf(pairs, tensors, version=3, align=32):
        infos, data, at = b"", b"", 0
        for name, ne, kind, raw in tensors:
            infos += text(name) + struct.pack("<I%dQIQ" % len(ne), len(ne), *ne, kind, at)
            data += raw + b"\0" * (-len(raw) % align)
            at = len(data)
        head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs) + infos
        return head + b"\0" * (-len(head) % align) + data

    kind = pair(b"general.type", 8, text(b"imatrix"))
    datasets = pair(b"imatrix.datasets", 9, struct.pack("<IQ", 8, 2) + text(b"a") + text(b"b"))
    chunks = [pair(b"imatrix.chunk_count", 4, struct.pack("<I", 3)), pair(b"imatrix.chunk_size", 4, struct.pack("<I", 512))]
    one = [(b"blk.0.attn_q.weight.in_sum2", [3], 0, struct.pack("<3f", 1, 2, 3)), (b"blk.0.attn_q.weight.counts", [1], 0, struct.pack("<f", 4))]
    experts = [(b"blk.0.ffn_up_exps.weight.in_sum2", [2, 3], 0, struct.pack("<6f", *range(6))),
               (b"blk.0.ffn_up_exps.weight.counts", [1, 3], 0, struct.pack("<3f", 0, 1, 2))]
    every = [pair(b"k%d" % i, i, b"\1" * size) for i, size in enumerate((1, 1, 2, 2, 4, 4, 4, 1))]
    every += [pair(b"k%d" % i, i, b"\1" * 8) for i in (10, 11, 12)] + [pair(b"list", 9, struct.pack("<IQ", 5, 2) + b"\0" * 8)]
    return {"one": gguf([kind, datasets] + chunks, one), "experts": gguf([kind], one + experts), "types": gguf([kind] + every, []),
            "version_2": gguf([kind], one, version=2), "version_1": gguf([kind], one, version=1), "empty": b"", "magic": b"GGUF",
            "aligned": gguf([kind, pair(b"general.alignment", 4, struct.pack("<I", 64))], one, align=64),
            "no_counts": gguf([kind], one[:1]), "twice": gguf([kind, kind], one), "no_type": gguf(chunks, one),
            "nan": gguf([kind], [(one[0][0], [1], 0, b"\0\0\xc0\x7f"), one[1]]), "cut": gguf([kind], one)[:-40],
            "blocks": gguf([kind], [(b"t", [32, 2], 8, b"\0" * 68)])}


CORPUS = sys.argv[1]
warnings.filterwarnings("ignore", "Duplicate name")
for seeds_target, seeds in (("safetensors", safetensors_seeds()), ("index", index_seeds()), ("onnx", onnx_seeds()), ("npz", npz_seeds()), ("tokenizer", tokenizer_seeds()),
                            ("options", options_seeds()), ("stats", stats_seeds()), ("imatrix", imatrix_seeds())):
    for seed_name, seed in seeds.items():
        put(seeds_target, seed_name, seed)
if len(sys.argv) > 2:
    container_seeds(sys.argv[2])

"""Tokenizers against PyPI's `tokenizers`: every kind that is supported, TOKENIZER_TEXTS (1000) random texts each, both
ways to treat special tokens, ids and text; every character through normalizers and patterns; tinylm's ids."""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "reference"))
import make_tokenizer_goldens as goldens

import numpy as np
from tokenizers import Tokenizer

PROGRAM = os.environ["TOKENIZER_IDS"]
TINYLM = os.path.join(os.environ["MC_SHARED"], "models", "tinylm")
TEXTS = int(os.environ.get("TOKENIZER_TEXTS", "1000"))
REFUSED = 2**32 - 1

# What texts are made of: what patterns, normalizers and added tokens look at, and any character at all.
PARTS = list("abestTHEXZ019 _-'.,!?/\"#<>|@") + [
    " ", "  ", "   ", "\n", "\r", "\r\n", "\t", "\v", "\f", "\x85", "\u00a0", "\u2003", "\u2028", "\u3000", "\u200b", "\u200c",
    "\u200d", "\ufeff", "\u00ad", "'s", "'S", "'ll", "'RE", "'\u017f", "\u2581", "the", "The", "other", "ing", " the ", "word",
    "<mask>", "<|end|>", "<pad>", "the thing", "[UNK]", "<unk>", "##", "12", "345", "\u0660", "\u00bd", "\u2167", "\u00b2",
    "\u0301", "\u0323", "\u0327", "\u093c", "\u0345", "\u3099", "\u0f71", "\u05b0", "\u20dd", "e\u0301", "\u1e69", "\u00c5",
    "\u212b", "\u2126", "\u0130", "\u01c5", "\u03a3", "\u1e9e", "\u02b0", "\u01bb", "\uac00", "\u1100\u1161\u11a8", "\u4e2d",
    "\u3042", "\uf900", "\U00020000", "\U0001f600", "\U0001f468\u200d\U0001f469", "\u0639", "\u0939\u094d", "\u0e44", "\u16ee",
    "\u24b6", "\u203f", "\u2014", "\u3002", "\uff01", "\ufffd", "\ue000", "\x00", "\x01", "\x7f", "\U0010ffff"]

count = 0


def report(name, wrong, what):
    global count
    count += 1
    print("%s %d - %s: %s" % ("not ok" if wrong else "ok", count, name, what))
    for line in wrong[:3]:
        print("#   " + line)


def random_text(rng):
    if rng.random() < 0.1:  # any characters
        return "".join(chr(rng.choice([rng.randrange(0xd800), rng.randrange(0xe000, 0x20000)])) for _ in range(rng.randrange(9)))
    parts = rng.sample(PARTS, rng.randrange(1, 12)) if rng.random() < 0.5 else PARTS
    return "".join(rng.choice(parts) for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 21, 60])))


def ours(path, texts, mode):
    """(ids or None, text or message) of each text"""
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    out = subprocess.run([PROGRAM, path, mode], input=data, stdout=subprocess.PIPE, check=True).stdout
    answers, at = [], 0
    for _ in texts:
        n = struct.unpack_from("<I", out, at)[0]
        at += 4
        ids = None if n == REFUSED else list(struct.unpack_from("<%di" % n, out, at))
        at += 0 if n == REFUSED else 4 * n
        length = struct.unpack_from("<I", out, at)[0]
        answers.append((ids, out[at + 4:at + 4 + length].decode()))
        at += 4 + length
    return answers


def compare(name, path, oracle, texts, mode):
    oracle.encode_special_tokens = mode == "text"
    wrong = []
    for text, (ids, back) in zip(texts, ours(path, [t.encode() for t in texts], mode)):
        want = oracle.encode(text, add_special_tokens=False).ids
        if ids != want:
            wrong.append("%r: ids %s, not %s" % (text, ids, want))
            continue
        want_text = oracle.decode(want, skip_special_tokens=False)
        if "\0" not in want_text and back != want_text:
            wrong.append("%r: back as %r, not %r" % (text, back, want_text))
    report(name, wrong, "%d texts, special tokens as %s" % (len(texts), mode))


def write(path, tokenizer):
    tokenizer = dict({"version": "1.0", "added_tokens": []}, **tokenizer)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, ensure_ascii=False)
    return Tokenizer.from_file(path)


def every_character(folder):
    """Normalizers that depend on tables, over all characters that there are."""
    everything = [chr(c) for c in range(1, 0x110000) if not 0xd800 <= c < 0xe000]
    steps = {"NFC": [{"type": "NFC"}], "NFD": [{"type": "NFD"}], "Lowercase": [{"type": "Lowercase"}],
             "BertNormalizer": [{"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": True,
                                 "lowercase": False}]}
    path = os.path.join(folder, "all.json")
    fallback = {"<0x%02X>" % b: b for b in range(256)}
    for name, norm in steps.items():
        oracle = write(path, {"normalizer": {"type": "Sequence", "normalizers": norm},
                              "model": {"type": "BPE", "byte_fallback": True, "vocab": fallback, "merges": []}})
        alone = [" ".join(everything[i:i + 64]) for i in range(0, len(everything), 64)]
        compare("every character through " + name, path, oracle, alone, "text")
        marks = ["".join("a\u0323%s\u0301 " % c for c in everything[i:i + 64]) for i in range(0, 0x21000, 64)]
        compare("every character among marks through " + name, path, oracle, marks, "text")

    splits = {"Whitespace": {"type": "Whitespace"}, "Punctuation": {"type": "Punctuation", "behavior": "Isolated"},
              "WhitespaceSplit": {"type": "WhitespaceSplit"}}
    for name in ("CL100K", "GPT2", "O200K"):
        splits[name] = {"type": "Split", "pattern": {"Regex": getattr(goldens, name)}, "behavior": "Isolated", "invert": False}
    for name, pre in splits.items():  # pieces are a, b, ab, unknown as a whole, or none: that shows the cuts
        oracle = write(path, {"pre_tokenizer": pre, "model": {
            "type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "##", "max_input_chars_per_word": 2,
            "vocab": {"u": 0, "a": 1, "##b": 2, "##a": 3, "b": 4}}})
        texts = ["".join("a%sb" % c for c in everything[i:i + 64]) for i in range(0, len(everything), 64)]
        compare("every character through " + name, path, oracle, texts, "text")


def tinylm():
    path = os.path.join(TINYLM, "tokenizer.json")
    for name in ("calib", "eval"):
        with open(os.path.join(TINYLM, name + ".txt"), "rb") as file:
            ids = ours(path, [file.read()], "text")[0][0]
        wrong = [] if ids == np.load(os.path.join(TINYLM, name + "_ids.npy")).tolist() else ["%d ids" % len(ids)]
        report("tinylm", wrong, "%s.txt gives %s_ids.npy" % (name, name))


def main():
    rng = random.Random(20240607)
    with tempfile.TemporaryDirectory() as folder:
        for name, tokenizer in goldens.tokenizers().items():
            path = os.path.join(folder, name + ".json")
            oracle = write(path, tokenizer)
            texts = goldens.TEXTS + [random_text(rng) for _ in range(TEXTS)]
            for mode in ("text", "special"):
                compare(name, path, oracle, texts, mode)
        every_character(folder)
    tinylm()


main()

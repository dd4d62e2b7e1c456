"""Writes tests/golden/tokenizer/: small tokenizers, and what PyPI's `tokenizers` makes of nasty texts.

    make_tokenizer_goldens.py [FOLDER]

Every kind of tokenizer that core/tokenizer.h supports, trained on a few sentences. tests/interop compares the same
ones on many random texts.
"""
import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "golden", "tokenizer")
TINYLM = os.path.join(HERE, "..", "..", "examples", "tinylm", "tokenizer.json")

SENTENCES = """The quick brown fox doesn't jump over 12345 lazy dogs, and they're sure it WON'T. I'll say I'd've gone!
    def encode(text):\n\t\treturn [tokens[c] for c in text]  # 3.14159 + 2,718
It's the year 2024; we've paid $1,000.00 (about 900 EUR) -- "really"? The theatre's café naïve résumé Übergröße.
В начале было слово. Ελληνικά γράμματα. 漢字かな交じり文 한국어 조합형. مرحبا بالعالم שלום हिन्दी भाषा ไทย
The cat sat on the mat; the other cats sat with the other rats, thinking the thing through, not without reason.
'Tis the HTTPServer's JSONParser that's parsing camelCaseWords and snake_case_words at https://example.org/a/b?c=d\r\n
"""

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
BIG, SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
ONE = r"[^\r\n\p{L}\p{N}]?"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = ONE + BIG + "*" + SMALL + "+" + SHORT + "|" + ONE + BIG + "+" + SMALL + "*" + SHORT + r"|\p{N}{1,3}" + REST
NEMO = ONE + BIG + "*" + SMALL + "+|" + ONE + BIG + "+" + SMALL + r"*|\p{N}" + REST

TEXTS = [
    "", " ", "a", "\n", "Hello world", "  leading and trailing  ", "don't I'LL we'Ve he'd 'S 's' ''s it'\u017f",
    "1 12 123 1234 12345 3.14 1,000,000 \u0663\u0664 \u00bd \u2167 x1y22z333", "tabs\t\tand\nlines\r\n\r\nmore\r\r\n \n  x",
    "a\u00a0b\u2003c\u3000d\u200be\u200df\ufeffg\u2028h\x85i", "e\u0301 \u00e9 o\u0323\u0302 \u1ed9 \u0130 \u01c5 \u1e9e \ufb03",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f", "\u6f22\u5b57\u304b\u306a \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0650\u0633\u0652\u0645 \u05e9\u05c1\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940",
    "<|end|><mask>  <mask>a word wordy sword word, <|end|", "\u2581\u2581a \u2581 b_\u2581", "x" * 120 + " " + "the" * 50,
    "camelCase HTTPServer ABCdef\u02b0Gh \u01c5ab A\u0300b 'Tis O'Neil's//\n/ --\r\n", "!!!???...\r\n\r\n;;; $$ ~~ `` \u00a1\u00bf \u2014\u2014 \u3002\uff01",
    "\u00c5\u212b\u03a9\u2126 \u1e69 s\u0323\u0307 s\u0307\u0323 \uf900 \u0344", "[CLS] [unk] [UNK] [SEP]un##able ##able", "\x01\x02\x7f\x1b[0m \ufffd\ue000",
    "of the other thing", " " * 40 + "x" + " " * 7 + "\n" * 5 + "\t" * 3 + "y", "a<pad>  b <pad>\n\n<pad> c <mask> <pad>",
    "'S '\u017fa 'LLa''ve IT'Sa ABC'\u017fx \u01c5A\u02b0'd AAa\u4e2dAA\u4e2d1\u0301a A\u0301\u0301a \u4e2dAA \u4e2dAB1",
    "The\u200ccat\u00adsat \u0e44\u0e17\u0e22", "\U00020000\U0002a6df \u0489 \u20dd",
]


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(SENTENCES.splitlines(keepends=True), trainer)
    return tokenizer


ADDED = [AddedToken("<mask>", lstrip=True, normalized=False), AddedToken("word", single_word=True, normalized=True),
         AddedToken("<pad>", rstrip=True, lstrip=True, normalized=False), AddedToken("the thing", normalized=True)]


def finish(tokenizer):
    """As JSON, with added tokens of every kind."""
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.add_tokens(ADDED)
    return json.loads(tokenizer.to_str())


def byte_level(pre_tokenizer, normalizer=None, size=420, **model):
    t = Tokenizer(models.BPE(**model))
    t.pre_tokenizer = pre_tokenizer
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoders.ByteLevel()
    train(t, trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return finish(t)


def split(pattern, behavior="isolated", invert=False):
    return sequence(pre_tokenizers.Split(Regex(pattern), behavior, invert),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))


def pieces(pre_tokenizer, normalizer, decoder, fallback, alphabet=60, missing=(), **model):
    """BPE on characters; `missing` bytes have no token."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback, **model))
    if pre_tokenizer:
        t.pre_tokenizer = pre_tokenizer
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoder
    bytes_ = ["<0x%02X>" % b for b in range(256) if b not in missing] if fallback else []
    train(t, trainers.BpeTrainer(vocab_size=200 + len(bytes_) + alphabet, limit_alphabet=alphabet,
                                 special_tokens=["<unk>"] + bytes_, show_progress=False))
    out = json.loads(t.to_str())
    out["added_tokens"] = [a for a in out["added_tokens"] if not a["content"].startswith("<0x")]
    return finish(Tokenizer.from_str(json.dumps(out)))


def old_merges(tokenizer):
    """Merges as lines, as files before version 0.20 have them."""
    tokenizer["model"]["merges"] = [" ".join(m) for m in tokenizer["model"]["merges"]]
    return tokenizer


def wordpiece(normalizer, pre_tokenizer, **model):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", **model))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizer
    t.decoder = decoders.WordPiece("##", cleanup=bool(model))
    train(t, trainers.WordPieceTrainer(vocab_size=320, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    return finish(t)


def cuts(pattern):
    """Every character is a token, and another one within a piece: the ids show where a pattern cuts."""
    characters = sorted(set("".join(TEXTS + [SENTENCES])))
    vocab = {token: i for i, token in enumerate(["[UNK]"] + characters + ["##" + c for c in characters])}
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=1000))
    t.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    t.decoder = decoders.WordPiece("##", cleanup=False)
    return json.loads(t.to_str())


def llama_decoder():
    return decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def tokenizers():
    """name -> tokenizer.json as a dictionary"""
    n, p = normalizers, pre_tokenizers
    llama_norm = n.Sequence([n.Prepend("\u2581"), n.Replace(" ", "\u2581")])
    return {
        "gpt2": old_merges(byte_level(p.ByteLevel(add_prefix_space=False))),
        "gpt2_split": byte_level(split(GPT2), n.NFC()),
        "roberta": byte_level(sequence(p.Digits(True), p.Punctuation("contiguous"), p.ByteLevel(add_prefix_space=True))),
        "llama3": byte_level(split(CL100K), ignore_merges=True),
        "gpt4": byte_level(split(CL100K, "removed", True)),
        "qwen2": byte_level(split(QWEN2), n.NFC()),
        "gpt4o": byte_level(split(O200K)),
        "nemo": byte_level(split(NEMO)),
        "cuts_gpt2": cuts(GPT2),
        "cuts_llama3": cuts(CL100K),
        "cuts_qwen2": cuts(QWEN2),
        "cuts_gpt4o": cuts(O200K),
        "cuts_nemo": cuts(NEMO),
        "llama2": old_merges(pieces(None, llama_norm, llama_decoder(), True, fuse_unk=True)),
        "llama2_gaps": pieces(None, llama_norm, llama_decoder(), True, missing=range(0xc0, 0xd8), fuse_unk=True),
        "gemma": pieces(p.Split(" ", "merged_with_previous"), n.Replace(" ", "\u2581"), llama_decoder(), True, fuse_unk=True,
                        ignore_merges=True),
        "metaspace_always": pieces(p.Metaspace(), n.NFD(), decoders.Metaspace(), False),
        "metaspace_first": pieces(p.Metaspace(prepend_scheme="first", split=False), n.Lowercase(),
                                  decoders.Metaspace(prepend_scheme="first"), False, fuse_unk=True),
        "metaspace_never": pieces(p.Metaspace("_", "never"), n.Strip(True, True), decoders.Metaspace("_", "never"), False, 9),
        "bert": wordpiece(n.BertNormalizer(), p.BertPreTokenizer()),
        "bert_cased": wordpiece(n.BertNormalizer(lowercase=False), p.BertPreTokenizer(), max_input_chars_per_word=20),
        "words": wordpiece(n.Sequence([n.NFD(), n.Lowercase(), n.Strip(True, False)]), p.Whitespace(),
                           continuing_subword_prefix="##"),
        "digits": wordpiece(n.Replace("th", "\u00fe"), sequence(p.WhitespaceSplit(), p.Digits(False), p.Punctuation("merged_with_next"),
                                                       p.Split("e", "merged_with_previous"), p.Split("-", "removed"))),
    }


def answers(tokenizer, texts):
    """text, ids with special tokens as text, ids with them as tokens, text of the former."""
    out = []
    for text in texts:
        tokenizer.encode_special_tokens = True
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        special = tokenizer.encode(text, add_special_tokens=False).ids
        out.append([text, ids, special, tokenizer.decode(ids, skip_special_tokens=False)])
    return out


def write_answers(folder, name, oracle):
    with open(os.path.join(folder, name + "_answers.json"), "w", encoding="utf-8") as file:
        json.dump(answers(oracle, TEXTS), file, ensure_ascii=True, separators=(",", ":"))


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else FOLDER
    os.makedirs(folder, exist_ok=True)
    write_answers(folder, "tinylm", Tokenizer.from_file(TINYLM))
    for name, tokenizer in tokenizers().items():
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(tokenizer, file, ensure_ascii=False, separators=(",", ":"))
        write_answers(folder, name, Tokenizer.from_str(json.dumps(tokenizer)))


if __name__ == "__main__":
    main()

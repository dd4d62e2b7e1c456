"""Statistics in a file are as good as the data they come from: `calibrate` and `quantize --calib STATS` give the very
bytes of one `quantize --calib DATA --no-sequential`; and activations that wait in files give those of ones in memory."""
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

RESNET = os.path.join(cases.SOURCE_DIR, "examples", "resnet8")
folder = cases.scratch()
os.environ["OPENBLAS_NUM_THREADS"] = "1"
count = 0


def path(name):
    return os.path.join(folder, name)


def made(command, *options):
    """What a run writes; or what it says."""
    global count
    count += 1
    out = path(f"out{count}")
    code, _, err = cases.run(command, "--no-fsync", "--quiet", *options, out)
    if code:
        return f"exit {code}: {err}".encode()
    with open(out, "rb") as file:
        data = file.read()
    os.unlink(out)
    return data


def stats(name, *options):
    data = made("calibrate", *options)
    with open(path(name), "wb") as file:
        file.write(data)
    return path(name)


def header(name):
    with open(path(name), "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(size)), 8 + size


def numbers(name, tensor, kind):
    """A tensor of 8-byte numbers."""
    head, base = header(name)
    begin, end = head[tensor]["data_offsets"]
    with open(path(name), "rb") as file:
        file.seek(base + begin)
        return struct.unpack(f"<{(end - begin) // 8}{kind}", file.read(end - begin))


def same(name, a, b, least=10000):
    cases.check(name, a == b and len(a) > least, f"{len(a)} and {len(b)} bytes\n{a[:300]!r}\n{b[:300]!r}")


# ---- one command or two ----

TEXT = os.path.join(cases.TINYLM, "eval.txt")
IMAGES = os.path.join(RESNET, "eval_200.npz")
few = ["--max-tokens", "512"]
tiny = stats("tiny.stats", "--data", TEXT, *few, cases.TINYLM)
resnet_model = os.path.join(RESNET, "resnet8.onnx")
resnet = stats("resnet.stats", "--data", IMAGES, "--max-tokens", "32", resnet_model)

for recipe in ("--w4a16", "--w4a16 --method imatrix", "--w3a8 --asym --method gptq+bias", "--w4a8 --method awq+gptq",
               "--w4a8 --method smoothquant+gptq", "--w4a8 --method rotate+gptq", "--w4a8 --act static --method gptq",
               "--w4a8 --act static --act-per-channel --method smoothquant+gptq", "--w4a16 --scale-dtype k6x8 --method gptq"):
    one = made("quantize", *recipe.split(), "--no-sequential", "--calib", TEXT, *few, "--threads", "3", cases.TINYLM)
    same(f"tinylm {recipe}", one, made("quantize", *recipe.split(), "--calib", tiny, "--threads", "1", cases.TINYLM))
for recipe in ("--w8a8 --act static --method batchnorm+gptq", "--w4a8 --method batchnorm+cle+gptq+bias", "--w8a8 --method imatrix",
               "--w4a8 --act static --act-per-channel --method batchnorm+cle+gptq"):
    one = made("quantize", *recipe.split(), "--no-sequential", "--calib", IMAGES, "--max-tokens", "32", "--threads", "3", resnet_model)
    same(f"resnet8 {recipe}", one, made("quantize", *recipe.split(), "--calib", resnet, "--threads", "1", resnet_model))

for recipe, word in (("--w4a8 --act static --method smoothquant+gptq", "transform"), ("--w4a8 --sequential", "--sequential"),
                     ("--w4a16 --method compensate+gptq", "compensate")):
    code, _, err = cases.run("quantize", *recipe.split(), "--calib", tiny, cases.TINYLM, path("no.bin"))
    cases.check(f"refused: {recipe}", code in (2, 4) and word in err, f"exit {code}: {err}")
code, _, err = cases.run("quantize", "--w4a16", "--calib", tiny, resnet_model, path("no.bin"))
cases.check("statistics of another model are refused", code == 6 and "hash" in err, f"exit {code}: {err}")

# ---- blocks ----

head, _ = header("tiny.stats")
blocks = {name[:-5] for name in head if name.endswith("/rows")}
about = head["__metadata__"]
cases.check("q, k and v share a block, and so do gate and up", len(blocks) == 4 * 4 + 1, blocks)
cases.check("every matrix has one", sum(key.startswith("weight/") for key in about) == 4 * 7 + 1, sorted(about))
cases.check("it says what it is of", about["samples"] == "2" and about["tokens"] == "512" and folder not in str(about), about)
head, _ = header("resnet.stats")
blocks = {name[:-5] for name in head if name.endswith("/rows")}
cases.check("windows of another kernel are another block", len(blocks) == 10, blocks)
same("three threads, the same statistics", made("calibrate", "--data", TEXT, *few, "--threads", "3", cases.TINYLM),
     made("calibrate", "--data", TEXT, *few, "--threads", "1", cases.TINYLM))
lean = stats("lean.stats", "--data", TEXT, *few, "--no-gram", cases.TINYLM)
cases.check("--no-gram leaves Grams out", not any(name.endswith("/gram") for name in header("lean.stats")[0]))
same("imatrix does without Grams", made("quantize", "--w4a16", "--method", "imatrix", "--no-sequential", "--calib", TEXT, *few,
                                        cases.TINYLM)[-100000:],
     made("quantize", "--w4a16", "--method", "imatrix", "--calib", lean, cases.TINYLM)[-100000:])

# ---- adding ----

with open(TEXT, encoding="utf-8") as file:
    text = file.read()
for name, part in (("a.txt", text[:20000]), ("b.txt", text[20000:40000])):
    with open(path(name), "w", encoding="utf-8") as file:
        file.write(part)
    stats(name[0] + ".stats", "--data", path(name), "--max-tokens", "256", cases.TINYLM)
both = stats("both.stats", "--merge", path("a.stats"), "--merge", path("b.stats"))
names = sorted(name for name in header("both.stats")[0] if name.endswith("/square"))
wrong = [name for name in names if list(numbers("both.stats", name, "d")) !=
         [x + y for x, y in zip(numbers("a.stats", name, "d"), numbers("b.stats", name, "d"))]]
cases.check("files add up", len(names) == 17 and not wrong, wrong)
about = header("both.stats")[0]["__metadata__"]
cases.check("samples add up", about["samples"] == "2" and about["tokens"] == "512" and "; " in about["data"], about)
cases.check("what was added quantizes", len(made("quantize", "--w4a16", "--calib", both, cases.TINYLM)) > 10000)
code, _, err = cases.run("calibrate", "--merge", tiny, "--merge", resnet, path("no.stats"))
cases.check("files of two models do not add", code == 6, f"exit {code}: {err}")

# ---- importance matrices ----

code, _, err = cases.run("calibrate", "--quiet", "--data", TEXT, *few, cases.TINYLM, path("i.gguf"))
cases.check("an importance matrix", code == 0, err)
code, _, err = cases.run("calibrate", "--quiet", "--merge", tiny, path("j.gguf"))
with open(path("i.gguf"), "rb") as i, open(path("j.gguf"), "rb") as j:
    same("the same from statistics", i.read(), j.read())
chosen = made("quantize", "--w4a16", "--calib", path("i.gguf"), cases.TINYLM)
same("it is what auto takes imatrix for", chosen, made("quantize", "--w4a16", "--method", "imatrix", "--calib", path("i.gguf"), cases.TINYLM))
cases.check("it changes codes", len(chosen) > 10000 and chosen != made("quantize", "--w4a16", "--method", "mse", cases.TINYLM))
for recipe, word in (("--w4a16 --method gptq", "Gram"), ("--w4a16 --method awq+imatrix", "awq"), ("--w4a16 --method imatrix+bias", "bias"),
                     ("--w4a8 --act static --method imatrix", "--act static")):
    code, _, err = cases.run("quantize", *recipe.split(), "--calib", path("i.gguf"), cases.TINYLM, path("no.bin"))
    cases.check(f"refused of an importance matrix: {recipe}", code == 4 and word in err, f"exit {code}: {err}")

# ---- activations in files ----


def needed(*options):
    code, out, err = cases.run("quantize", *options, "--dry-run", "--json", cases.TINYLM, path("no.bin"))
    return json.loads(out)["memory_bytes"] if code == 0 else err


for recipe in ("--w4a8 --method compensate+gptq", "--w4a16 --method gptq --no-sequential"):
    options = [*recipe.split(), "--calib", TEXT, "--max-tokens", "4096", "--threads", "2"]
    most = needed(*options)
    limit = ["--memory-limit", str(most - 1)] if isinstance(most, int) else []
    less = needed(*options, *limit)
    cases.check(f"{recipe}: less memory when activations wait in files", isinstance(less, int) and less < most, f"{most}, {less}")
    same(f"{recipe}: the same bytes", made("quantize", *options, cases.TINYLM), made("quantize", *options, *limit, cases.TINYLM))
code, _, err = cases.run("quantize", "--w4a16", "--calib", TEXT, "--memory-limit", "30M", cases.TINYLM, path("no.bin"))
cases.check("too small a limit is refused before the work", code == 7 and "needs up to" in err, f"exit {code}: {err}")
cases.finish()

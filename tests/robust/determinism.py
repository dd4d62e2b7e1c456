"""Same input and recipe, same bytes: whatever the threads, the locale, the folder and the name of the input's folder."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

folder = cases.scratch()
count = 0


def quantized(*options, model=os.path.join(cases.TINYLM, "model.safetensors"), env=None, cwd=None):
    """The bytes of the container that this run writes."""
    global count
    count += 1
    out = os.path.join(folder, f"out{count}.bin")
    code, _, err = cases.run("quantize", "--no-fsync", *options, model, out, env=env, cwd=cwd)
    if code != 0:
        return f"exit {code}: {err}".encode()
    with open(out, "rb") as file:
        return file.read()


def comma_locale():
    """An environment whose decimal point is a comma; None where the system has no way to make one."""
    root = os.path.join(folder, "locales")
    os.mkdir(root)
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", os.path.join(root, "de_DE.UTF-8")],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    env = dict(os.environ, LOCPATH=root, LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8")
    if made.returncode > 1:
        return None
    shown = subprocess.run(["locale", "decimal_point"], env=env, capture_output=True, text=True, check=False)
    return env if shown.stdout.strip() == "," else None


def same(name, a, b):
    cases.check(name, a == b and len(a) > 10000, f"{len(a)} and {len(b)} bytes\n{a[:200]!r}\n{b[:200]!r}" if a != b else a[:300])


recipes = [["--w4a8"], ["--w4a8", "--method", "rtn"], ["--w3a8", "--asym", "--group", "64"], ["--w2a8", "--method", "hqq"],
           ["--w1.58a8"], ["--preset", "nvfp4"]]
for recipe in recipes:
    text = " ".join(recipe)
    one = quantized(*recipe, "--threads", "1")
    same(f"{text}: 1 and 2 threads", one, quantized(*recipe, "--threads", "2"))
    same(f"{text}: 1 and 7 threads", one, quantized(*recipe, "--threads", "7"))

first = quantized("--w4a8")
same("two runs", first, quantized("--w4a8"))
same("LC_ALL=C", first, quantized("--w4a8", env=dict(os.environ, LC_ALL="C")))
comma = comma_locale()
if comma:
    same("a locale with a decimal comma", first, quantized("--w4a8", env=comma))
    out = os.path.join(folder, "out1.bin")
    reports = [cases.run("verify", out, "--json", env=env)[1] for env in (comma, dict(os.environ, LC_ALL="C"))]
    cases.check("the JSON report in both locales", reports[0] == reports[1] and len(reports[0]) > 100, reports[0][:500])
else:
    cases.skip("a locale with a decimal comma", "localedef cannot make de_DE.UTF-8 here")

one, two = os.path.join(folder, "one"), os.path.join(folder, "two")
shutil.copytree(cases.TINYLM, one)
same("the input in another folder", first, quantized("--w4a8", model=os.path.join(one, "model.safetensors")))
same("a relative path", first, quantized("--w4a8", model="model.safetensors", cwd=one))
by_folder = quantized("--w4a8", model=one)
os.rename(one, two)
same("after mv of the input's folder", first, quantized("--w4a8", model=os.path.join(two, "model.safetensors")))
same("a folder as input, after mv", by_folder, quantized("--w4a8", model=two))
os.utime(os.path.join(two, "model.safetensors"), (1, 1))
same("another time stamp", by_folder, quantized("--w4a8", model=two))
cases.finish()

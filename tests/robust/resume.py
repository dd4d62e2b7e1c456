"""Calibrated runs that are stopped at any point and started again: the same bytes, at any number of threads.

kill -9 before and after calls that change the file system, SIGINT and kill -9 at moments spread over the run; for
`quantize --checkpoint` along the coded model and along the float one, and for `calibrate`.
"""
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

SHIM = os.path.abspath(sys.argv[1])  # kill_at.so
DATA = os.path.join(cases.TINYLM, "eval.txt")
TOKENS = "512"
MOMENTS = 4

folder = cases.scratch()
kept = os.path.join(folder, "kept")
out = os.path.join(folder, "out.bin")
log = os.path.join(folder, "calls")
os.environ["OPENBLAS_NUM_THREADS"] = "1"


def calibrated(*options):
    return ["quantize", "--w4a8", "--calib", DATA, "--max-tokens", TOKENS, "--checkpoint", kept, *options, cases.TINYLM, out]


RUNS = {
    "sequential": calibrated("--method", "compensate+gptq+bias"),
    "static activations": calibrated("--act", "static", "--method", "smoothquant+gptq"),
    "two-level scales": calibrated("--scale-dtype", "k6x8", "--method", "gptq"),
    "of the float model": calibrated("--no-sequential", "--act", "static", "--method", "gptq"),
    "calibrate": ["calibrate", "--data", DATA, "--max-tokens", TOKENS, cases.TINYLM, out],
}


def start(run, threads, **env):
    asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    if env:
        env = dict(os.environ, LD_PRELOAD=SHIM, ASAN_OPTIONS=asan, **env)
    return cases.start(*run, "--threads", str(threads), "--quiet", env=env or None)


def wait(process):
    _, err = process.communicate()
    return process.returncode, err


def clean():
    shutil.rmtree(kept, ignore_errors=True)
    shutil.rmtree(out + ".partial", ignore_errors=True)
    if os.path.exists(out):
        os.unlink(out)


def bytes_of(run, threads):
    """Runs to the end; what it wrote, or what it said."""
    code, err = wait(start(run, threads))
    if code:
        return f"exit {code}: {err}".encode()
    if os.path.exists(kept) or os.path.exists(out + ".partial"):
        return b"the folder of parts is still there"
    with open(out, "rb") as file:
        return file.read()


def steps():
    for parts in (kept, out + ".partial"):
        if os.path.isdir(parts):
            return sum(name.endswith(".safetensors") for name in os.listdir(parts))
    return 0


def calls_of(run):
    """The calls of a whole run that change the file system, by name."""
    clean()
    if os.path.exists(log):
        os.unlink(log)
    code, _ = wait(start(run, 1, KILL_LOG=log))
    if code or not os.path.exists(log):
        return []
    with open(log) as file:
        return file.read().split()


def at_calls(name, run, whole):
    """Kills around calls all over the run: in a step's file, between two, at the end."""
    calls = calls_of(run)
    links = [n for n in range(1, len(calls) + 1) if calls[n - 1] == "linkat"]
    if len(links) < 4:
        cases.check(f"{name}: steps are written", False, calls)
        return
    wrong, hits = [], 0
    for n in (links[1], links[len(links) // 2], links[len(links) // 2] + 1, links[-2]):
        for when in ("before", "after"):
            clean()
            code, _ = wait(start(run, 1, KILL_AT=str(n), KILL_WHEN=when))
            hits += code == -signal.SIGKILL
            if os.path.exists(out):
                continue
            if bytes_of(run, 2) != whole:
                wrong.append(f"killed {when} call {n}, {calls[n - 1]}: other bytes")
    cases.check(f"{name}: killed around calls, the same bytes", hits >= 7 and not wrong, f"{hits} hits\n" + "\n".join(wrong))


def at_moments(name, run, whole, which):
    """Stopped again and again, a little later each time, until it is through."""
    clean()
    begin = time.monotonic()
    wait(start(run, 1))
    seconds = time.monotonic() - begin
    clean()
    seen = []
    for i in range(MOMENTS):
        process = start(run, 1 + i % 3)
        time.sleep(seconds * (i + 1) / (MOMENTS + 1))
        process.send_signal(which)
        code, err = wait(process)
        seen.append((code, steps()))
        if os.path.exists(out):  # the next run would not replace it; parts may be left then
            break
        if code not in (-which, 128 + which):
            cases.check(f"{name}: a run that goes on, stopped again", False, f"exit {code}: {err}")
            return
    if os.path.exists(out):
        with open(out, "rb") as file:
            got = file.read()
    else:
        got = bytes_of(run, 2)
    kept_steps = [step for _, step in seen[:-1]]  # the last run may have been through, and taking the folder away
    grows = kept_steps == sorted(kept_steps)
    cases.check(f"{name}: signal {which} at moments, steps only become more", grows, seen)
    cases.check(f"{name}: signal {which} at moments, the same bytes", got == whole, f"{seen} {got[:300]!r}")


for name, run in RUNS.items():
    clean()
    whole = bytes_of(run, 1)
    cases.check(f"{name}: a run to its end", len(whole) > 10000, whole[:300])
    clean()
    cases.check(f"{name}: three threads, the same bytes", bytes_of(run, 3) == whole)
    at_calls(name, run, whole)
    for which in (signal.SIGKILL, signal.SIGINT):
        at_moments(name, run, whole, which)


# ---- what is no checkpoint of this run ----

def stopped(run):
    """Leaves a checkpoint with a step or two."""
    clean()
    calls = [n for n, call in enumerate(calls_of(run), 1) if call == "linkat"]
    clean()
    wait(start(run, 1, KILL_AT=str(calls[3]), KILL_WHEN="before"))
    return steps()


def refused(name, run, *words):
    code, err = wait(start(run, 1))
    cases.check(f"refused: {name}", code == 6 and all(word in err for word in words), f"exit {code}: {err}")


run = RUNS["sequential"]
clean()
whole = bytes_of(run, 1)
cases.check("a checkpoint with steps", stopped(run) >= 1)
refused("other bits", [word if word != "--w4a8" else "--w3a8" for word in run], "weight_bits 4", "3")
refused("another method", calibrated("--method", "gptq"), "method", "compensate+gptq+bias")
refused("fewer samples", [word if word != TOKENS else "256" for word in run], "samples")
refused("another order", run + ["--seed", "3"], "shuffled")
cases.check("what was refused stays", steps() >= 1)
with open(os.path.join(kept, "run.json")) as file:
    about = json.load(file)
about["version"] = "0.0.0"
with open(os.path.join(kept, "run.json"), "w") as file:
    json.dump(about, file)
refused("another version", run, "version", "0.0.0")
got = bytes_of(run + ["--force"], 1)
cases.check("--force begins anew, the same bytes", got == whole, got[:300])

stopped(run)
parts = sorted(name for name in os.listdir(kept) if name.endswith(".safetensors"))
with open(os.path.join(kept, parts[0]), "r+b") as file:
    file.truncate(os.path.getsize(file.name) - 3)
code, err = wait(start(run, 1))
cases.check("a step that was cut short is refused by name", code == 3 and parts[0] in err, f"exit {code}: {err}")

stopped(run)
step = os.path.join(kept, parts[0])
with open(step, "rb") as file:
    good = file.read()
header = 8 + int.from_bytes(good[:8], "little")
seen = []
for i in range(16):
    bad = bytearray(good)
    bad[header * i // 16] ^= 1 << i % 8
    with open(step, "wb") as file:
        file.write(bad)
    code, err = wait(start(run, 1))
    seen.append(code)
    if code == 0:
        stopped(run)
cases.check("flipped bits of a step's header: refused, or of no account", set(seen) <= {0, 3, 4, 6}, seen)

clean()
os.mkdir(kept)
with open(os.path.join(kept, "mine.txt"), "w") as file:
    file.write("not a checkpoint")
code, err = wait(start(run + ["--force"], 1))
cases.check("a folder of something else stays", code == 2 and os.listdir(kept) == ["mine.txt"], f"exit {code}: {err}")

clean()
cases.check("statistics begun with other data", stopped(RUNS["calibrate"]) >= 1)
other = [word if word != TOKENS else "256" for word in RUNS["calibrate"]]
refused("statistics of other data", other, "samples")
code, err = wait(start(other + ["--force"], 1))
cases.check("--force begins statistics anew", code == 0, err)
cases.finish()

"""kill -9 at any moment: the output is absent, the old one, or a whole new one that verifies; nothing else is left.

One thing cannot be had: an unnamed file replaces a name in two steps (link, rename), and a kill between them
leaves the linked name. The next run removes it, and that is tested.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

SHIM = os.path.abspath(sys.argv[1])  # kill_at.so
MODEL = os.path.join(cases.TINYLM, "model.safetensors")
MOMENTS = 50

folder = cases.scratch()
home = os.path.join(folder, "home")
out = os.path.join(home, "out.bin")
log = os.path.join(folder, "calls")
os.mkdir(home)


def quantize(*options, **env):
    """The run that gets killed. Preloading under a sanitizer needs its consent."""
    asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    if env:
        env = dict(os.environ, LD_PRELOAD=SHIM, ASAN_OPTIONS=asan, **env)
    return cases.start("quantize", "--w4a8", "--threads", "1", *options, MODEL, out, env=env or None)


def wait(process):
    _, err = process.communicate()
    return process.returncode, err


def reset(old):
    for name in os.listdir(home):
        os.unlink(os.path.join(home, name))
    if old:
        with open(out, "wb") as file:
            file.write(old)


def state(old):
    """What is wrong with the folder, and whether a temporary name was left."""
    names = sorted(os.listdir(home))
    others = [name for name in names if name != "out.bin"]
    temporary = [name for name in others if name.startswith(".out.bin.") and name.endswith(".mcompress-tmp")]
    if others != temporary:
        return f"left over: {others}", temporary
    if "out.bin" not in names:
        return "the old output is gone" if old else "", temporary
    with open(out, "rb") as file:
        if old and file.read(len(old) + 1) == old:
            return "", temporary
    code, _, err = cases.run("verify", out)
    return (f"the output does not verify: {err}" if code else ""), temporary


def spread(old, *options):
    """Kills at moments spread over the run time; how many hit a running program, and what went wrong."""
    times = []
    for _ in range(3):
        reset(old)
        begin = time.monotonic()
        code, err = wait(quantize(*options))
        times.append(time.monotonic() - begin)
        if code:
            return 0, [f"exit {code}: {err}"]
    hits, wrong = 0, []
    for i in range(MOMENTS):
        delay = sorted(times)[1] * (i + 0.5) / MOMENTS
        for _ in range(5):  # a run that ended before its moment came is tried again, a little earlier
            reset(old)
            process = quantize(*options)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            code, _ = wait(process)
            bad, temporary = state(old)
            if bad or temporary and not old:
                wrong.append(f"moment {i}: {bad} {temporary}")
            if code == -signal.SIGKILL:
                break
            delay *= 0.8
        hits += code == -signal.SIGKILL
    return hits, wrong


def calls_of(old, *options):
    """The calls of a whole run that change the file system, by name."""
    reset(old)
    if os.path.exists(log):
        os.unlink(log)
    code, err = wait(quantize(*options, KILL_LOG=log))
    if code or not os.path.exists(log):
        return []
    with open(log) as file:
        return file.read().split()


def at_each_call(label, old, *options):
    """Kills before and after each call of the commit, and a few of the calls before it."""
    calls = calls_of(old, *options)
    cases.check(f"{label}: the run writes, flushes and names its output",
                {"create", "pwrite", "fsync", "linkat"} <= set(calls), calls)
    if "fsync" not in calls:
        return 0
    commit = calls.index("fsync") + 1
    early = [n for n in range(1, commit) if calls[n - 1] != "pwrite"] + [commit // 2, commit - 1]
    for n in sorted(set(early)) + list(range(commit, len(calls) + 1)):
        for when in ("before", "after"):
            reset(old)
            code, _ = wait(quantize(*options, KILL_AT=str(n), KILL_WHEN=when))
            bad, temporary = state(old)
            between = old and when == ("after" if calls[n - 1] == "linkat" else "before") and (
                calls[n - 1] == "linkat" or calls[n - 1].startswith("rename"))
            good = code == -signal.SIGKILL and not bad and (not temporary or between)
            if temporary and between:
                code, err = wait(quantize(*options))
                good = good and code == 0 and os.listdir(home) == ["out.bin"]
                bad = f"the next run: exit {code} {err} {os.listdir(home)}"
            cases.check(f"{label}: killed {when} call {n}, {calls[n - 1]}", good, f"exit {code}: {bad} {temporary}")
    return 2 * (len(calls) + 1 - commit)


commits = 0
for label, old, options in (("a new output", b"", []), ("an output replaced", b"old bytes", ["--force"])):
    hits, wrong = spread(old, *options)
    cases.check(f"{label}: {MOMENTS} moments over the run", not wrong, "\n".join(wrong))
    cases.check(f"{label}: most of the moments hit a running program", hits >= MOMENTS // 2, f"{hits} of {MOMENTS}")
    commits += at_each_call(label, old, *options)
    reset(b"")
    code, err = wait(quantize())
    cases.check(f"{label}: the next run is as if nothing had been", code == 0 and os.listdir(home) == ["out.bin"] and not state(b"")[0],
                f"exit {code}: {err} {os.listdir(home)}")
cases.check("at least 10 of the moments are in a commit", commits >= 10, commits)
cases.finish()

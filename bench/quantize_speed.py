#!/usr/bin/env python3
"""Speed and peak memory of `mcompress quantize`, beside llama.cpp's quantizer and `cp` in the same run.

    quantize_speed.py MCOMPRESS MODEL [--gguf FILE --llama LIB_DIR --llama-quantize SCRIPT] [options]

See README.md in this folder. Needs Python's standard library only; the peer is optional.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

MB = 1e6


def arguments():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("mcompress")
    a.add_argument("model", help="a .safetensors file or a folder of them")
    a.add_argument("--gguf", help="the same weights, unquantized, for llama.cpp")
    a.add_argument("--llama", help="folder of llama.cpp's shared libraries")
    a.add_argument("--llama-quantize", help="script that calls them: SCRIPT LIB_DIR IN OUT TYPE THREADS")
    a.add_argument("--peer-python", default=sys.executable)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--repeat", type=int, default=3, help="the best of so many runs counts")
    a.add_argument("--out", help="folder for outputs, on the disk of the model; default: the model's own")
    a.add_argument("--check", action="store_true", help="exit 1 when a goal of README.md is missed")
    return a.parse_args()


def weight_files(model):
    if os.path.isfile(model):
        return [model]
    return sorted(os.path.join(model, name) for name in os.listdir(model) if name.endswith(".safetensors"))


def read_all(paths):
    """Warms the page cache; the bytes there are."""
    total = 0
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(1 << 24):
                total += len(chunk)
    return total


def timed(command):
    """Wall seconds, peak resident bytes (mapped pages included, as VmHWM counts them), and what it printed."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{text}")
    return seconds, usage.ru_maxrss * 1024, text


def copy(files, out):
    def job():
        return timed(["cp", "--", *files, out])[0], 0
    return job


def ours(o, out, method, fsync=False):
    command = [o.mcompress, "quantize", "--w4a8", "--method", method, "--group", "32", "--threads", str(o.threads), "--quiet", "--force",
               *([] if fsync else ["--no-fsync"]), o.model, os.path.join(out, "ours.bin")]

    def job():
        seconds, peak, _ = timed(command)
        return seconds, peak
    return job


def peer(o, out, kind):
    command = [o.peer_python, o.llama_quantize, o.llama, o.gguf, os.path.join(out, "peer.gguf"), kind, str(o.threads)]

    def job():
        _, peak, text = timed(command)
        seconds = re.search(rf"^{kind} ([0-9.]+) s", text, re.M)  # of the call alone, without the start of Python
        if not seconds:
            sys.exit(f"{' '.join(command)}: no time in what it printed:\n{text}")
        return float(seconds.group(1)), peak
    return job


def measure(jobs, out, repeat):
    """Best seconds and their peak for each job. The jobs take turns, so that a slow minute hits all."""
    best = {}
    for _ in range(repeat):
        for name, job in jobs.items():
            seconds, peak = job()
            if name not in best or seconds < best[name][0]:
                best[name] = (seconds, peak)
            for left in os.listdir(out):
                os.unlink(os.path.join(out, left))
    return best


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.M)
    return f"{model.group(1) if model else os.uname().machine}, {len(os.sched_getaffinity(0))} processors"


def main():
    o = arguments()
    files = weight_files(o.model)
    with_peer = bool(o.gguf and o.llama and o.llama_quantize)
    out = tempfile.mkdtemp(prefix="mcompress-bench.", dir=o.out or os.path.dirname(os.path.abspath(files[0])))
    try:
        source_bytes = read_all(files)
        jobs = {"cp": copy(files, out), "rtn w4 g32": ours(o, out, "rtn"), "mse w4 g32": ours(o, out, "mse"),
                "rtn w4 g32, fsync": ours(o, out, "rtn", fsync=True), "mse w4 g32, fsync": ours(o, out, "mse", fsync=True)}
        if with_peer:
            read_all([o.gguf])
            jobs.update({"llama.cpp Q4_0": peer(o, out, "Q4_0"), "llama.cpp Q4_K_M": peer(o, out, "Q4_K_M")})
        best = measure(jobs, out, o.repeat)
    finally:
        shutil.rmtree(out)

    print(f"{machine()}; {o.threads} threads; {source_bytes / MB:.0f} MB of weights, page cache warm, best of {o.repeat}\n")
    print(f"{'':20} {'seconds':>8} {'MB/s':>8} {'peak MB':>8} {'x cp':>6}")
    for name, (seconds, peak) in best.items():
        shown = f"{peak / MB:8.0f}" if peak else " " * 8
        print(f"{name:20} {seconds:8.2f} {source_bytes / MB / seconds:8.0f} {shown} {seconds / best['cp'][0]:6.2f}")

    goals = [("peak of rtn and mse, MB", max(best[n][1] for n in best if "g32" in n) / MB, "<=", 256)]
    if with_peer:
        goals += [("rtn faster than Q4_0, times", best["llama.cpp Q4_0"][0] / best["rtn w4 g32"][0], ">=", 2.5),
                  ("mse faster than Q4_K_M, times", best["llama.cpp Q4_K_M"][0] / best["mse w4 g32"][0], ">=", 5)]
    print()
    missed = 0
    for name, value, op, goal in goals:
        met = value <= goal if op == "<=" else value >= goal
        missed += not met
        print(f"{name:32} {value:8.2f}   goal {op} {goal}{'' if met else '   MISSED'}")
    sys.exit(1 if o.check and missed else 0)


main()

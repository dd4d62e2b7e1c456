#!/usr/bin/env python3
"""Speed of running models, beside ONNX Runtime in the same run, and whether memory grows with the number of samples.

    model_speed.py MCOMPRESS MODEL_RUN MODELS [options]

MODELS holds resnet8/ and tinylm/. See README.md in this folder. Needs numpy, onnx and onnxruntime, or --peer-python with them.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MB = 1e6
WINDOW = 256


def arguments():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("mcompress")
    a.add_argument("model_run", help="built from model_run.c")
    a.add_argument("models")
    a.add_argument("--peer-python", default=sys.executable)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--repeat", type=int, default=5, help="the best of so many runs counts")
    a.add_argument("--windows", type=int, default=64, help="of tinylm's text")
    a.add_argument("--check", action="store_true", help="exit 1 when a goal of README.md is missed")
    a.add_argument("--peer", choices=("resnet8", "tinylm"), help=argparse.SUPPRESS)
    a.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    return a.parse_args()


# ---- the peer, in a process of its own ----

def peer_session(model, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def clocks():
    return time.monotonic(), time.process_time()


def print_pass(begin):
    seconds, cpu = (now - then for now, then in zip(clocks(), begin))
    print(f"pass {seconds:.6f} s, {cpu:.6f} s of processors")


def peer_resnet8(o):
    import numpy as np
    folder = os.path.join(o.models, "resnet8")
    run = peer_session(os.path.join(folder, "resnet8.onnx"), o.threads)
    name = run.get_inputs()[0].name
    x = np.load(os.path.join(folder, "eval.npz"))[name].astype(np.float32)
    for _ in range(2):  # the first finds out what memory it needs
        begin = clocks()
        for i in range(0, len(x), o.batch):
            run.run(None, {name: x[i:i + o.batch]})
        print_pass(begin)


def peer_tinylm(o):
    import numpy as np
    sys.path.insert(0, os.path.join(HERE, "..", "tests", "support"))
    import llama_onnx
    from safetensors_read import llama_folder
    folder = os.path.join(o.models, "tinylm")
    run = peer_session(llama_onnx.build(*llama_folder(folder), WINDOW, scored=True).SerializeToString(), o.threads)
    ids = np.load(os.path.join(folder, "eval_ids.npy")).astype(np.int64)
    n = o.windows * WINDOW
    x, targets = ids[:n].reshape(-1, WINDOW), np.append(ids, -1)[1:n + 1].reshape(-1, WINDOW)
    run.run(None, {"input_ids": x[:o.batch], "targets": targets[:o.batch]})
    begin, nll = clocks(), 0.0
    for i in range(0, len(x), o.batch):
        nll += float(run.run(None, {"input_ids": x[i:i + o.batch], "targets": targets[i:i + o.batch]})[0])
    print_pass(begin)
    print(f"perplexity {np.exp(nll / (targets >= 0).sum()):.6f}")


# ---- jobs ----

def output(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def job(*command):
    """Least seconds of the passes it prints, least seconds of processors, and the perplexity."""
    def run():
        text = output(command)
        perplexity = re.findall(r"^perplexity ([0-9.]+)$", text, re.M)
        passes = re.findall(r"^pass ([0-9.]+) s, ([0-9.]+) s of processors$", text, re.M)
        return (*(min(map(float, column)) for column in zip(*passes)), float(perplexity[0]) if perplexity else None)
    return run


def ours(o, model, data, *options):
    return job(o.model_run, os.path.join(o.models, model), os.path.join(o.models, data), "--threads", str(o.threads), *options)


def theirs(o, name, batch):
    return job(o.peer_python, os.path.abspath(__file__), o.mcompress, o.model_run, o.models, "--peer", name, "--batch", str(batch),
               "--threads", str(o.threads), "--windows", str(o.windows))


def measure(jobs, repeat):
    """Best result of each job. They take turns, so that a slow minute hits all."""
    best = {}
    for _ in range(repeat):
        for name, job in jobs.items():
            seconds, cpu, perplexity = job()
            was = best.get(name, (seconds, cpu))
            best[name] = (min(seconds, was[0]), min(cpu, was[1]), perplexity)
    return best


def peak(command):
    """The largest resident set, mapped pages included."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{text}")
    return usage.ru_maxrss * 1024


def peaks(o):
    """Of verify with few windows and with all."""
    model, ids = os.path.join(o.models, "tinylm"), os.path.join(o.models, "tinylm", "eval_ids.npy")
    with tempfile.TemporaryDirectory(prefix="mcompress-bench.") as folder:
        container = os.path.join(folder, "tinylm.bin")
        output([o.mcompress, "quantize", "--w4a8", "--no-fsync", "--quiet", model, container])
        verify = [o.mcompress, "verify", container, "--reference", model, "--data", ids, "--threads", str(o.threads)]
        return peak([*verify, "--quick", "10"]), peak(verify)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.M)
    return f"{model.group(1) if model else os.uname().machine}, {len(os.sched_getaffinity(0))} processors"


def main():
    o = arguments()
    if o.peer:
        return {"resnet8": peer_resnet8, "tinylm": peer_tinylm}[o.peer](o)
    resnet8 = ("resnet8/resnet8.onnx", "resnet8/eval.npz", "--passes", "2")
    jobs = {"resnet8, one by one": ours(o, *resnet8), "resnet8, batch 64": ours(o, *resnet8, "--batch", "64"),
            "resnet8, ONNX Runtime, batch 64": theirs(o, "resnet8", 64),
            "tinylm": ours(o, "tinylm", "tinylm/eval_ids.npy", "--quick", str(o.windows)),
            "tinylm, ONNX Runtime, batch 1": theirs(o, "tinylm", 1), "tinylm, ONNX Runtime, batch 8": theirs(o, "tinylm", 8)}
    load = os.getloadavg()[0]
    best = measure(jobs, o.repeat)
    few, all_windows = peaks(o)

    print(f"{machine()}, load {load:.1f} before; {o.threads} threads, best of {o.repeat}; {o.windows} windows of tinylm\n")
    print(f"{'':34} {'seconds':>8} {'of processors':>14} {'perplexity':>11}")
    for name, (seconds, cpu, perplexity) in best.items():
        print(f"{name:34} {seconds:8.3f} {cpu:14.3f} {f'{perplexity:11.4f}' if perplexity else ''}")
    print(f"\nverify of tinylm, peak MB: {few / MB:.1f} with 10 windows, {all_windows / MB:.1f} with all")

    peer = min(best["tinylm, ONNX Runtime, batch 1"], best["tinylm, ONNX Runtime, batch 8"])
    goals = [("resnet8, times ONNX Runtime's", best["resnet8, one by one"][0] / best["resnet8, ONNX Runtime, batch 64"][0], 2),
             ("the same by batches of 64", best["resnet8, batch 64"][0] / best["resnet8, ONNX Runtime, batch 64"][0], 2),
             ("tinylm, times ONNX Runtime's", best["tinylm"][0] / peer[0], 1.2),
             ("perplexities apart, relative", abs(best["tinylm"][2] / peer[2] - 1), 1e-5),
             ("peak with all, times with 10", all_windows / few, 1.1)]
    print()
    missed = 0
    for name, value, goal in goals:
        met = value <= goal
        missed += not met
        print(f"{name:32} {value:10.5f}   goal <= {goal}{'' if met else '   MISSED'}")
    sys.exit(1 if o.check and missed else 0)


main()

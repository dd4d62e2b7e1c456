#!/usr/bin/env python3
"""Time and memory of `mcompress quantize --calib`: where the seconds go, the peak, and GPTQ's factor beside the usual way.

    calibrate_speed.py MCOMPRESS FACTOR_SPEED MODEL [--tokens N] [--window W] [--methods A,B] [--check]

MODEL is a Hugging Face folder; its tokens are drawn at random from the vocabulary, since only their number matters here. Needs Python's
standard library only. See README.md in this folder.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

GOAL_PEAK = 1.5e9
GOAL_FACTOR = 0.6


def arguments():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("mcompress")
    a.add_argument("factor_speed")
    a.add_argument("model")
    a.add_argument("--tokens", type=int, default=32 * 256)
    a.add_argument("--window", type=int, default=256)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--methods", default="gptq")
    a.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    return a.parse_args()


def write_ids(path, count, vocabulary):
    """A .npy of int32, version 1.0."""
    draw = random.Random(1)
    header = "{'descr': '<i4', 'fortran_order': False, 'shape': (%d,), }" % count
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack("<%di" % count, *(draw.randrange(3, vocabulary) for _ in range(count))))


def run(o, method, ids, out):
    command = [o.mcompress, "quantize", "--w4a16", "--group", "128", "--window", str(o.window), "--calib", ids, "--method", method,
               "--max-tokens", str(o.tokens), "--threads", str(o.threads), "--json", "--force", o.model, out]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}")
    return json.loads(done.stdout)


def main():
    o = arguments()
    with open(os.path.join(o.model, "config.json")) as file:
        config = json.load(file)
    missed = []
    print("| method | seconds | forward | moments | factors | codes | peak MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        ids = os.path.join(folder, "ids.npy")
        write_ids(ids, o.tokens, config["vocab_size"])
        for method in o.methods.split(","):
            r = run(o, method, ids, os.path.join(folder, "out.bin"))
            s = r["calibration_seconds"]
            print(f"| {method} | {r['seconds']:.1f} | {s['forward']:.1f} | {s['moments']:.1f} | {s['factors']:.1f} | {s['codes']:.1f} | "
                  f"{r['peak_bytes'] / 1e6:.0f} |", flush=True)
            if r["peak_bytes"] > GOAL_PEAK:
                missed.append(f"{method}: peak {r['peak_bytes'] / 1e6:.0f} MB, goal {GOAL_PEAK / 1e6:.0f}")
    for n in (config["hidden_size"], config["intermediate_size"]):
        line = subprocess.run([o.factor_speed, str(n)], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        print(line)
        if float(line.rsplit(" ", 1)[1]) > GOAL_FACTOR:
            missed.append(f"factor: {line}, goal {GOAL_FACTOR}")
    for text in missed:
        print("missed:", text)
    return 1 if o.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The table of methods: what each leaves of a model's accuracy, its seconds and its peak memory.

    methods.py run MCOMPRESS SHARED [--only GLOB] [--goals] [--again]      runs rows that have no result yet
    methods.py table                                                     writes docs/methods.md from the results
    methods.py check                                                     holds results to their goals; exit 1 if one is missed
    methods.py list [--only GLOB]                                        rows, and which have a result

SHARED holds models/ and tools/. Results are kept in methods.json beside this file, one entry for each row, so that a run
that is interrupted goes on where it was. Standard library only, but for rows with outliers: --peer-python needs numpy.
"""
import argparse
import array
import fnmatch
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

from methods_rows import BLOCK_LINEARS, all_rows, goals
from methods_text import goals_met, tables

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "methods.json")
DOCUMENT = os.path.join(HERE, "..", "docs", "methods.md")
KEPT = ("kl_mean", "kl_mean_se", "kl_p99", "perplexity", "perplexity_ratio", "top1_agreement", "top1_agreement_se", "accuracy", "accuracy_reference",
        "accuracy_drop", "samples")


def arguments():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = a.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("mcompress")
    run.add_argument("shared")
    run.add_argument("--again", action="store_true", help="also rows that have a result")
    run.add_argument("--goals", action="store_true", help="only rows that goals look at")
    run.add_argument("--limit", type=int, help="at most so many rows")
    run.add_argument("--threads", type=int, default=1)
    run.add_argument("--peer-python", default=sys.executable)
    for command in (run, commands.add_parser("list")):
        command.add_argument("--only", default="*", help="rows whose name matches, as shells match files")
    commands.add_parser("table")
    commands.add_parser("check")
    return a.parse_args()


# ---- results ----

def load():
    if not os.path.exists(RESULTS):
        return {}
    with open(RESULTS, encoding="utf-8") as file:
        return json.load(file)


def save(results):
    order = {row.id: i for i, row in enumerate(all_rows())}
    kept = {key: results[key] for key in sorted(results, key=lambda key: order.get(key, len(order))) if key in order}
    with open(RESULTS + ".new", "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=1)
        file.write("\n")
    os.replace(RESULTS + ".new", RESULTS)


# ---- one row ----

class Failed(Exception):
    pass


def timed(command):
    """Wall seconds, seconds of processors, peak resident bytes."""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode != 0:
        raise Failed(f"exit {process.returncode}: {text.strip()}")
    return {"seconds": round(time.monotonic() - begin, 2), "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "peak_bytes": usage.ru_maxrss * 1024}


class Bench:
    def __init__(self, o):
        self.o = o
        self.folder = tempfile.mkdtemp(prefix="mcompress-bench.")
        self.models = os.path.join(o.shared, "models")

    def path(self, name):
        return os.path.join(self.folder, name)

    def model(self, row):
        """(model, calibration, evaluation)"""
        if row.model in ("resnet8", "mnist"):
            folder = os.path.join(self.models, row.model)
            return os.path.join(folder, row.model + ".onnx"), os.path.join(folder, "calib.npz"), os.path.join(folder, "eval.npz")
        plain = os.path.join(self.models, "tinylm")
        folder = plain
        if row.model == "outliers":
            folder = self.path("outliers")
            if not os.path.exists(folder):
                tool = os.path.join(self.o.shared, "tools", "inject_outliers.py")
                subprocess.run([self.o.peer_python, tool, plain, folder], check=True)
        return folder, os.path.join(plain, "calib_ids.npy"), os.path.join(plain, "eval_ids.npy")

    def quantize(self, row, out):
        model, calib, _ = self.model(row)
        choice = ("--preset", row.method.split()[1]) if row.method.startswith("preset ") else ("--method", row.method)
        data = ("--calib", calib, "--max-tokens", str(row.samples)) if row.samples else ()
        seed = ("--seed", str(row.seed)) if row.seed else ()
        keep = BLOCK_LINEARS if row.model in ("tinylm", "outliers") else ()
        return timed([self.o.mcompress, "quantize", *row.scheme, *choice, *row.options, *data, *seed, *keep, "--threads", str(self.o.threads),
                      "--quiet", "--force", "--no-fsync", model, out])

    def verify(self, row, container, *options):
        model, _, evaluation = self.model(row)
        report = self.path("report.json")
        quick = ("--quick", str(row.windows)) if row.windows else ()
        timed([self.o.mcompress, "verify", container, "--reference", model, "--data", evaluation, *quick, "--threads", str(self.o.threads), "--quiet",
               "--force", "--report", report, *options])
        with open(report, encoding="utf-8") as file:
            return json.load(file)

    def run(self, row):
        container = self.path("out.bin")
        result = self.quantize(row, container)
        dump = ("--dump", self.path("fake-quant.npz")) if row.integer else ()
        report = self.verify(row, container, *dump)
        result.update({key: report["model"][key] for key in KEPT if key in report["model"]})
        result.update(container_bytes=report["size"]["container_bytes"], bits_per_weight=report["size"]["bits_per_weight"],
                      headline=report["headline"])
        if row.integer:
            self.verify(row, container, "--numerics", "integer", "--dump", self.path("integer.npz"))
            result["integer_agreement"] = agreement(self.path("fake-quant.npz"), self.path("integer.npz"))
        os.unlink(container)
        return result


def container_outputs(path):
    """Samples of the container's first output, as lists."""
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.startswith("container/"))
        data = archive.read(name)
    header, = struct.unpack_from("<H", data, 8)
    shape = eval(data[10:10 + header], {"__builtins__": {}}, {"False": False, "True": True})["shape"]
    values = array.array("f", data[10 + header:])
    width = len(values) // shape[0]
    return [values[i * width:(i + 1) * width] for i in range(shape[0])]


def agreement(a, b):
    pairs = list(zip(container_outputs(a), container_outputs(b), strict=True))
    same = sum(x.index(max(x)) == y.index(max(y)) for x, y in pairs)
    return same / len(pairs)


def shown(result):
    if "error" in result:
        return result["error"]
    figures = ", ".join(f"{key} {result[key]:.5g}" for key in ("kl_mean", "top1_agreement", "accuracy_drop", "integer_agreement") if key in result)
    return f"{figures}, {result['cpu_seconds']} s, {result['peak_bytes'] / 1e6:.0f} MB"


def run(o):
    results = load()
    wanted = {id for goal in goals() for id in (goal.row, goal.over)} if o.goals else None
    todo = [row for row in all_rows() if fnmatch.fnmatch(row.id, o.only) and (wanted is None or row.id in wanted)
            and (o.again or "top1_agreement" not in results.get(row.id, ()))]
    bench = Bench(o)
    failed = 0
    try:
        for row in todo[:o.limit]:
            try:
                result = bench.run(row)
            except Failed as error:
                result = {"error": str(error)}
                failed += 1
            results = load()  # another run may have added rows
            results[row.id] = result
            save(results)
            print(f"{row.id}: {shown(result)}", flush=True)
    finally:
        shutil.rmtree(bench.folder)
    return 1 if failed else 0


def write_document(results):
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    for name, table in tables(results).items():
        begin, end = f"<!-- {name}: made by bench/methods.py -->\n", f"<!-- end of {name} -->\n"
        if text.count(begin) != 1 or text.count(end) != 1:
            sys.exit(f"{DOCUMENT}: no place for the table {name}")
        before, rest = text.split(begin)
        text = before + begin + "\n" + table + "\n" + end + rest.split(end)[1]
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


def main():
    o = arguments()
    if o.command == "run":
        sys.exit(run(o))
    results = load()
    if o.command == "table":
        sys.exit(write_document(results))
    if o.command == "check":
        sys.exit(0 if goals_met(results) else 1)
    for row in all_rows():
        if fnmatch.fnmatch(row.id, o.only):
            print(f"{row.id}: {shown(results[row.id]) if row.id in results else '-'}")


main()

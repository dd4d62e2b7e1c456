"""What --dry-run prints is what a run then does: per tensor, in bytes, in memory; and the figures of `verify` agree."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

folder = cases.scratch()
model = os.path.join(cases.TINYLM, "model.safetensors")

SCHEMES = [
    ["--w4a8"],
    ["--w4a8", "--threads", "7"],
    ["--w3a16", "--asym", "--group", "64"],
    ["--w2a8", "--method", "hqq", "--group", "32"],
    ["--w1.58a8"],
    ["--w1a8", "--group", "channel"],
    ["--w5a16kv4", "--group", "tensor"],
    ["--w4a4", "--levels", "nf4", "--scale-dtype", "bf16"],
    ["--w4a16", "--scale-dtype", "k6x8"],
    ["--preset", "nvfp4"],
    ["--w8a16", "--levels", "e4m3", "--scale-dtype", "e8m0", "--group", "32"],
    ["--w8a8", "--bits", "down_proj=6", "--keep", "v_proj", "--align", "4096"],
]


def output(*args):
    code, out, err = cases.run(*args)
    return json.loads(out) if code == 0 else {"error": f"exit {code}: {err}"}


def differences(plan, report):
    """What the plan said and the measured file does not say too."""
    planned = {t["name"]: t for t in plan["tensors"]}
    for t in report["tensors"]:
        p = planned.pop(t["name"])
        for key in ("form", "bytes", "bits", "group", "levels"):
            if key in p and p[key] != t.get(key):
                yield f"{t['name']}: {key} is {t.get(key)!r}, planned {p[key]!r}"
    if planned:
        yield f"missing: {sorted(planned)}"
    if report["size"]["container_bytes"] != plan["container_bytes"]:
        yield f"{report['size']['container_bytes']} bytes, planned {plan['container_bytes']}"
    if abs(report["size"]["bits_per_weight"] - plan["bits_per_weight"]) > 1e-9:
        yield f"{report['size']['bits_per_weight']} bits per weight, planned {plan['bits_per_weight']}"


for number, scheme in enumerate(SCHEMES):
    name = " ".join(scheme)
    out = os.path.join(folder, f"{number}.bin")
    plan = output("quantize", *scheme, "--dry-run", "--json", model, out)
    cases.check(f"{name}: --dry-run writes nothing", "tensors" in plan and not os.path.exists(out), str(plan)[:200])
    done = output("quantize", *scheme, "--json", "--no-fsync", model, out)
    report = output("verify", out, "--reference", model, "--json")
    seen = list(differences(plan, report)) if "tensors" in plan and "tensors" in report else [str(done)[:200]]
    cases.check(f"{name}: a run does what was planned", not seen, "\n".join(map(str, seen[:5])))
    cases.check(f"{name}: its peak memory is within the estimate",
                0 < done.get("peak_bytes", 0) <= plan.get("memory_bytes", 0),
                f"peak {done.get('peak_bytes')}, planned {plan.get('memory_bytes')}")
cases.finish()

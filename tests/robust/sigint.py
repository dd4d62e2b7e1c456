"""Ctrl-C, and a polite kill, leave nothing behind and an existing output untouched."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

folder = cases.scratch()
model = os.path.join(folder, "zeros.safetensors")
cases.write_zeros(model, 32, 2048, 2048)  # 512 MB

for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    number = getattr(signal, name)
    for label, before in (("no output there", None), ("an old output there", b"old")):
        home = os.path.join(folder, f"{name}-{before is not None}")
        os.mkdir(home)
        out = os.path.join(home, "out.bin")
        if before is not None:
            with open(out, "wb") as file:
                file.write(before)
        for delay in (0.0, 0.03, 0.1):
            process = cases.start("quantize", "--w4a8", "--threads", "1", "--force", model, out)
            mapped = cases.wait_for_map(process, model)
            time.sleep(delay)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            code = process.returncode
            case = f"{name} {delay:g} s into the work, {label}"
            cases.check(f"{case}: ends by the signal", mapped and code in (-number, 128 + number), f"exit {code}: {err}")
            left = sorted(os.listdir(home))
            cases.check(f"{case}: leaves nothing", left == ([] if before is None else ["out.bin"]), left)
        if before is not None:
            with open(out, "rb") as file:
                cases.check(f"{name}: the old output is as it was", file.read() == before)
cases.finish()

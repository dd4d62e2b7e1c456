"""An input that shrinks while it is mapped: exit 5 with its name, nothing left, an old output untouched."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

folder = cases.scratch()
model = os.path.join(folder, "shrinking.safetensors")
home = os.path.join(folder, "home")
out = os.path.join(home, "out.bin")
os.mkdir(home)



def shrink_while_read(file, *args):
    """Starts the program and truncates `file` once it is mapped; (was it mapped, exit code, stderr). On a slow machine that
    may come before the header was read, which makes the file invalid (3) instead of broken (5): then again, a little later."""
    for attempt in range(6):
        if file == model:
            cases.write_zeros(model, 16, 2048, 2048)
        process = cases.start(*args)
        mapped = cases.wait_for_map(process, file)
        time.sleep(0.03 * attempt)
        os.truncate(file, 8192)
        _, err = process.communicate(timeout=60)
        if process.returncode != 3 or file != model:
            break
    return mapped, process.returncode, err


for threads in ("1", "2"):
    for old in (False, True):
        if old:
            with open(out, "wb") as file:
                file.write(b"old")
        mapped, code, err = shrink_while_read(model, "quantize", "--w4a8", "--force", "--threads", threads, model, out)
        case = f"{threads} threads, {'an old output' if old else 'no output'} there"
        cases.check(f"{case}: exit 5 with the name", mapped and code == 5 and model in err, f"exit {code}: {err}")
        cases.check(f"{case}: leaves nothing", os.listdir(home) == (["out.bin"] if old else []), os.listdir(home))
    with open(out, "rb") as file:
        cases.check(f"{threads} threads: the old output is as it was", file.read() == b"old")
    os.unlink(out)

# The same for the container that verify reads.
cases.write_zeros(model, 16, 2048, 2048)
code, _, err = cases.run("quantize", "--w8a8", "--no-fsync", model, out)
cases.check("a container to shrink", code == 0, err)
mapped, code, err = shrink_while_read(out, "verify", out, "--reference", model, "--threads", "1")
cases.check("verify of a shrinking container: exit 5 with its name", mapped and code == 5 and out in err, f"exit {code}: {err}")
cases.finish()

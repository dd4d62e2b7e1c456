"""An input that shrinks while it is mapped: exit 5 with its name, nothing left, an old output untouched."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

folder = cases.scratch()
model = os.path.join(folder, "shrinking.safetensors")
home = os.path.join(folder, "home")
out = os.path.join(home, "out.bin")
os.mkdir(home)

for threads in ("1", "2"):
    for old in (False, True):
        if old:
            with open(out, "wb") as file:
                file.write(b"old")
        cases.write_zeros(model, 16, 2048, 2048)
        process = cases.start("quantize", "--w4a8", "--force", "--threads", threads, model, out)
        mapped = cases.wait_for_map(process, model)
        os.truncate(model, 8192)
        _, err = process.communicate(timeout=60)
        case = f"{threads} threads, {'an old output' if old else 'no output'} there"
        cases.check(f"{case}: exit 5 with the name", mapped and process.returncode == 5 and model in err,
                    f"exit {process.returncode}: {err}")
        cases.check(f"{case}: leaves nothing", os.listdir(home) == (["out.bin"] if old else []), os.listdir(home))
    with open(out, "rb") as file:
        cases.check(f"{threads} threads: the old output is as it was", file.read() == b"old")
    os.unlink(out)

# The same for the container that verify reads.
cases.write_zeros(model, 16, 2048, 2048)
code, _, err = cases.run("quantize", "--w8a8", "--no-fsync", model, out)
cases.check("a container to shrink", code == 0, err)
process = cases.start("verify", out, "--reference", model, "--threads", "1")
mapped = cases.wait_for_map(process, out)
os.truncate(out, 8192)
_, err = process.communicate(timeout=60)
cases.check("verify of a shrinking container: exit 5 with its name", mapped and process.returncode == 5 and out in err,
            f"exit {process.returncode}: {err}")
cases.finish()

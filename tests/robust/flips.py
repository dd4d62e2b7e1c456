"""A container with one flipped bit is refused, wherever the bit is: exit 3 in the magic, 4 in the version,
6 everywhere else."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

MAGIC, VERSION, FRONT = range(0, 8), range(8, 12), 4096

folder = cases.scratch()
whole, flipped = os.path.join(folder, "whole.bin"), os.path.join(folder, "flipped.bin")
code, _, err = cases.run("quantize", "--w4a8", "--no-fsync", os.path.join(cases.TINYLM, "model.safetensors"), whole)
cases.check("tinylm quantizes", code == 0, err)
cases.check("the whole container verifies", cases.run("verify", whole)[0] == 0)

with open(whole, "rb") as file:
    data = bytearray(file.read())
with open(flipped, "wb") as file:
    file.write(data)


def refused(bit):
    """The exit code for the container with that bit flipped, and whether it is the right one."""
    at = bit // 8
    with open(flipped, "r+b") as file:
        file.seek(at)
        file.write(bytes([data[at] ^ 1 << bit % 8]))
        file.flush()
        code, _, err = cases.run("verify", flipped)
        file.seek(at)
        file.write(data[at:at + 1])
    want = 3 if at in MAGIC else 4 if at in VERSION else 6
    return code == want and "flipped.bin" in err, f"bit {bit % 8} of byte {at}: exit {code}, want {want}: {err}"


def all_refused(name, bits):
    wrong = [seen for ok, seen in map(refused, bits) if not ok]
    cases.check(f"{name} ({len(bits)} flips)", not wrong, "\n".join(wrong[:10]) + f"\n{len(wrong)} in all")


draw = random.Random(20240501)
all_refused("every bit of magic and version", range(8 * 12))
all_refused("bits of header and tables", [draw.randrange(8 * 12, 8 * FRONT) for _ in range(200)])
all_refused("bits anywhere", [draw.randrange(8 * len(data)) for _ in range(1000)])
all_refused("bits of the last 4 KiB", [draw.randrange(8 * (len(data) - 4096), 8 * len(data)) for _ in range(50)])

for cut in (0, 1, 7, 8, 127, 128, 4096, len(data) // 2, len(data) - 1):
    with open(flipped, "wb") as file:
        file.write(data[:cut])
    code, _, err = cases.run("verify", flipped)
    cases.check(f"cut to {cut} bytes is refused", code in (3, 6), f"exit {code}: {err}")
with open(flipped, "wb") as file:
    file.write(data + b"\0")
code, _, err = cases.run("verify", flipped)
cases.check("a byte behind the end is refused", code == 6, f"exit {code}: {err}")
cases.finish()

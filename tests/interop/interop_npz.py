"""Arrays against NumPy and Python's zipfile: random arrays of every kind, order and shape, stored, deflated and in zip64,
are read and written again; what is written is a zip without a fault and holds the same arrays."""
import io
import os
import random
import subprocess
import tempfile
import zipfile

import numpy as np

PROGRAM = os.environ["NPZ_REWRITE"]
ROUNDS = int(os.environ.get("NPZ_ROUNDS", "40"))
KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")

count = 0


def report(wrong, what):
    global count
    count += 1
    print("%s %d - npz: %s" % ("not ok" if wrong else "ok", count, what))
    for line in wrong[:5]:
        print("#   " + line)


def random_array(rng, kind):
    shape = [rng.choice([0, 1, 2, 3, 5, 17]) for _ in range(rng.randrange(1, 6))]
    if rng.random() < 0.1:
        shape = [rng.randrange(1, 2000), 37]
    raw = bytes(rng.getrandbits(8) for _ in range(min(4096, int(np.prod(shape)) * 8)))
    size = int(np.prod(shape))
    values = np.resize(np.frombuffer(raw or b"\0" * 8, "u1" if kind == "?" else kind), size)
    values = values % 2 == 1 if kind == "?" else values
    array = np.asarray(values.reshape(shape), order=rng.choice("CF"))
    return array.astype(array.dtype.newbyteorder(rng.choice("<>")))


def save(path, arrays, how):
    if how in ("stored", "deflated"):
        (np.savez if how == "stored" else np.savez_compressed)(path, **arrays)
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # members of both kinds, and a comment
        archive.comment = b"made for a test"
        for i, (name, array) in enumerate(arrays.items()):
            data = io.BytesIO()
            np.lib.format.write_array(data, array, version=(1 + i % 3, 0))
            info = zipfile.ZipInfo(name + ".npy")
            info.compress_type = zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED
            if how == "zip64":
                info.extra = b"\x99\x99\x02\x00ab"
                with archive.open(info, "w", force_zip64=True) as member:
                    member.write(data.getvalue())
            else:
                archive.writestr(info, data.getvalue())


def differences(before, after):
    wrong = []
    with np.load(before) as a, np.load(after) as b:
        if a.files != b.files:
            return ["arrays %s, not %s" % (b.files, a.files)]
        for name in a.files:
            x, y = a[name], b[name]
            if x.dtype.newbyteorder("<") != y.dtype or x.shape != y.shape:
                wrong.append("%s: %s %s, not %s %s" % (name, y.dtype, y.shape, x.dtype, x.shape))
            elif np.ascontiguousarray(x).astype(y.dtype).tobytes() != np.ascontiguousarray(y).tobytes():
                wrong.append("%s: other numbers" % name)
    return wrong


def main():
    rng = random.Random(20240607)
    with tempfile.TemporaryDirectory() as folder:
        before, after = os.path.join(folder, "before.npz"), os.path.join(folder, "after.npz")
        for how in ("stored", "deflated", "mixed", "zip64"):
            wrong = []
            for _ in range(ROUNDS):
                arrays = {"%s/%d \u00e9" % (kind, i): random_array(rng, kind) for i, kind in enumerate(rng.sample(KINDS, 5))}
                save(before, arrays, how)
                run = subprocess.run([PROGRAM, before, after], stderr=subprocess.PIPE)
                if run.returncode != 0:
                    wrong.append(run.stderr.decode())
                    continue
                with zipfile.ZipFile(after) as archive:
                    if archive.testzip() is not None:
                        wrong.append("%s: its sum is wrong" % archive.testzip())
                wrong += differences(before, after)
            report(wrong, "%d files, %s" % (ROUNDS, how))


main()

"""Cases of a test script, one TAP line each, and what such scripts share."""
import atexit
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

MCOMPRESS = os.path.abspath(os.environ.get("MCOMPRESS", "build/release/mcompress"))
SOURCE_DIR = os.environ.get("MC_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TINYLM = os.path.join(SOURCE_DIR, "examples", "tinylm")

_cases = 0
_failures = 0


def check(name, holds, seen=""):
    """One case; `seen` is printed when it fails."""
    global _cases, _failures
    _cases += 1
    _failures += not holds
    print(f"{'ok' if holds else 'not ok'} - {name}", flush=True)
    if not holds and seen:
        print("\n".join("#   " + line for line in str(seen).splitlines()), flush=True)


def skip(name, why):
    global _cases
    _cases += 1
    print(f"ok - {name} # SKIP {why}", flush=True)


def finish():
    print(f"1..{_cases}")
    sys.exit(1 if _failures or not _cases else 0)


def scratch():
    """A folder that is gone when the script ends, also by a signal that asks it to."""
    folder = tempfile.mkdtemp(prefix="mcompress-test.")
    atexit.register(shutil.rmtree, folder, True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return folder


def start(*args, **options):
    """The program in the background. An ignored SIGINT, which shells give to their background, is not passed on."""
    return subprocess.Popen([MCOMPRESS, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options)


def run(*args, **options):
    """The program to its end: (exit code, stdout, stderr)."""
    process = start(*args, **options)
    out, err = process.communicate()
    return process.returncode, out, err


def wait_for_map(process, path, seconds=20):
    """Waits until the process has the file mapped. False when it ended before."""
    import time
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with open(f"/proc/{process.pid}/maps") as maps:
            if path in maps.read():
                return True
        time.sleep(0.001)
    return False


def write_zeros(path, tensors, rows, cols):
    """A safetensors file of F32 zeros that takes no room on disk: long to read, quick to make."""
    size = rows * cols * 4
    header = {f"layer{i}.weight": {"dtype": "F32", "shape": [rows, cols], "data_offsets": [i * size, (i + 1) * size]}
              for i in range(tensors)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + tensors * size)

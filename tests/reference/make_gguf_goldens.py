#!/usr/bin/env python3
"""An importance matrix as the gguf package (0.19.0) writes it, for tests/formats/test_gguf_imatrix.c.

    make_gguf_goldens.py [FOLDER]      default: tests/golden/gguf

Sums are 1, 2, 3, ... over the tensors in the order below; counts are 10, 20, ...
"""
import pathlib
import sys

import gguf
import numpy as np

TENSORS = (("blk.0.attn_q.weight", 1, 5), ("blk.0.ffn_down_exps.weight", 3, 4), ("output.weight", 1, 5))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "../golden/gguf")
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / "imatrix.gguf", "llama")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["wiki.txt", "caf\u00e9"])
    writer.add_uint32("imatrix.chunk_count", 7)
    writer.add_uint32("imatrix.chunk_size", 512)
    at, count = 1, 10
    for name, matrices, n in TENSORS:
        sums = np.arange(at, at + matrices * n, dtype=np.float32).reshape(matrices, n)
        counts = np.arange(count, count + 10 * matrices, 10, dtype=np.float32).reshape(matrices, 1)
        writer.add_tensor(name + ".in_sum2", sums)
        writer.add_tensor(name + ".counts", counts)
        at, count = at + matrices * n, count + 10 * matrices
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()

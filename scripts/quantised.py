"""Holds the blocks of a GGUF file that alma quantised against llama.cpp.

    pip install gguf numpy xllamacpp
    python quantised.py ORIGINAL.gguf QUANTISED.gguf READ.gguf [--write OUT.gguf]

ORIGINAL is the model as F32, QUANTISED what alma made of it, READ the latter as alma
reads it, written as F32. llama.cpp's Python package must read the same values, bit for
bit, and of each type the error must not be above that of the blocks that llama.cpp
makes of the same matrices without an importance matrix. --write leaves the file with
those blocks in the place of alma's.
"""

import argparse
import collections
import ctypes
import os
import shutil
import sys

import gguf
import numpy as np
import xllamacpp

F32 = gguf.GGMLQuantizationType.F32


def library():
    folder = os.path.dirname(xllamacpp.__file__)
    (name,) = [n for n in os.listdir(folder) if n.startswith("xllamacpp.") and n.endswith(".so")]
    lib = ctypes.CDLL(os.path.join(folder, name))
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    return lib


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("original"), parser.add_argument("quantised"), parser.add_argument("read")
    parser.add_argument("--write")
    args = parser.parse_args()
    lib = library()
    original = {t.name: t for t in gguf.GGUFReader(args.original).tensors}
    read = {t.name: t for t in gguf.GGUFReader(args.read).tensors}
    out = None
    if args.write:
        shutil.copyfile(args.quantised, args.write)
        out = np.memmap(args.write, np.uint8, "r+")
    sums = collections.defaultdict(lambda: [0, 0.0, 0.0, 0.0])  # of a type: matrices, squares of alma's and of llama.cpp's errors and of the values
    for t in gguf.GGUFReader(args.quantised).tensors:
        x = original[t.name].data.reshape(-1, int(t.shape[0]))
        if t.tensor_type in (F32, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16):
            continue
        ours = gguf.dequantize(t.data, t.tensor_type).reshape(x.shape)
        assert np.array_equal(ours, read[t.name].data.reshape(x.shape)), "%s: alma and llama.cpp's package read other values" % t.name
        x = np.ascontiguousarray(x)
        blocks = np.zeros(t.data.nbytes, np.uint8)
        lib.ggml_quantize_chunk(int(t.tensor_type), x.ctypes.data_as(ctypes.c_void_p), blocks.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0), ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1]), None)
        theirs = gguf.dequantize(blocks.reshape(t.data.shape), t.tensor_type).reshape(x.shape)
        s = sums[t.tensor_type.name]
        s[0] += 1
        for i, v in ((1, ours - x), (2, theirs - x), (3, x)):
            s[i] += float((v.astype(np.float64) ** 2).sum())
        if out is not None:
            out[t.data_offset : t.data_offset + t.data.nbytes] = blocks
    if out is not None:
        out.flush()
    worse = False
    for name, (n, a, b, size) in sorted(sums.items()):
        print("%s: %d matrices, relative error %.4f, of llama.cpp's blocks %.4f" % (name, n, (a / size) ** 0.5, (b / size) ** 0.5))
        worse |= a > b * 1.001
    sys.exit("alma's blocks are further off" if worse else 0)


main()

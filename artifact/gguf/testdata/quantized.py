"""Writes quantized.safetensors with llama.cpp, as it lies in the wheel xllamacpp.

    pip install xllamacpp gguf numpy && python quantized.py

It holds rows of 256 values of different kinds, and for each type the blocks that
llama.cpp makes of them without an importance matrix.
"""

import ctypes
import json
import os
import struct

import gguf
import numpy as np
import xllamacpp

HERE = os.path.dirname(os.path.abspath(__file__))
folder = os.path.dirname(xllamacpp.__file__)
(name,) = [n for n in os.listdir(folder) if n.startswith("xllamacpp.") and n.endswith(".so")]
lib = ctypes.CDLL(os.path.join(folder, name))
lib.ggml_quantize_chunk.restype = ctypes.c_size_t

rng = np.random.default_rng(20261128)
rows = [rng.normal(0, 0.02, 256) for _ in range(8)]  # as weights mostly are
rows += [0.02 * rng.standard_t(4, 256) for _ in range(8)]  # with heavy tails
rows.append(np.abs(rng.normal(0, 1, 256)))  # of one sign
rows.append(-1 - np.abs(rng.normal(0, 0.1, 256)))  # far from zero
rows.append(rng.normal(0, 1, 256) * np.repeat(10.0 ** -np.arange(8), 32))  # groups of different sizes
outlier = rng.normal(0, 1, 256)
outlier[100] = 100
rows.append(outlier)
rows.append(rng.uniform(-1, 1, 256))
rows.append(np.sign(rng.normal(0, 1, 256)))
values = np.array(rows, dtype=np.float32)
tensors = {"values": values}
for name in "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K".split():
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = np.zeros((len(values), 256 // elements * size), np.uint8)
    lib.ggml_quantize_chunk(int(kind), values.ctypes.data_as(ctypes.c_void_p), blocks.ctypes.data_as(ctypes.c_void_p),
                            ctypes.c_int64(0), ctypes.c_int64(len(values)), ctypes.c_int64(256), None)
    tensors[name] = blocks

header, offset = {}, 0
for name, data in tensors.items():
    header[name] = {"dtype": {"uint8": "U8", "float32": "F32"}[str(data.dtype)], "shape": list(data.shape), "data_offsets": [offset, offset + data.nbytes]}
    offset += data.nbytes
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(HERE, "quantized.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + b"".join(t.tobytes() for t in tensors.values()))

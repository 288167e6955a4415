"""Writes blocks.safetensors and sample.gguf with llama.cpp's own Python package.

    pip install gguf numpy && python golden.py

blocks.safetensors holds, for each type, random blocks (TYPE.raw) and what
gguf.dequantize makes of them (TYPE.values), and for Q8_0 also values and their
quantised blocks. sample.gguf has a metadata entry of every type and a few small
tensors.
"""

import json
import os
import struct

import gguf
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(20261124)
Q = gguf.GGMLQuantizationType


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, data in tensors.items():
        kind = {"uint8": "U8", "float32": "F32"}[str(data.dtype)]
        header[name] = {"dtype": kind, "shape": list(data.shape), "data_offsets": [offset, offset + data.nbytes]}
        offset += data.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for data in tensors.values():
            f.write(data.tobytes())


# Where each type's block has its float16 scales.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
tensors = {}
for name, scales in SCALES.items():
    kind = Q[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    n = 96 // elements if elements == 32 else 2
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in scales:
        blocks[:, at : at + 2] = rng.normal(0, 0.1, n).astype(np.float16).view(np.uint8).reshape(n, 2)
    tensors[name + ".raw"] = blocks
    tensors[name + ".values"] = gguf.dequantize(blocks, kind).astype(np.float32)
for name, kind in (("F16", np.float16), ("F32", np.float32)):
    values = rng.normal(0, 1, 64).astype(kind)
    tensors[name + ".raw"] = values.view(np.uint8)
    tensors[name + ".values"] = values.astype(np.float32)
raw = rng.normal(0, 1, 64).astype(np.float32).view(np.uint16).reshape(-1, 2)[:, 1].copy().view(np.uint8)
tensors["BF16.raw"] = raw
tensors["BF16.values"] = gguf.dequantize(raw.reshape(1, -1), Q.BF16).astype(np.float32).reshape(-1)
values = rng.normal(0, 1, (8, 64)).astype(np.float32)
values[1, :32] = 0
values[2, 0] = 1e-9
values[3, :32] = np.arange(32) - 16
values[4] = values[4] * 1e4
tensors["quantize.values"] = values
tensors["quantize.Q8_0"] = gguf.quantize(values, Q.Q8_0)
write_safetensors(os.path.join(HERE, "blocks.safetensors"), tensors)

w = gguf.GGUFWriter(os.path.join(HERE, "sample.gguf"), "sample")
w.add_uint8("a.uint8", 200)
w.add_int8("a.int8", -100)
w.add_uint16("a.uint16", 60000)
w.add_int16("a.int16", -30000)
w.add_uint32("a.uint32", 4000000000)
w.add_int32("a.int32", -2000000000)
w.add_float32("a.float32", 0.1)
w.add_uint64("a.uint64", 1 << 63)
w.add_int64("a.int64", -(1 << 62))
w.add_float64("a.float64", 0.1)
w.add_bool("a.bool", True)
w.add_string("a.string", "h\u00e9llo")
w.add_array("a.strings", ["", "\u4e2d\u6587", "x"])
w.add_array("a.ints", [1, -2, 3])
w.add_array("a.floats", [0.5, -1.25])
w.add_array("a.bools", [True, False])
w.add_tensor("matrix", np.arange(6, dtype=np.float32).reshape(2, 3))
w.add_tensor("half", np.arange(5, dtype=np.float16))
w.add_tensor("blocks", gguf.quantize(values[:1], Q.Q8_0), raw_dtype=Q.Q8_0)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

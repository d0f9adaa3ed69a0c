#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes reference.safetensors with the reference implementation.

Needs the Python packages safetensors (0.8) and numpy. Every element type, an empty tensor, a
scalar and a name beyond ASCII; byte i of a tensor's data is (7 * i + size of
the shape) % 251, except that BOOL alternates 0 and 1. The metadata are padded
so that the data start at a multiple of 64 bytes, as dblocks writes them.
"""
import math
import struct
import sys

import numpy
from safetensors import TensorSpec, serialize

TENSORS = [  # name, type, bytes per element, shape
    ("flag", "bool", 1, [3]),
    ("byte", "uint8", 1, [5]),
    ("signed_byte", "int8", 1, [2, 2]),
    ("short", "int16", 2, [3]),
    ("word", "int32", 4, [2, 3]),
    ("long", "int64", 8, [2]),
    ("half", "float16", 2, [4]),
    ("brain", "bfloat16", 2, [2, 1, 3]),
    ("single", "float32", 4, [2, 3]),
    ("double", "float64", 8, [3]),
    ("scalar", "float32", 4, []),
    ("empty", "float32", 4, [0, 4]),
    ("blocks.0.\u03c3 \"quoted\"", "float32", 4, [1]),
]


def data(kind, element_bytes, shape):
    size = element_bytes * math.prod(shape)
    if kind == "bool":
        return bytes(i % 2 for i in range(size))
    return bytes((7 * i + len(shape)) % 251 for i in range(size))


def make(padding):
    arrays = {name: numpy.frombuffer(data(kind, size, shape) or b"\0",
                                     dtype="uint8")
              for name, kind, size, shape in TENSORS}
    tensors = {
        name: TensorSpec(dtype=kind, shape=shape,
                         data_ptr=arrays[name].ctypes.data,
                         data_len=size * math.prod(shape))
        for name, kind, size, shape in TENSORS
    }
    return serialize(tensors, {"note": "x" * padding})


# The longest note for which the header needs no padding of its own.
padding = 1
while (8 + struct.unpack("<Q", make(padding)[:8])[0]) % 64 or (
        make(padding + 1)[:8] == make(padding)[:8]):
    padding += 1
with open(sys.argv[1], "wb") as file:
    file.write(make(padding))

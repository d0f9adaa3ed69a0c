# SPDX-License-Identifier: Apache-2.0
"""The Frechet distance as its usual implementations compute it: NumPy's mean
and covariance, SciPy's matrix square root.

    frechet_twin.py FILE...   prints the distance between the tensors "a" and
                              "b" [N, F] of each safetensors file

Needs NumPy and SciPy.
"""

import json
import pathlib
import sys

import numpy
import scipy.linalg


def read(path):
    data = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        dtype = {"F32": "<f4", "F64": "<f8"}[entry["dtype"]]
        tensors[name] = numpy.frombuffer(
            data[start + first:start + last], dtype).reshape(entry["shape"])
    return tensors


def distance(a, b):
    a, b = a.astype(numpy.float64), b.astype(numpy.float64)
    root = scipy.linalg.sqrtm(numpy.cov(a, rowvar=False) @
                              numpy.cov(b, rowvar=False))
    difference = a.mean(0) - b.mean(0)
    return float(difference @ difference +
                 numpy.trace(numpy.cov(a, rowvar=False)) +
                 numpy.trace(numpy.cov(b, rowvar=False)) -
                 2 * numpy.trace(numpy.real(root)))


if __name__ == "__main__":
    for file in sys.argv[1:]:
        tensors = read(file)
        print(repr(distance(tensors["a"], tensors["b"])))

# SPDX-License-Identifier: Apache-2.0
"""Writes seeds for the fuzzers: make_corpora.py FOLDER

Small valid files of each format, and ones broken in a typical way.
"""

import gzip
import io
import json
import pathlib
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

MANIFEST = """{
  "format": "dblocks-checkpoint",
  "version": 1,
  "unit": "block",
  "block": 1,
  "num_blocks": 3,
  "first_layer": 4,
  "end_layer": 8,
  "sigma_low": 0.183,
  "sigma_high": 1.5,
  "step": 12000,
  "recipe_fingerprint": "00ff",
  "frozen_hash": "00000000000000000000000000000000",
  "files": [
    {"name": "state.json", "size_bytes": 2, "hash": "%s"}
  ],
  "checksum": "0"
}
""" % ("ab" * 16)


def tensors(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors():
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    yield tensors({})
    yield tensors({"a": one}, bytes(8))
    yield tensors({"__metadata__": {"k": "v"}, "a": one}, bytes(8))
    yield tensors({"a": one, "b": {"dtype": "U8", "shape": [0, 3],
                                   "data_offsets": [8, 8]}}, bytes(8))
    yield tensors({"a": dict(one, shape=[1 << 62, 4])}, bytes(8))
    yield tensors({"a": dict(one, data_offsets=[8, 0])}, bytes(8))
    yield struct.pack("<Q", 1 << 63) + b"{}"


def idx():
    labels = struct.pack(">II", 0x0801, 3) + bytes(3)
    images = struct.pack(">IIII", 0x0803, 2, 4, 4) + bytes(32)
    for choice, content in ((b"\0", labels), (b"\1", images)):
        yield choice + content
        yield choice + gzip.compress(content, mtime=0)
        yield choice + content[:-1]
    yield b"\1" + struct.pack(">IIII", 0x0803, 1 << 31, 4, 4)
    yield b"\1" + gzip.compress(images + bytes(1 << 16), mtime=0)


def cifar():
    for choice in (b"\0", b"\1"):
        record = bytes(choice[0] + 1) + bytes(3072)
        yield choice + record
        yield choice + gzip.compress(2 * record, mtime=0)
        yield choice + record[:-1]
        yield choice + b"\xff\xff" + bytes(3071)


def recipe():
    for path in sorted((ROOT / "recipes").glob("*.toml")):
        yield path.read_bytes()
    for text in ("[[[", "x = [}", "a = {b = [1, {c = 2}]}", "seed = 0x7f",
                 "a.b.c.d = 1", "x = 1979-05-27T07:32:00Z", "s = \"\\u00e9\"",
                 "[a]\n[a]\n", "x = inf", "'", "x = '''"):
        yield text.encode()


def manifest():
    yield MANIFEST.encode()
    yield MANIFEST.replace("12000", "-1").encode()
    yield MANIFEST.replace("0.183", "1e999").encode()
    yield MANIFEST.replace("state.json", "../x").encode()


def npy():
    for version, width in ((1, "<H"), (2, "<I"), (3, "<I"), (9, "<I")):
        for text in ("{'descr': '|u1', 'fortran_order': False, "
                     "'shape': (2, 28, 28, 1), }\n",
                     "{'shape': (), 'descr': '<f8', 'fortran_order': False}",
                     "{'descr': [('a', '|O')], 'fortran_order': True, "
                     "'shape': (18446744073709551615, -1)}"):
            yield (b"\x93NUMPY" + bytes([version, 0])
                   + struct.pack(width, len(text)) + text.encode())


def array(dtype, shape, content):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape})
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text))
            + text.encode() + content)


def npz():
    images = {"arr_0": array("|u1", (2, 3, 2, 1), bytes(range(12))),
              "arr_1": array("<i4", (2,), struct.pack("<2i", 0, 1))}
    statistics = {"mu": array("<f8", (2,), struct.pack("<2d", 1, 2)),
                  "sigma": array("<f4", (2, 2), struct.pack("<4f", 1, 0, 0, 1))}
    for arrays in (images, statistics, {"more": b"text"},
                   {"arr_0": array("|u1", (1 << 40, 3, 2, 1), bytes(6))}):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", method) as archive:
                for name, content in arrays.items():
                    entry = zipfile.ZipInfo(name + ".npy")
                    archive.writestr(entry, content, compress_type=method)
            yield file.getvalue()
            yield file.getvalue()[:-30]


def main(folder):
    makers = (safetensors, idx, cifar, recipe, manifest, npy, npz)
    for maker in makers:
        own = pathlib.Path(folder) / maker.__name__
        own.mkdir(parents=True, exist_ok=True)
        for i, content in enumerate(maker()):
            (own / f"seed_{i:02}").write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1])

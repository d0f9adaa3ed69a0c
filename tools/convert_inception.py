#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the Inception-v3 weights that `evaluation.inception` reads.

    tools/convert_inception.py WEIGHTS.pth OUT.safetensors

WEIGHTS.pth holds a state dictionary in PyTorch's format with the names of
torchvision's Inception3, which the weights that pytorch-fid publishes for
measuring the Frechet distance have too; only those give the literature's FID.
The classifier behind the last pool and the auxiliary one are left out. The file
is read without running code from it (weights_only). Needs torch.
"""

import argparse
import json
import pathlib
import struct
import sys

import torch

DROPPED = ("fc.", "AuxLogits.")


def kept(state):
    """The tensors up to the last pool, float32, by name."""
    tensors = {}
    for name, tensor in state.items():
        if name.startswith(DROPPED) or name.endswith("num_batches_tracked"):
            continue
        if not isinstance(tensor, torch.Tensor):
            sys.exit(f"convert_inception: expected tensors alone, found "
                     f"{type(tensor).__name__}: {name}")
        tensors[name] = tensor.to(torch.float32).contiguous()
    return tensors


def write(path, tensors):
    """safetensors: the header's size, the header, the bytes."""
    header, at = {}, 0
    for name, tensor in sorted(tensors.items()):
        size = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in sorted(tensors.items()):
            file.write(tensor.numpy().tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    state = torch.load(arguments.weights, map_location="cpu",
                       weights_only=True)
    tensors = kept(state)
    convolutions = sum(name.endswith(".conv.weight") for name in tensors)
    if convolutions != 94:
        sys.exit(f"convert_inception: {arguments.weights}: expected the 94 "
                 f"convolutions of Inception-v3, found {convolutions}")
    write(arguments.out, tensors)
    print(f"{arguments.out}: {len(tensors)} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads an end-to-end or greedy ViT that dblocks trained into plain PyTorch.

    dblocks export runs/end_to_end --out vit.safetensors
    python3 examples/timm_export/read_export.py vit.safetensors

With the package timm installed the network is timm's VisionTransformer, else the
same in fifty lines below, with the same parameter names. `--images` takes a
gzipped IDX file of test images and `--labels` that of their labels; then the
accuracy and the mean cross-entropy are printed as JSON. They equal those of
`dblocks eval RUN --json`.
"""

import argparse
import gzip
import json
import pathlib
import struct

import numpy as np
import torch
from torch import nn

DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64}

# Our names of a layer's parts, and timm's.
LAYER_PARTS = {"attention_norm": "norm1", "attention.qkv": "attn.qkv",
               "attention.output": "attn.proj", "mlp_norm": "norm2",
               "mlp.up": "mlp.fc1", "mlp.down": "mlp.fc2"}


def read_safetensors(path):
    """Eight bytes of length, a JSON header, and the tensors' bytes."""
    with open(path, "rb") as file:
        content = file.read()
    size = struct.unpack("<Q", content[:8])[0]
    tensors = {}
    for name, entry in json.loads(content[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + o for o in entry["data_offsets"])
            values = np.frombuffer(content[begin:end], DTYPES[entry["dtype"]])
            tensors[name] = torch.from_numpy(
                values.reshape(entry["shape"]).copy())
    return tensors


def timm_names(tensors, model):
    """The tensors under timm's names. The head is the last block's: those of
    greedy training's earlier stages are not part of the finished network."""
    first, last = "blocks.0.", f"blocks.{len(model['blocks']) - 1}."
    result = {"cls_token": tensors[first + "class_token"],
              "pos_embed": tensors[first + "position_embedding"]}
    pairs = [(first + "patch_embedding", "patch_embed.proj"),
             (last + "final_norm", "norm"), (last + "head", "head")]
    for layer in range(model["model"]["num_layers"]):
        pairs += [(f"layers.{layer}.{ours}", f"blocks.{layer}.{theirs}")
                  for ours, theirs in LAYER_PARTS.items()]
    for ours, theirs in pairs:
        for kind in ("weight", "bias"):
            result[f"{theirs}.{kind}"] = tensors[f"{ours}.{kind}"]
    return result


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, t, d))


class Layer(nn.Module):
    def __init__(self, width, heads, hidden, eps):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps) for _ in range(2))
        self.attn = Attention(width, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, hidden),
                                  "fc2": nn.Linear(hidden, width)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        hidden = nn.functional.gelu(self.mlp["fc1"](self.norm2(x)))
        return x + self.mlp["fc2"](hidden)


class PlainViT(nn.Module):
    def __init__(self, m, num_classes):
        super().__init__()
        width, patch = m["width"], m["patch"]
        tokens = m["rows"] // patch * (m["columns"] // patch) + 1
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(m["channels"], width, patch, patch)})
        self.blocks = nn.Sequential(*(
            Layer(width, m["heads"], m["mlp_width"], m["layer_norm_eps"])
            for _ in range(m["num_layers"])))
        self.norm = nn.LayerNorm(width, m["layer_norm_eps"])
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        first = self.cls_token.expand(len(images), -1, -1)
        x = self.blocks(torch.cat([first, patches], 1) + self.pos_embed)
        return self.head(self.norm(x)[:, 0])


def timm_vit(m, num_classes):
    from functools import partial
    from timm.models.vision_transformer import VisionTransformer
    return VisionTransformer(
        img_size=(m["rows"], m["columns"]), patch_size=m["patch"],
        in_chans=m["channels"], num_classes=num_classes, embed_dim=m["width"],
        depth=m["num_layers"], num_heads=m["heads"],
        mlp_ratio=m["mlp_width"] / m["width"],
        norm_layer=partial(nn.LayerNorm, eps=m["layer_norm_eps"]))


def read_network(path, use_timm=None):
    """The network and what model.json says. use_timm None: if it is there."""
    description = pathlib.Path(path).with_suffix(".model.json")
    with open(description, encoding="utf-8") as file:
        model = json.load(file)
    if model["method"] not in ("end_to_end", "end_to_end_shallow", "greedy"):
        raise SystemExit(f"{path}: expected an end_to_end or greedy run, found "
                         f"{model['method']}, which is no plain ViT")
    model["model"]["num_layers"] = model["blocks"][-1]["end_layer"]
    if use_timm is None:
        try:
            import timm  # noqa: F401
            use_timm = True
        except ImportError:
            use_timm = False
    make = timm_vit if use_timm else PlainViT
    network = make(model["model"], len(model["class_names"]))
    network.load_state_dict(timm_names(read_safetensors(path), model))
    return network.eval(), model


def read_idx(path):
    with gzip.open(path) as file:
        content = file.read()
    sizes = struct.unpack(f">{content[3]}I", content[4:4 + 4 * content[3]])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(
        sizes)


def normalised(pixels, model):
    """uint8 [N, Y, X] as the network reads them."""
    mean, std = (torch.tensor(model[k]).view(1, -1, 1, 1)
                 for k in ("pixel_mean", "pixel_std"))
    return ((torch.from_numpy(pixels.copy())[:, None] / 255 - mean) / std).float()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--images")
    parser.add_argument("--labels")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--plain", action="store_true", help="do without timm")
    arguments = parser.parse_args()
    network, model = read_network(arguments.file,
                                  False if arguments.plain else None)
    result = {"network": type(network).__name__,
              "parameters": sum(p.numel() for p in network.parameters())}
    if arguments.images:
        images = normalised(read_idx(arguments.images)[:arguments.count], model)
        labels = torch.from_numpy(
            read_idx(arguments.labels)[:arguments.count].astype(np.int64))
        with torch.no_grad():
            logits = torch.cat([network(part) for part in images.split(500)])
        result["accuracy"] = (logits.argmax(-1) == labels).double().mean().item()
        result["cross_entropy"] = nn.functional.cross_entropy(
            logits.double(), labels).item()
    print(json.dumps(result))


if __name__ == "__main__":
    main()

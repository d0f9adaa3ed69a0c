# SPDX-License-Identifier: Apache-2.0
"""A plain PyTorch twin of the DiT blocks and of their training step.

Written from the published description (Peebles and Xie 2023; Karras et al.
2022) and sharing no code with the library, so that agreement means something.

    dit_twin.py FOLDER...   for each folder: from weights.safetensors, on
                            batches.safetensors, as config.json says; prints
                            {"losses", "output", "gradient"}: the losses of all
                            steps, and the largest deviations of the first
                            step's output and gradients from
                            expected.safetensors, relative to the largest entry

Needs torch only. Shapes: N batch, T tokens, D width, C channels, P patch.
"""

import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

from vit_twin import read_safetensors


def modulate(x, shift, scale):
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x):  # [N, T, D]
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(
            n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q * (d // self.heads)**-0.5) @ k.transpose(-2, -1)
        return self.output(
            (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, d))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attention = Attention(width, heads)
        self.mlp = nn.ModuleDict({"up": nn.Linear(width, 4 * width),
                                  "down": nn.Linear(4 * width, width)})
        self.modulation = nn.Linear(width, 6 * width)

    def forward(self, x, c):
        (shift_a, scale_a, gate_a, shift_m, scale_m,
         gate_m) = self.modulation(F.silu(c)).chunk(6, dim=1)
        h = self.attention(modulate(self.norm(x), shift_a, scale_a))
        x = x + gate_a.unsqueeze(1) * h
        h = self.mlp["up"](modulate(self.norm(x), shift_m, scale_m))
        h = self.mlp["down"](F.gelu(h, approximate="tanh"))
        return x + gate_m.unsqueeze(1) * h


def positions(rows, columns, width):
    """[1, T, D]: half of the features for the column, half for the row."""
    def wave(place, size):
        omega = [10000.0**(-i / (size / 2)) for i in range(size // 2)]
        return ([math.sin(place * o) for o in omega] +
                [math.cos(place * o) for o in omega])
    table = [wave(x, width // 2) + wave(y, width // 2)
             for y in range(rows) for x in range(columns)]
    return torch.tensor(table, dtype=torch.float64).float().unsqueeze(0)


class Unit(nn.Module):
    """Layers first .. last - 1 with outer parts of their own."""

    def __init__(self, config, first, last):
        super().__init__()
        width, patch = config["width"], config["patch"]
        self.config = config
        self.patch_embedding = nn.Conv2d(
            config["channels"], width, patch, stride=patch)
        self.label_embedding = nn.Parameter(
            torch.zeros(config["num_classes"] + 1, width))
        self.sigma_embedder = nn.ModuleDict(
            {"in": nn.Linear(256, width), "out": nn.Linear(width, width)})
        self.layers = nn.ModuleDict(
            {str(i): Layer(width, config["heads"])
             for i in range(first, last)})
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.final_modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, patch * patch * config["channels"])

    def forward(self, labels, images, c_noise):
        config = self.config
        patch, channels = config["patch"], config["channels"]
        rows, columns = config["rows"] // patch, config["columns"] // patch
        freqs = torch.exp(-math.log(10000) * torch.arange(128).float() / 128)
        angles = c_noise[:, None] * freqs[None]
        t = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
        t = self.sigma_embedder["out"](F.silu(self.sigma_embedder["in"](t)))
        c = t + self.label_embedding[labels]
        x = self.patch_embedding(images).flatten(2).transpose(1, 2)
        x = x + positions(rows, columns, config["width"])
        for layer in self.layers.values():
            x = layer(x, c)
        shift, scale = self.final_modulation(F.silu(c)).chunk(2, dim=1)
        x = self.head(modulate(self.norm(x), shift, scale))
        x = x.reshape(-1, rows, columns, patch, patch, channels)
        x = torch.einsum("nhwpqc->nchpwq", x)
        return x.reshape(-1, channels, rows * patch, columns * patch)

    def denoise(self, labels, z, sigma):
        """D(z; sigma) [N, C, Y, X]: Karras et al. 2022, equation 7."""
        s, d = sigma.double().view(-1, 1, 1, 1), self.config["sigma_data"]
        skip = d**2 / (s**2 + d**2)
        out = s * d / (s**2 + d**2).sqrt()
        scaled = z / (s**2 + d**2).sqrt().float()
        raw = self(labels, scaled, (sigma.double().log() / 4).float())
        return skip.float() * z + out.float() * raw


def loss_of(unit, batch):
    """Mean of w(sigma) (D - y)^2: equation 8 as it is written."""
    y, sigma = batch["images"], batch["sigma"]
    z = y + sigma.view(-1, 1, 1, 1) * batch["noise"].view_as(y)
    s, d = sigma.double(), unit.config["sigma_data"]
    weight = ((s**2 + d**2) / (s * d)**2).view(-1, 1, 1, 1)
    error = unit.denoise(batch["labels"], z, sigma).double() - y.double()
    return (weight * error**2).mean()


def take_weights(unit, index, weights):
    with torch.no_grad():
        for name, parameter in unit.named_parameters():
            own = f"blocks.{index}.{name}"
            parameter.copy_(weights[own if own in weights else name])


def deviation(found, expected):
    scale = expected.abs().max().item()
    return (found - expected).abs().max().item() / max(scale, 1e-30)


def run(folder):
    config = json.loads((folder / "config.json").read_text())
    weights = read_safetensors(folder / "weights.safetensors")
    batches = read_safetensors(folder / "batches.safetensors")
    expected = read_safetensors(folder / "expected.safetensors")
    units, optimizers = [], []
    for index, (first, last) in enumerate(config["layers"]):
        unit = Unit(config, first, last)
        take_weights(unit, index, weights)
        units.append(unit)
        decayed = [p for n, p in unit.named_parameters()
                   if p.ndim >= 2 and n != "label_embedding"]
        others = [p for n, p in unit.named_parameters()
                  if p.ndim < 2 or n == "label_embedding"]
        optimizers.append(torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config["weight_decay"]},
             {"params": others, "weight_decay": 0.0}],
            betas=(config["beta1"], config["beta2"]), eps=config["eps"]))
    result = {"losses": [], "output": 0.0, "gradient": 0.0}
    for step, index in enumerate(config["steps"]):
        batch = {k: batches[f"{step}.{k}"]
                 for k in ("images", "labels", "sigma", "noise")}
        unit, optimizer = units[index], optimizers[index]
        optimizer.zero_grad()
        loss = loss_of(unit, batch)
        loss.backward()
        if step == 0:
            y = batch["images"]
            z = y + batch["sigma"].view(-1, 1, 1, 1) * batch["noise"].view_as(y)
            result["output"] = deviation(
                unit.denoise(batch["labels"], z, batch["sigma"]).detach(),
                expected["output"])
            result["gradient"] = max(
                deviation(p.grad, expected[name])
                for name, p in unit.named_parameters())
        if config["clip_norm"] > 0:
            nn.utils.clip_grad_norm_(unit.parameters(), config["clip_norm"])
        for group in optimizer.param_groups:
            group["lr"] = config["learning_rate"][step]
        optimizer.step()
        result["losses"].append(loss.item())
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:]:
        print(json.dumps(run(pathlib.Path(name))))

# SPDX-License-Identifier: Apache-2.0
"""Times one training step of DiT-S/2 on 3 x 32 x 32 images in eager PyTorch.

The peer of benchmark_block_step --network dit: the network of Peebles and Xie
(arXiv 2212.09748) without learned variance, EDM's preconditioning and loss
(arXiv 2206.00364), written the way such code is written in Python: one linear
layer for query, key and value, scaled_dot_product_attention, AdamW over the
parameters that train, and an averaged copy of them, updated by one call for
all. Data are random tensors in memory.

    dit_step.py                          a block of 4 of the 12 layers, fp32
    dit_step.py --end-to-end --json      all 12 layers, every sigma

Prints the keys of vit_step.py. Needs torch only.
"""

import argparse
import contextlib
import json
import math
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from vit_step import matmul_gflops, synchronise

LAYERS, BLOCKS, PATCH, IMAGE, CHANNELS, CLASSES = 12, 3, 2, 32, 3, 10
TOKENS = (IMAGE // PATCH)**2
SIGMA_DATA, P_MEAN, P_STD = 0.5, -1.2, 1.2


def modulated(x, shift, scale):
    return x * (1 + scale[:, None]) + shift[:, None]


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = width // 64
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
            for _ in range(2))

    def attention(self, x):
        q, k, v = self.qkv(x).unflatten(
            -1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, x, condition):
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.modulation(
            F.silu(condition)).chunk(6, dim=-1)
        x = x + gate_1[:, None] * self.attention(
            modulated(self.norms[0](x), shift_1, scale_1))
        h = self.up(modulated(self.norms[1](x), shift_2, scale_2))
        return x + gate_2[:, None] * self.down(F.gelu(h, approximate="tanh"))


class Dit(nn.Module):
    """`count` layers between outer parts of their own."""

    def __init__(self, width, count):
        super().__init__()
        self.patch = nn.Conv2d(CHANNELS, width, PATCH, PATCH)
        self.register_buffer("positions", torch.randn(1, TOKENS, width))
        self.labels = nn.Embedding(CLASSES + 1, width)
        self.sigma = nn.Sequential(
            nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(Layer(width) for _ in range(count))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, PATCH**2 * CHANNELS)
        for layer in self.layers:
            nn.init.zeros_(layer.modulation.weight)
        for linear in (self.modulation, self.head):
            nn.init.zeros_(linear.weight)

    def forward(self, z, c_noise, labels):
        frequencies = torch.exp(-math.log(10000) / 128 * torch.arange(
            128, device=z.device, dtype=torch.float32))
        angles = c_noise[:, None] * frequencies
        condition = self.labels(labels) + self.sigma(
            torch.cat([angles.cos(), angles.sin()], dim=-1))
        x = self.patch(z).flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            x = layer(x, condition)
        shift, scale = self.modulation(F.silu(condition)).chunk(2, dim=-1)
        x = self.head(modulated(self.norm(x), shift, scale))
        side = IMAGE // PATCH
        x = x.view(-1, side, side, PATCH, PATCH, CHANNELS)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(-1, CHANNELS, IMAGE, IMAGE)


class Trainer:
    def __init__(self, arguments):
        self.arguments = arguments
        device = torch.device(arguments.device)
        count = LAYERS if arguments.end_to_end else LAYERS // BLOCKS
        self.model = Dit(arguments.width, count).to(device)
        self.parameters = list(self.model.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=1e-4, weight_decay=0.0)
        self.images = torch.randn(
            arguments.batch, CHANNELS, IMAGE, IMAGE, device=device)
        self.labels = torch.randint(
            CLASSES, (arguments.batch,), device=device)

    def sample_sigma(self, device):
        u = torch.rand(self.arguments.batch, device=device) * 0.98 + 0.01
        if not self.arguments.end_to_end:
            u = (1 + u) / BLOCKS  # the middle interval
        return (P_MEAN + P_STD * torch.special.ndtri(u)).exp()

    def loss(self):
        y = self.images
        dropped = torch.rand(len(y), device=y.device) < 0.1
        labels = torch.where(dropped, CLASSES, self.labels)
        sigma = self.sample_sigma(y.device)
        s = sigma[:, None, None, None]
        total = s**2 + SIGMA_DATA**2
        z = y + s * torch.randn_like(y)
        raw = self.model(z / total.sqrt(), sigma.log() / 4, labels)
        denoised = SIGMA_DATA**2 / total * z \
            + s * SIGMA_DATA / total.sqrt() * raw
        weight = total / (s * SIGMA_DATA)**2
        return (weight * (denoised - y)**2).mean()

    def step(self):
        arguments = self.arguments
        cast = contextlib.nullcontext() if arguments.precision == "fp32" else \
            torch.autocast(arguments.device.split(":")[0], torch.bfloat16)
        with cast:
            loss = self.loss()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1e-4)


def step_flops(batch, width, layers):
    """Matrix multiplications of one step, forward and backward."""
    layer = 2 * batch * TOKENS * 12 * width**2 \
        + 4 * batch * TOKENS**2 * width + 12 * batch * width**2
    ends = 2 * batch * TOKENS * PATCH**2 * CHANNELS * width
    outer = 2 * batch * (256 * width + 3 * width**2)
    return 3 * (layers * layer + ends + outer) + 2 * ends


def measure(arguments):
    trainer = Trainer(arguments)
    seconds = []
    for i in range(arguments.warmup + arguments.steps):
        start = time.perf_counter()
        trainer.step()
        synchronise(arguments.device)
        if i >= arguments.warmup:
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    flops = step_flops(arguments.batch, arguments.width,
                       len(trainer.model.layers))
    return {
        "what": "end_to_end" if arguments.end_to_end else "block",
        "precision": arguments.precision,
        "device": arguments.device,
        "width": arguments.width,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": arguments.batch,
        "parameters": sum(p.numel() for p in trainer.parameters),
        "steps": arguments.steps,
        "seconds_median": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "images_per_second": arguments.batch / median,
        "flops_per_step": flops,
        "step_gflops_per_second": flops / median / 1e9,
        "matmul_2048_gflops_per_second": matmul_gflops(
            2048, 2048, 2048, arguments.precision, arguments.device),
        "peak_device_bytes": torch.cuda.max_memory_allocated()
        if arguments.device.startswith("cuda") else None,
        "peak_resident_bytes":
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", choices=["fp32", "bf16"],
                        default="fp32", help="bf16 is autocast")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: torch's own")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--end-to-end", action="store_true")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--json", action="store_true",
                        help="one JSON object on one line")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(json.dumps(measure(arguments),
                     indent=None if arguments.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Times one training step of the CIFAR-100 ViT in plain eager PyTorch.

The peer that the library's own step is measured against: the same network,
step and shapes as the published code of DiffusionBlocks (arXiv 2506.14202),
written the way such code is written in Python: separate query, key and value
layers, scaled_dot_product_attention, every parameter in one AdamW, and no
gradient for the blocks that do not train. Data are random tensors in memory.

    vit_step.py                          one random block per step, fp32
    vit_step.py --block 0 --precision bf16 --json
    vit_step.py --end-to-end --profile   where the time goes

Seconds are wall-clock per optimiser step; a GFLOP is 1e9 operations, a
multiply-add counting two. Needs torch only.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn

SIGMA_MIN, SIGMA_MAX, P_MEAN, P_STD = 0.002, 80.0, -1.2, 1.2
SIGMA_DATA = 0.5


@dataclasses.dataclass(frozen=True)
class Shape:
    width: int = 128
    layers: int = 12
    blocks: int = 3
    heads: int = 4
    mlp_width: int = 3072
    image: int = 32
    patch: int = 4
    classes: int = 100
    batch: int = 128
    dropout: float = 0.1
    layer_norm_eps: float = 1e-12

    @property
    def tokens(self):
        return (self.image // self.patch)**2 + 1

    @property
    def condition(self):
        return self.width // 6


# The network ---------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.width, shape.width)
        self.key = nn.Linear(shape.width, shape.width)
        self.value = nn.Linear(shape.width, shape.width)
        self.output = nn.Linear(shape.width, shape.width)
        self.probability_dropout = shape.dropout
        self.dropout = nn.Dropout(shape.dropout)

    def split(self, x):  # [N, T, D] -> [N, H, T, K]
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x):
        q, k, v = (self.split(layer(x))
                   for layer in (self.query, self.key, self.value))
        dropout = self.probability_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        mixed = mixed.transpose(1, 2).contiguous().flatten(2)
        return self.dropout(self.output(mixed))


class Layer(nn.Module):
    def __init__(self, shape, modulated):
        super().__init__()
        self.norm_before = nn.LayerNorm(shape.width, shape.layer_norm_eps)
        self.attention = Attention(shape)
        self.norm_after = nn.LayerNorm(shape.width, shape.layer_norm_eps)
        self.up = nn.Linear(shape.width, shape.mlp_width)
        self.down = nn.Linear(shape.mlp_width, shape.width)
        self.dropout = nn.Dropout(shape.dropout)
        if modulated:
            self.modulation = nn.Linear(shape.condition, 6 * shape.width)

    def mlp(self, x):
        return self.dropout(self.down(F.gelu(self.up(x))))

    def forward(self, x, condition=None):
        if condition is None:
            x = self.attention(self.norm_before(x)) + x
            return self.mlp(self.norm_after(x)) + x
        m = F.silu(self.modulation(condition)).unsqueeze(1)
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = m.chunk(6, dim=-1)
        h = self.norm_before(x) * (1 + scale_1) + shift_1
        x = x + gate_1 * self.attention(h)
        h = self.norm_after(x) * (1 + scale_2) + shift_2
        return x + gate_2 * self.mlp(h)


class SigmaEmbedder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(256, shape.condition), nn.SiLU(),
            nn.Linear(shape.condition, shape.condition))

    def forward(self, c_noise):
        frequencies = torch.exp(-math.log(10000) / 128 * torch.arange(
            128, device=c_noise.device, dtype=torch.float32))
        angles = c_noise[:, None] * frequencies
        return F.silu(self.mlp(torch.cat([angles.cos(), angles.sin()], -1)))


class Vit(nn.Module):
    """The end-to-end ViT, or with `modulated` the denoiser of all blocks."""

    def __init__(self, shape, modulated):
        super().__init__()
        self.shape = shape
        self.patch = nn.Conv2d(3, shape.width, shape.patch, shape.patch)
        self.position = nn.Parameter(
            0.02 * torch.randn(1, shape.tokens, shape.width))
        self.dropout = nn.Dropout(shape.dropout)
        self.layers = nn.ModuleList(
            Layer(shape, modulated) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, shape.layer_norm_eps)
        self.head = nn.Linear(shape.width, shape.classes)
        if modulated:
            self.table = nn.Embedding(shape.classes, shape.width)
            self.sigma_embedder = SigmaEmbedder(shape)
            self.modulation = nn.Linear(shape.condition, 2 * shape.width)
        else:
            self.class_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.apply(initialise)
        if modulated:
            zeroed = [layer.modulation for layer in self.layers]
            for linear in zeroed + [self.modulation, self.head]:
                nn.init.zeros_(linear.weight)

    def embed(self, images, first):  # [N, 1, D] before the patches
        patches = self.patch(images).flatten(2).transpose(1, 2)
        x = torch.cat([first, patches], dim=1) + self.position
        return self.dropout(x)

    def run(self, layer, *inputs):
        if self.recomputes:
            return torch.utils.checkpoint.checkpoint(
                layer, *inputs, use_reentrant=False)
        return layer(*inputs)

    def plain_logits(self, images):
        first = self.class_token.expand(len(images), -1, -1)
        x = self.embed(images, first)
        for layer in self.layers:
            x = self.run(layer, x)
        return self.head(self.norm(x)[:, 0])

    def block_logits(self, block, images, z, sigma):  # sigma: [N, 1]
        total = sigma**2 + SIGMA_DATA**2
        c_skip = SIGMA_DATA**2 / total
        c_out = sigma * SIGMA_DATA / total.sqrt()
        condition = self.sigma_embedder(sigma.log().squeeze(1) / 4)
        x = self.embed(images, (z / total.sqrt()).unsqueeze(1))
        count = self.shape.layers // self.shape.blocks
        for layer in self.layers[block * count:(block + 1) * count]:
            x = self.run(layer, x, condition)
        estimate = self.norm(x)[:, 0] * c_out + z * c_skip
        shift, scale = F.silu(self.modulation(condition)).chunk(2, dim=-1)
        return self.head(estimate * (1 + scale) + shift)


def initialise(module):
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


# The step ------------------------------------------------------------------


def sample_sigma(block, shape, device):
    """Log-normal sigmas [N, 1] of the block's share, widened by 5 %."""
    normal = torch.distributions.Normal(0.0, 1.0)
    z = (torch.tensor([SIGMA_MIN, SIGMA_MAX]).log() - P_MEAN) / P_STD
    q_low, q_high = normal.cdf(z.double()).tolist()
    interval = shape.blocks - 1 - block  # block 0 has the noisiest
    edges = torch.tensor([q_low + (q_high - q_low) * i / shape.blocks
                          for i in (interval, interval + 1)])
    logs = P_MEAN + P_STD * normal.icdf(edges.double())
    widening = 0.05 * (logs[1] - logs[0])
    logs = torch.stack([logs[0] - widening, logs[1] + widening])
    logs = logs.clamp(math.log(SIGMA_MIN), math.log(SIGMA_MAX))
    low, high = normal.cdf((logs - P_MEAN) / P_STD).tolist()
    u = torch.empty(shape.batch, 1, device=device).uniform_(low, high)
    return (P_MEAN + P_STD * torch.special.ndtri(u)).exp()


def block_loss(model, block, images, labels):
    sigma = sample_sigma(block, model.shape, images.device)
    clean = F.normalize(model.table(labels), dim=-1)
    z = clean + sigma * torch.randn_like(clean)
    logits = model.block_logits(block, images, z, sigma)
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA)**2
    return (cross_entropy * weight).mean()  # [N] * [N, 1], as published


class Trainer:
    def __init__(self, arguments, shape):
        self.arguments, self.shape = arguments, shape
        device = torch.device(arguments.device)
        self.model = Vit(shape, modulated=not arguments.end_to_end).to(device)
        self.model.recomputes = arguments.checkpoint
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, weight_decay=0.01)
        size = (shape.batch, 3, shape.image, shape.image)
        self.images = torch.randn(size, device=device)
        self.labels = torch.randint(
            shape.classes, (shape.batch,), device=device)

        self.loss_function = torch.compile(
            self.loss) if arguments.compile else self.loss

    def autocast(self):
        if self.arguments.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.arguments.device.split(":")[0],
                              torch.bfloat16)

    def loss(self):
        if self.arguments.end_to_end:
            logits = self.model.plain_logits(self.images)
            return F.cross_entropy(logits, self.labels)
        block = self.arguments.block
        if block is None:
            block = int(torch.randint(self.shape.blocks, ()))
        return block_loss(self.model, block, self.images, self.labels)

    def step(self):
        with self.autocast():
            loss = self.loss_function()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


# Measuring -----------------------------------------------------------------


def synchronise(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def step_flops(shape, end_to_end):
    """Matrix multiplications of one step, forward and backward, no optimiser.

    A linear layer costs its forward twice over again in the backward pass; the
    patch embedding once, since images need no gradient.
    """
    n, t, d = shape.batch, shape.tokens, shape.width
    layers = shape.layers if end_to_end else shape.layers // shape.blocks
    linear = 2 * n * t * (4 * d * d + 2 * d * shape.mlp_width)
    attention = 2 * 2 * n * t * t * d
    patches = 2 * n * (t - 1) * 3 * shape.patch**2 * d
    head = 2 * n * d * shape.classes
    modulation = 0
    if not end_to_end:
        modulation = 2 * n * shape.condition * d * (6 * layers + 2)
    return 3 * (layers * (linear + attention) + head + modulation) + 2 * patches


def matmul_gflops(rows, inner, columns, precision, device, seconds=0.5):
    """Best rate of repeated [rows, inner] x [inner, columns] products."""
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    a = torch.randn(rows, inner, device=device).to(dtype)
    b = torch.randn(inner, columns, device=device).to(dtype)
    out = torch.empty(rows, columns, device=device, dtype=dtype)
    best, stop = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < stop or math.isinf(best):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * rows * inner * columns / best / 1e9


def time_steps(trainer, steps, device):
    """Seconds of each step, and the page faults of one step on average."""
    seconds = []
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(steps):
        start = time.perf_counter()
        trainer.step()
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF)
    usage = {
        "minor_faults_per_step": (after.ru_minflt - before.ru_minflt) / steps,
        "user_seconds_per_step": (after.ru_utime - before.ru_utime) / steps,
        "system_seconds_per_step": (after.ru_stime - before.ru_stime) / steps,
    }
    return seconds, usage


def measure(arguments, shape):
    device, precision = arguments.device, arguments.precision
    trainer = Trainer(arguments, shape)
    for _ in range(arguments.warmup):
        trainer.step()
    seconds, usage = time_steps(trainer, arguments.steps, device)
    on_gpu = device.startswith("cuda")
    tokens = shape.batch * shape.tokens
    flops = step_flops(shape, arguments.end_to_end)
    median = statistics.median(seconds)
    return {
        "what": "end_to_end" if arguments.end_to_end else "block",
        "block": arguments.block,
        "precision": precision,
        "device": device,
        "compile": arguments.compile,
        "checkpoint": arguments.checkpoint,
        "width": shape.width,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": shape.batch,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "steps": arguments.steps,
        "seconds_median": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "images_per_second": shape.batch / median,
        "flops_per_step": flops,
        "step_gflops_per_second": flops / median / 1e9,
        "matmul_2048_gflops_per_second": matmul_gflops(
            2048, 2048, 2048, precision, device),
        "matmul_mlp_up_gflops_per_second": matmul_gflops(
            tokens, shape.width, shape.mlp_width, precision, device),
        "matmul_mlp_down_gflops_per_second": matmul_gflops(
            tokens, shape.mlp_width, shape.width, precision, device),
        "peak_device_bytes":
            torch.cuda.max_memory_allocated() if on_gpu else None,
        "peak_resident_bytes":
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **usage,
    }


def profile(arguments, shape):
    """A table of the operations that take most time themselves."""
    trainer = Trainer(arguments, shape)
    for _ in range(arguments.warmup):
        trainer.step()
    on_gpu = arguments.device.startswith("cuda")
    activities = [torch.profiler.ProfilerActivity.CPU]
    if on_gpu:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(arguments.steps):
            trainer.step()
        synchronise(arguments.device)
    key = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    return profiler.key_averages().table(
        sort_by=key, row_limit=20, max_name_column_width=48)


def read_size(text):
    name, _, number = text.partition("=")
    names = [f.name for f in dataclasses.fields(Shape) if f.type is int]
    if name not in names or not number.isdigit():
        raise argparse.ArgumentTypeError(
            f"expected one of {', '.join(names)} and a number, found {text}")
    return name, int(number)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", choices=["fp32", "bf16"],
                        default="fp32", help="bf16 is autocast")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: torch's own")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--block", type=int,
                        help="default: another random block each step")
    parser.add_argument("--end-to-end", action="store_true")
    parser.add_argument("--batch", type=int, default=Shape.batch)
    parser.add_argument("--width", type=int, default=Shape.width,
                        help="other than 128: heads of 64, an MLP of 4 times "
                        "the width")
    parser.add_argument("--set", action="append", default=[], type=read_size,
                        metavar="NAME=N", help="another size of the network, "
                        "such as layers, blocks, image or patch")
    parser.add_argument("--compile", action="store_true",
                        help="under torch.compile")
    parser.add_argument("--checkpoint", action="store_true",
                        help="run every layer again in the backward pass")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object on one line")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    shape = Shape(batch=arguments.batch)
    if arguments.width != Shape.width:
        shape = dataclasses.replace(
            shape, width=arguments.width, heads=arguments.width // 64,
            mlp_width=4 * arguments.width)
    shape = dataclasses.replace(shape, **dict(arguments.set))
    if arguments.profile:
        print(profile(arguments, shape))
        return 0
    result = measure(arguments, shape)
    print(json.dumps(result, indent=None if arguments.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

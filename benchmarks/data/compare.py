#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images per second of a folder of JPEG files: our loader against torchvision's
ImageFolder in PyTorch's DataLoader, side by side, two workers each.

  benchmarks/data/compare.py --program build/bin/image_folder_rate \
      --source FOLDER_OF_PNG [--count 10000] [--size 224] [--rounds 3]

The JPEGs (quality 90, 4:2:0, 400 x 300 pixels) are crops of the images in
--source, at places and scales drawn from a fixed seed. Both sides decode, take
a random resized crop, mirror at random, scale and normalise, in batches of 64;
rounds alternate, and the median of each side counts. Needs torch, torchvision
and Pillow.
"""

import argparse
import pathlib
import random
import re
import statistics
import subprocess
import tempfile
import time

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

WIDTH, HEIGHT = 400, 300


def make_folder(source, folder, count):
    chance = random.Random(0)
    images = [Image.open(p).convert("RGB") for p in sorted(source.glob("*.png"))]
    for i in range(count):
        image = chance.choice(images)
        scale = chance.uniform(1.0, min(image.width / WIDTH,
                                        image.height / HEIGHT))
        width, height = int(WIDTH * scale), int(HEIGHT * scale)
        left = chance.randrange(image.width - width + 1)
        top = chance.randrange(image.height - height + 1)
        crop = image.crop((left, top, left + width, top + height))
        split = "test" if i < 10 else "train"
        target = folder / split / f"class{i % 10}"
        target.mkdir(parents=True, exist_ok=True)
        crop.resize((WIDTH, HEIGHT), Image.BILINEAR).save(
            target / f"{i:05}.jpg", quality=90)


def torchvision_rate(folder, size, workers):
    steps = transforms.Compose([
        transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.5] * 3)])
    loader = DataLoader(datasets.ImageFolder(folder / "train", steps),
                        batch_size=64, shuffle=True, num_workers=workers,
                        drop_last=True)
    start, count = time.monotonic(), 0
    for images, _ in loader:
        count += len(images)
    return count / (time.monotonic() - start)


def our_rate(program, folder, size, workers):
    out = subprocess.run([program, folder, str(size), str(workers), "1"],
                         check=True, capture_output=True, text=True).stdout
    return float(re.match(r"([0-9.]+) images/s", out)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_folder(options.source, folder, options.count)
        ours, theirs = [], []
        for _ in range(options.rounds):
            theirs.append(torchvision_rate(folder, options.size,
                                           options.workers))
            ours.append(our_rate(options.program, folder, options.size,
                                 options.workers))
            print(f"torchvision {theirs[-1]:.1f}, ours {ours[-1]:.1f} images/s",
                  flush=True)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"median: torchvision {b:.1f}, ours {a:.1f} images/s, ratio "
          f"{a / b:.2f}")


if __name__ == "__main__":
    main()

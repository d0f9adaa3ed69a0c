# SPDX-License-Identifier: Apache-2.0
"""A plain PyTorch twin of Inception-v3 up to its last pool, and of the three
ways to scale images for it.

Written from the published architecture (Szegedy et al. 2015) and the published
descriptions of the tools, sharing no code with the library.

    inception_twin.py FOLDER   with weights.safetensors, images.safetensors and
                               expected.safetensors; prints {"RULE NAME":
                               deviation}: of features and of scaled images,
                               relative to the largest entry; "converted": 1 if
                               tools/convert_inception.py makes the same tensors
                               of a state dictionary in PyTorch's format

Needs torch, numpy and Pillow. Shapes: N batch, C channels.
"""

import json
import pathlib
import subprocess
import sys

import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from vit_twin import read_safetensors

SIDE = 299


class Conv(nn.Module):
    def __init__(self, i, o, kernel, **more):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, bias=False, **more)
        self.bn = nn.BatchNorm2d(o, eps=0.001)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


def around(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class A(nn.Module):
    def __init__(self, i, pool):
        super().__init__()
        self.branch1x1 = Conv(i, 64, 1)
        self.branch5x5_1 = Conv(i, 48, 1)
        self.branch5x5_2 = Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Conv(i, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(i, pool, 1)

    def forward(self, x):
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat([
            self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(double), self.branch_pool(around(x))], 1)


class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch3x3 = Conv(288, 384, 3, stride=2)
        self.branch3x3dbl_1 = Conv(288, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, stride=2)

    def forward(self, x):
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat([self.branch3x3(x), self.branch3x3dbl_3(double),
                          F.max_pool2d(x, 3, 2)], 1)


class C(nn.Module):
    def __init__(self, m):
        super().__init__()
        row, column = {"padding": (0, 3)}, {"padding": (3, 0)}
        self.branch1x1 = Conv(768, 192, 1)
        self.branch7x7_1 = Conv(768, m, 1)
        self.branch7x7_2 = Conv(m, m, (1, 7), **row)
        self.branch7x7_3 = Conv(m, 192, (7, 1), **column)
        self.branch7x7dbl_1 = Conv(768, m, 1)
        self.branch7x7dbl_2 = Conv(m, m, (7, 1), **column)
        self.branch7x7dbl_3 = Conv(m, m, (1, 7), **row)
        self.branch7x7dbl_4 = Conv(m, m, (7, 1), **column)
        self.branch7x7dbl_5 = Conv(m, 192, (1, 7), **row)
        self.branch_pool = Conv(768, 192, 1)

    def forward(self, x):
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_1(x)
        for layer in (self.branch7x7dbl_2, self.branch7x7dbl_3,
                      self.branch7x7dbl_4, self.branch7x7dbl_5):
            twice = layer(twice)
        return torch.cat([self.branch1x1(x), once, twice,
                          self.branch_pool(around(x))], 1)


class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch3x3_1 = Conv(768, 192, 1)
        self.branch3x3_2 = Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Conv(768, 192, 1)
        self.branch7x7x3_2 = Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Conv(192, 192, 3, stride=2)

    def forward(self, x):
        long = self.branch7x7x3_2(self.branch7x7x3_1(x))
        return torch.cat([
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(self.branch7x7x3_3(long)),
            F.max_pool2d(x, 3, 2)], 1)


class E(nn.Module):
    def __init__(self, i, takes_maximum):
        super().__init__()
        self.takes_maximum = takes_maximum
        self.branch1x1 = Conv(i, 320, 1)
        self.branch3x3_1 = Conv(i, 384, 1)
        self.branch3x3_2a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Conv(i, 448, 1)
        self.branch3x3dbl_2 = Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Conv(i, 192, 1)

    def forward(self, x):
        one = self.branch3x3_1(x)
        two = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.takes_maximum else around(x)
        return torch.cat([
            self.branch1x1(x), self.branch3x3_2a(one), self.branch3x3_2b(one),
            self.branch3x3dbl_3a(two), self.branch3x3dbl_3b(two),
            self.branch_pool(pooled)], 1)


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c = A(192, 32), A(256, 64)
        self.Mixed_5d, self.Mixed_6a = A(288, 64), B()
        self.Mixed_6b, self.Mixed_6c = C(128), C(160)
        self.Mixed_6d, self.Mixed_6e = C(160), C(192)
        self.Mixed_7a = D()
        self.Mixed_7b, self.Mixed_7c = E(1280, False), E(2048, True)

    def forward(self, x):
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a",
                     "7b", "7c"):
            x = getattr(self, "Mixed_" + name)(x)
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


# Scaling. images: [N, C, Y, X], values 0 to 255. ------------------------------


def by_tensorflow(images):
    """tf.image.resize_bilinear of TensorFlow 1, align_corners = False."""
    x = images.double().numpy()
    for axis in (2, 3):
        size = x.shape[axis]
        place = numpy.arange(SIDE) * (size / SIDE)
        low = numpy.floor(place).astype(int)
        share = (place - low).reshape([-1 if a == axis else 1
                                       for a in range(4)])
        high = numpy.minimum(low + 1, size - 1)
        x = (numpy.take(x, low, axis) * (1 - share)
             + numpy.take(x, high, axis) * share)
    return torch.from_numpy(x).float()


def by_pytorch(images):
    return F.interpolate(images, (SIDE, SIDE), mode="bilinear",
                         align_corners=False)


def by_clean(images):
    """clean-fid: each channel through PIL's bicubic as float32."""
    result = torch.empty(*images.shape[:2], SIDE, SIDE)
    for n, c in numpy.ndindex(*images.shape[:2]):
        channel = Image.fromarray(images[n, c].numpy(), mode="F")
        result[n, c] = torch.from_numpy(numpy.asarray(
            channel.resize((SIDE, SIDE), Image.BICUBIC)).copy())
    return result.clamp(0, 255)


RULES = {"tensorflow": (by_tensorflow, lambda x: (x - 128) / 128),
         "pytorch": (by_pytorch, lambda x: 2 * (x / 255) - 1),
         "clean": (by_clean, lambda x: (x - 128) / 128)}


def deviation(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def is_converted(model, folder):
    """Whether the converter keeps every weight, and nothing else."""
    state = model.state_dict()
    state["fc.weight"] = torch.zeros(1008, 2048)
    torch.save(state, folder / "state.pth")
    tool = pathlib.Path(__file__).parents[2] / "tools" / "convert_inception.py"
    subprocess.run([sys.executable, str(tool), str(folder / "state.pth"),
                    str(folder / "converted.safetensors")], check=True,
                   stdout=subprocess.DEVNULL)
    ours = read_safetensors(folder / "weights.safetensors")
    theirs = read_safetensors(folder / "converted.safetensors")
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) for name in ours)


def run(folder):
    model = Inception().eval()
    weights = read_safetensors(folder / "weights.safetensors")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or any("num_batches" not in name for name in missing):
        sys.exit(f"missing {missing}, unexpected {unexpected}")
    expected = read_safetensors(folder / "expected.safetensors")
    result = {"converted": int(is_converted(model, folder))}
    for name, pixels in read_safetensors(
            folder / "images.safetensors").items():
        values = pixels.permute(0, 3, 1, 2).float().contiguous()
        for rule, (resize, scale) in RULES.items():
            scaled = resize(values)
            result[f"{rule} {name} scaled"] = deviation(
                scaled, expected[f"{rule}.{name}.scaled"])
            colour = scale(scaled).expand(-1, 3, -1, -1)
            with torch.no_grad():
                result[f"{rule} {name} features"] = deviation(
                    model(colour), expected[f"{rule}.{name}.features"])
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(run(pathlib.Path(sys.argv[1]))))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/{augment,jpeg}_reference.json with torchvision and Pillow.

    python tools/make_augment_reference.py tests/data

Every operation of torchvision's RandAugment at a few magnitudes, crops resized
by Pillow, and JPEG files with what Pillow decodes from them. Images are
planar [C, Y, X], written as hexadecimal digits.
"""

import io
import json
import pathlib
import sys

import numpy as np
import PIL
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

NUM_BINS = 31


def planar(image):
    array = np.asarray(image)
    if array.ndim == 3:
        array = array.transpose(2, 0, 1)
    return array.tobytes().hex()


def test_image(rows, columns, channels):
    """A slope with noise, its levels within 12 .. 235 so that it stretches."""
    random = np.random.RandomState(rows * columns)
    y, x = np.mgrid[0:rows, 0:columns]
    planes = []
    for c in range(channels):
        slope = (y * (3 + c) + x * (5 - c)) % 97 * 2
        noise = random.randint(0, 40, (rows, columns))
        planes.append(np.clip(12 + slope + noise, 12, 235 - 20 * c))
    array = np.stack(planes, axis=-1).astype(np.uint8)
    return Image.fromarray(array if channels == 3 else array[..., 0])


def describe(image):
    return {
        "channels": len(image.getbands()),
        "rows": image.height,
        "columns": image.width,
        "pixels": planar(image),
    }


def magnitudes(image):
    space = RandAugment()._augmentation_space(
        NUM_BINS, (image.height, image.width)
    )
    return {
        name: [float(v) for v in values.expand(NUM_BINS)]
        if values.ndim == 0
        else [float(v) for v in values]
        for name, (values, _) in space.items()
    }


def operation_cases(name, image):
    space = RandAugment()._augmentation_space(
        NUM_BINS, (image.height, image.width)
    )
    for op, (values, signed) in space.items():
        if values.ndim == 0:
            chosen = [0.0]
        else:
            chosen = [float(values[bin]) for bin in (4, 9, 30)]
            if signed:
                chosen = [chosen[0], chosen[1], -chosen[1], -chosen[2]]
        for magnitude in chosen:
            out = _apply_op(
                image, op, magnitude, InterpolationMode.NEAREST, fill=None
            )
            yield {
                "image": name,
                "op": op,
                "magnitude": magnitude,
                "expected": planar(out),
            }


def resize_cases(name, image):
    boxes = [
        (0, 0, image.height, image.width, 11, 29),
        (2, 3, 7, 5, 18, 20),
        (1, 0, image.height - 1, 6, 8, 8),
        (4, 4, 1, 1, 3, 3),
    ]
    for top, left, rows, columns, out_rows, out_columns in boxes:
        crop = image.crop((left, top, left + columns, top + rows))
        out = crop.resize((out_columns, out_rows), Image.BILINEAR)
        yield {
            "image": name,
            "box": [top, left, rows, columns],
            "rows": out_rows,
            "columns": out_columns,
            "expected": planar(out),
        }


def jpeg_case(name, image):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=75)
    decoded = Image.open(io.BytesIO(stream.getvalue())).convert("RGB")
    points = [(y, x) for y in (0, 17, 31) for x in (0, 9, 33, 63)]
    return {
        "name": name,
        "file": stream.getvalue().hex(),
        "points": [[y, x, *decoded.getpixel((x, y))] for y, x in points],
    }


def jpeg_cases():
    y, x = np.mgrid[0:64, 0:64]
    color = np.stack([x * 4, y * 4, 255 - (x + y) * 2], axis=-1)
    color = Image.fromarray(color.astype(np.uint8))
    return [
        jpeg_case("rgb", color),
        jpeg_case("grey", color.convert("L")),
        jpeg_case("cmyk", color.convert("CMYK")),
        jpeg_case("small", color.resize((64, 32))),
    ]


def write(path, content):
    with open(path, "w") as file:
        json.dump(content, file, indent=0)
        file.write("\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    images = {"rgb": test_image(18, 20, 3), "grey": test_image(24, 22, 1)}
    made_with = f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}"
    write(
        folder / "augment_reference.json",
        {
            "made_with": made_with,
            "images": {n: describe(i) for n, i in images.items()},
            "magnitudes": {n: magnitudes(i) for n, i in images.items()},
            "operations": [
                c for n, i in images.items() for c in operation_cases(n, i)
            ],
            "resized_crops": [
                c for n, i in images.items() for c in resize_cases(n, i)
            ],
        },
    )
    write(
        folder / "jpeg_reference.json",
        {"made_with": made_with, "files": jpeg_cases()},
    )


if __name__ == "__main__":
    main()

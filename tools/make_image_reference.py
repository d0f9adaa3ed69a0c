#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/image_reference.json: small PNG and JPEG files of every kind
that is read or refused, with the pixels expected of them. Needs Pillow.

PNGs are made here byte by byte, so their pixels are known without a decoder.
Those of JPEGs are what Pillow sees after exif_transpose().
"""

import io
import json
import pathlib
import struct
import zlib

from PIL import Image, ImageOps

WIDTH, HEIGHT = 7, 5
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
         (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def packed(samples, depth):
    """Bytes of one line; samples are numbers of `depth` bits."""
    if depth == 16:
        return b"".join(struct.pack(">H", s) for s in samples)
    bits = "".join(format(s, f"0{depth}b") for s in samples)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


def png(pixels, colour, depth, interlaced=False, chunks=b""):
    """pixels[y][x]: a list of samples."""
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    raw = b""
    for x0, y0, dx, dy in passes:
        for row in pixels[y0::dy]:
            line = [s for p in row[x0::dx] for s in p]
            if line:
                raw += b"\0" + packed(line, depth)
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), depth,
                         colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks +
            chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def made(samples, top):
    """A pattern of `samples` numbers per pixel, 0 to top."""
    return [[[(37 * x + 91 * y + 53 * s + x * y) * (top // 255 or 1) % (top + 1)
              for s in range(samples)] for x in range(WIDTH)]
            for y in range(HEIGHT)]


def over_white(level, alpha):
    return (level * alpha + 255 * (255 - alpha) + 127) // 255


def planes(pixels, to_rgb):
    rgb = [[to_rgb(p) for p in row] for row in pixels]
    return [[p[c] for row in rgb for p in row] for c in range(3)]


def png_files():
    grey, colour = made(1, 255), made(3, 255)
    yield "grey", png(grey, 0, 8), planes(grey, lambda p: p * 3)
    yield "colour", png(colour, 2, 8), planes(colour, lambda p: p)
    yield ("interlaced", png(colour, 2, 8, True), planes(colour, lambda p: p))
    for depth in (1, 2, 4):
        top = 2 ** depth - 1
        few = made(1, top)
        yield (f"grey{depth}", png(few, 0, depth),
               planes(few, lambda p: [p[0] * 255 // top] * 3))
    rounded = lambda v: (v * 255 + 32895) >> 16
    for name, samples, kind in (("grey16", 1, 0), ("colour16", 3, 2)):
        deep = made(samples, 65535)
        yield (name, png(deep, kind, 16),
               planes(deep, lambda p: [rounded(v) for v in p] * (3 // len(p))))
    both, four = made(2, 255), made(4, 255)
    yield ("grey_alpha", png(both, 4, 8),
           planes(both, lambda p: [over_white(p[0], p[1])] * 3))
    yield ("colour_alpha", png(four, 6, 8),
           planes(four, lambda p: [over_white(v, p[3]) for v in p[:3]]))
    table = [(9 * i, 255 - 16 * i, 40 + i) for i in range(13)]
    index = made(1, 12)
    palette = chunk(b"PLTE", bytes(v for entry in table for v in entry))
    yield ("palette", png(index, 3, 4, chunks=palette),
           planes(index, lambda p: table[p[0]]))
    clear = chunk(b"tRNS", bytes([0, 128]))
    alpha = [0, 128] + [255] * 11
    yield ("palette_alpha", png(index, 3, 8, chunks=palette + clear),
           planes(index,
                  lambda p: [over_white(v, alpha[p[0]]) for v in table[p[0]]]))
    turned = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x112, 3, 1, 6, 0, 0)
    quarter = [list(row) for row in zip(*colour[::-1])]
    yield ("turned", png(colour, 2, 8, chunks=chunk(b"eXIf", turned)),
           planes(quarter, lambda p: p))


def smooth(mode, size=(20, 12)):
    image = Image.new("RGB", size)
    image.putdata([(5 * x + 40, 10 * y + 60, 200 - 4 * x - 3 * y)
                   for y in range(size[1]) for x in range(size[0])])
    return image.convert(mode)


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **{"quality": 95, "subsampling": 0, **options})
    return out.getvalue()


def jpeg_files():
    yield "jpeg", jpeg(smooth("RGB"))
    yield "jpeg_grey", jpeg(smooth("L"))
    yield "jpeg_progressive", jpeg(smooth("RGB"), progressive=True)
    yield "jpeg_subsampled", jpeg(smooth("RGB"), subsampling=2)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        yield f"jpeg_turned{orientation}", jpeg(smooth("RGB"), exif=exif)


def seen_by_pillow(file):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
    return image.height, image.width, [list(c.getdata()) for c in image.split()]


def main():
    files = []
    for name, data, expected in png_files():
        # An independent decoder has to agree on the shape at least.
        rows, columns, _ = seen_by_pillow(data)
        files.append({"name": name, "file": data.hex(), "rows": rows,
                      "columns": columns, "tolerance": 0, "rgb": expected})
    for name, data in jpeg_files():
        rows, columns, expected = seen_by_pillow(data)
        files.append({"name": name, "file": data.hex(), "rows": rows,
                      "columns": columns, "tolerance": 2, "rgb": expected})
    large = jpeg(smooth("RGB", (20, 16)).resize((400, 320), Image.BICUBIC),
                 quality=75)
    small = Image.open(io.BytesIO(large)).resize((40, 32), Image.BILINEAR)
    out = {"files": files,
           "cmyk": jpeg(smooth("CMYK")).hex(),
           "large": {"file": large.hex(), "rgb_40x32":
                     [list(c.getdata()) for c in small.split()]}}
    path = pathlib.Path(__file__).parents[1] / "tests/data/image_reference.json"
    path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
    print(f"{path}: {len(files)} files, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

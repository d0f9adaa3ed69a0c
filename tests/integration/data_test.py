# SPDX-License-Identifier: Apache-2.0
"""Data of one's own and predictions, driven as a user would; DBLOCKS_PROGRAM
names the program.

Images are written here as PNG byte by byte: nothing but Python is needed.
"""

import json
import pathlib
import struct
import zlib

from program_test import Program, RECIPE, run

OWN = ["--set", "data.dataset=image_folder", "--set", "data.image_size=16",
       "--set", "model.patch=8", "--set", "data.batch_size=8", "--set",
       "data.test_samples=0", "--set", "train.steps=40", "--set",
       "optim.warmup_steps=5", "--set", "checkpoint.every_steps=40",
       "--threads", "1"]
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png(red, green, blue, width=20, height=24):
    line = b"\0" + bytes([red, green, blue]) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
            chunk(b"IDAT", zlib.compress(line * height)) + chunk(b"IEND", b""))


class OwnData(Program):
    COLOURS = {"blue sky": (20, 30, 220), "grass": (30, 200, 40),
               "rust": (210, 60, 20)}

    def setUp(self):
        super().setUp()
        self.data = self.folder / "pictures"
        for split, count in (("train", 8), ("test", 2)):
            for name, colour in self.COLOURS.items():
                (self.data / split / name).mkdir(parents=True)
                for i in range(count):
                    (self.data / split / name / f"{i}.png").write_bytes(
                        png(*(v + 4 * i for v in colour)))

    def train(self, out, *more):
        return run("train", RECIPE, "--out", out, "--set",
                   f"data.root={self.data}", *OWN, *more)

    def error(self, result, code, word):
        self.expect(result, code)
        # A training may have shown its progress before.
        *before, last = result.stderr.strip().splitlines()
        self.assertTrue(all(line.startswith("block ") for line in before),
                        result.stderr)
        self.assertIn(word, last)

    def test_archives_of_numpy_arrays_are_learned(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("needs numpy")
        arrays, out = self.folder / "arrays", self.folder / "run"
        arrays.mkdir()
        classes = numpy.arange(24) % 3
        images = numpy.zeros((24, 16, 16, 3), numpy.uint8)
        images[numpy.arange(24), :, :, classes] = 200
        numpy.savez_compressed(arrays / "train.npz", images, classes)
        numpy.savez(arrays / "test.npz", images[:6],
                    classes[:6].astype(numpy.int32))
        own = [*OWN, "--set", "data.dataset=npz", "--set",
               f"data.root={arrays}"]
        self.expect(run("train", RECIPE, "--out", out, *own), 0)
        report = json.loads(self.expect(run("eval", out, "--json"), 0).stdout)
        self.assertEqual((report["dataset"], report["num_images"]), ("npz", 6))
        numpy.savez(arrays / "test.npz", images[:6], numpy.array([{}] * 6))
        self.error(run("eval", out), 3, "type '|O'")
        numpy.savez(arrays / "test.npz", images[:6].astype(float), classes[:6])
        self.error(run("eval", out), 3, "found <f8 [6, 16, 16, 3]")

    def test_a_folder_of_images_is_learned_and_asked(self):
        out, grass = self.folder / "run", self.folder / "new.png"
        self.expect(self.train(out), 0)
        report = json.loads(self.expect(run("eval", out, "--json"), 0).stdout)
        self.assertEqual(report["num_images"], 6)
        grass.write_bytes(png(35, 205, 50, width=60, height=31))
        # The network needs no data any more.
        self.data.rename(self.folder / "gone")
        told = json.loads(self.expect(
            run("predict", out, grass, grass, "--json", "--top", "3"),
            0).stdout)
        first, second = told["images"]
        self.assertEqual(told["readout"], "renoised_chain")
        self.assertEqual(len(first["after_block"]), 3)
        self.assertEqual({c["class"] for c in first["answer"]},
                         set(self.COLOURS))
        self.assertEqual(first["answer"][0]["class"], "grass")
        self.assertAlmostEqual(
            sum(c["probability"] for c in first["answer"]), 1, places=5)
        self.assertEqual(first["answer"], second["answer"])
        text = self.expect(run("predict", out, grass, "--top", "1"), 0).stdout
        self.assertIn("new.png: grass ", text)
        self.assertIn("after block 2: ", text)

        broken = self.folder / "broken.png"
        broken.write_bytes(grass.read_bytes()[:60])
        self.error(run("predict", out, broken), 3, "broken.png")
        self.error(run("predict", out, self.folder / "none.png"), 3,
                   "none.png")
        self.error(run("predict", out, RECIPE), 3, "debug_vit.toml")
        self.error(run("predict", self.folder / "nothing", grass), 4,
                   "nothing")

    def test_damaged_samples_end_the_run_or_are_passed_over(self):
        out, bad = self.folder / "run", self.data / "train/grass/3.png"
        bad.write_bytes(bad.read_bytes()[:50])
        self.error(self.train(out), 3, str(bad))
        (self.data / "test/rust/1.png").write_bytes(b"no image")
        done = self.expect(
            self.train(out, "--set", "data.on_bad_sample=skip"), 0)
        self.assertIn("passed over 1 damaged of 24 training samples",
                      done.stdout)
        self.assertIn(str(bad), done.stdout)
        told = self.expect(
            run("eval", out, "--set", "data.on_bad_sample=skip"), 0).stdout
        self.assertIn("on 5 images", told)
        self.assertIn("rust/1.png", told)

    def test_classes_must_stay_and_must_fit(self):
        out = self.folder / "run"
        self.expect(self.train(out), 0)
        for split in ("train", "test"):
            (self.data / split / "snow").mkdir()
            (self.data / split / "snow/0.png").write_bytes(png(250, 250, 250))
        self.error(run("eval", out), 3, "3 classes")
        self.error(self.train(self.folder / "narrow", "--set", "model.width=3",
                              "--set", "model.heads=1", "--set",
                              "model.sigma_embedding_width=2"), 2,
                   "4 classes")
        self.error(self.train(self.folder / "none", "--set",
                              "data.root=/no/such"), 3, "/no/such")


class NamedData(Program):
    def test_lists_and_verifies_what_is_installed(self):
        listed = json.loads(self.expect(run("data", "list", "--json"),
                                        0).stdout)
        self.assertEqual([entry["name"] for entry in listed],
                         ["fashion_mnist", "mnist", "cifar10", "cifar100"])
        told = self.expect(run("data", "verify", "fashion-mnist"), 0).stdout
        self.assertIn("60000 training and 10000 test images", told)
        self.assertEqual(told.count("as published"), 4)

    def test_damage_and_absence_exit_3(self):
        data = self.folder / "fashion-mnist"
        data.mkdir()
        for file in FASHION.iterdir():
            (data / file.name).symlink_to(file)
        labels = data / "t10k-labels-idx1-ubyte.gz"
        whole = bytearray(zlib.decompress(labels.read_bytes(), 31))
        labels.unlink()
        whole[100] ^= 1
        (data / "t10k-labels-idx1-ubyte").write_bytes(whole)
        damaged = run("data", "verify", "fashion_mnist", "--root", self.folder)
        self.expect(damaged, 3)
        self.assertIn("damaged  " + str(data / "t10k-labels-idx1-ubyte"),
                      damaged.stdout)
        self.expect(run("data", "verify", "nothing"), 2)
        # The Debian package holds other gzip files than the published ones.
        refused = run("data", "fetch", "fashion_mnist", "--to",
                      self.folder / "to", "--from", FASHION)
        self.expect(refused, 3)
        self.assertIn("SHA-256", refused.stderr)
        self.assertFalse((self.folder / "to/fashion-mnist").exists())

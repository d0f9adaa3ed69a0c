# SPDX-License-Identifier: Apache-2.0
"""Image generation driven as a user would; DBLOCKS_PROGRAM names the program."""

import json
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib

import browser
from program_test import Program, ROOT, run

RECIPE = str(ROOT / "recipes" / "debug_dit.toml")
SMALL = ["--set", "data.test_samples=200", "--set", "data.train_samples=1000",
         "--set", "train.steps=12", "--set", "optim.warmup_steps=3",
         "--set", "checkpoint.every_steps=5", "--threads", "1"]


def png_size(data):
    """(columns, rows, channels) of a PNG; its pixels must decompress."""
    columns, rows, _, colour = struct.unpack(">IIBB", data[16:26])
    compressed, at = b"", 8
    while at < len(data):
        length = struct.unpack(">I", data[at:at + 4])[0]
        if data[at + 4:at + 8] == b"IDAT":
            compressed += data[at + 8:at + 8 + length]
        at += length + 12
    pixels = zlib.decompress(compressed)
    channels = {0: 1, 2: 3}[colour]
    if len(pixels) != rows * (columns * channels + 1):
        raise ValueError("a damaged PNG")
    return columns, rows, channels


def npy(dtype, shape, content):
    """An array as NumPy would save it."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape})
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text))
            + text.encode() + content)


class Generation(Program):
    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / "dit"
        self.expect(run("train", RECIPE, "--out", self.run_folder, *SMALL), 0)

    def sample(self, *more, steps=6):
        return run("sample", self.run_folder, "--steps", steps, "--threads",
                   "1", *more)

    def test_a_grid_files_and_arrays_hold_the_same_images(self):
        grid, files, arrays = (self.folder / name for name in
                               ("grid.png", "files", "arrays.npz"))
        for out in (["--out", grid, "--npz", arrays], ["--out", files]):
            text = self.expect(self.sample("--classes", "0-2,Bag", "--per-class",
                                           "3", *out), 0).stdout
            self.assertIn("12 images of 4 classes, 6 steps", text)
        self.assertEqual(png_size(grid.read_bytes()), (3 * 28, 4 * 28, 1))
        names = sorted(file.name for file in files.iterdir())
        self.assertEqual(len(names), 12)
        self.assertEqual(names[9], "000009_class_8.png")
        self.assertEqual(png_size((files / names[0]).read_bytes()), (28, 28, 1))
        with zipfile.ZipFile(arrays) as archive:
            self.assertIsNone(archive.testzip())
            images = archive.read("arr_0.npy")
            labels = archive.read("arr_1.npy")
        self.assertIn(b"'descr': '|u1', 'fortran_order': False, "
                      b"'shape': (12, 28, 28, 1)", images)
        self.assertEqual((len(images) - 12 * 784) % 64, 0)
        self.assertIn(b"'shape': (12,)", labels)
        self.assertEqual(struct.unpack("<12q", labels[-96:]),
                         (0, 0, 0, 1, 1, 1, 2, 2, 2, 8, 8, 8))

    def test_the_seed_decides_and_nothing_else(self):
        def images(*more):
            file = self.folder / "one.npz"
            self.expect(self.sample("--classes", "3", "--npz", file, *more), 0)
            return zipfile.ZipFile(file).read("arr_0.npy")
        few, many = images("--per-class", "2"), images("--per-class", "20")
        self.assertEqual(few[-2 * 784:], many[-20 * 784:][:2 * 784])
        self.assertNotEqual(few, images("--per-class", "2", "--seed", "1"))
        self.assertNotEqual(few, images("--per-class", "2", "--solver", "heun"))

    def test_evaluation_names_what_it_measured(self):
        small = ["--set", "evaluation.samples=24", "--set", "sampling.steps=4",
                 "--threads", "1", "--json"]
        found = json.loads(
            self.expect(run("eval", self.run_folder, *small), 0).stdout)
        (pixels,) = found["scores"]
        self.assertEqual(pixels["name"], "pixels, no resize, 24 images against "
                         "the 200 test images of fashion_mnist")
        self.assertGreater(pixels["frechet_distance"], 0)
        self.assertEqual(len(found["block_loss"]), 3)
        (curve,) = found["noise_curves"]
        self.assertEqual(len(curve["points"]), 24)
        owners = [point["block"] for point in curve["points"]]
        self.assertEqual(owners, sorted(owners, reverse=True))
        self.assertEqual(set(owners), {0, 1, 2})
        self.assertEqual(
            png_size((self.run_folder / "samples.png").read_bytes()),
            (2 * 28, 10 * 28, 1))
        classifier = self.folder / "classifier"
        self.expect(run("train", ROOT / "recipes" / "debug_vit.toml", "--out",
                        classifier, "--set", "method=end_to_end", *SMALL), 0)
        found = json.loads(self.expect(run(
            "eval", self.run_folder, *small, "--set",
            f"evaluation.classifier={classifier}"), 0).stdout)
        self.assertRegex(found["scores"][0]["name"],
                         r"^classifier-[0-9a-f]{8}, no resize, 24 images")
        self.assertTrue(0 <= found["asked_class_share"] <= 1)
        whole = self.folder / "whole"
        self.expect(run("train", RECIPE, "--out", whole, *SMALL, "--set",
                        "method=end_to_end"), 0)
        both = json.loads(self.expect(
            run("eval", self.run_folder, *small, "--against", whole,
                "--set", "evaluation.noise_levels=7", "--set",
                f"evaluation.classifier={classifier}"), 0).stdout)
        own, other = both["noise_curves"]
        self.assertEqual(other["method"], "end_to_end")
        self.assertEqual(len(own["points"]), 7)
        self.assertEqual({point["block"] for point in other["points"]}, {0})
        alone = json.loads(self.expect(
            run("eval", whole, *small, "--set", "evaluation.noise_levels=7"),
            0).stdout)
        self.assertEqual(alone["noise_curves"][0]["points"], other["points"])
        history = json.loads(
            (self.run_folder / "image_history.json").read_text())["points"]
        self.assertEqual([point["steps"] for point in history], [12, 12])
        self.expect(run("report", self.run_folder), 0)
        page = (self.run_folder / "report.html").read_text()
        self.assertTrue(found["scores"][0]["name"] in page)

        if browser.missing():
            return
        with browser.Browser() as window:
            window.open(self.run_folder / "report.html")
            self.assertEqual(window.console(), [])
            text = window.run("return document.body.innerText")
            self.assertNotIn("[object", text)
            self.assertNotIn("undefined", text)
            self.assertNotIn("NaN", text)
            self.assertIn("FRECHET DISTANCE", text.upper())
            self.assertIn("Loss at each level of noise", text)
            self.assertEqual(window.run(
                "return ['circle', 'path.curve', 'line.boundary'].map(s => "
                "document.querySelectorAll("
                "'[aria-label=\"Loss at each level of noise\"] ' + s"
                ").length)"), [7, 2, 2])
            self.assertEqual(window.run(
                "return [...document.querySelectorAll('img.grid')].map("
                "i => [i.naturalWidth, i.naturalHeight])"),
                [[2 * 28, 10 * 28], [10 * 28, 2 * 28]])

    def test_images_made_elsewhere_are_measured(self):
        arrays = self.folder / "arrays.npz"
        self.expect(self.sample("--classes", "0-9", "--per-class", "3",
                                "--npz", arrays), 0)

        def measured(*more):
            return json.loads(self.expect(
                run("eval", self.run_folder, "--samples", arrays, "--json",
                    "--threads", "1", *more), 0).stdout)
        found = measured()
        self.assertEqual(found["num_images"], 30)
        (score,) = found["scores"]
        self.assertRegex(
            score["name"], r"^pixels, no resize, 30 images of arrays\.npz "
            r"\([0-9a-f]{8}\) against the 200 test images of fashion_mnist$")
        self.assertFalse((self.run_folder / "image_eval.json").exists())
        itself = ["--set", f"evaluation.reference_file={arrays}"]
        (score,) = measured(*itself)["scores"]
        self.assertIn("against the 30 images of arrays.npz (", score["name"])
        self.assertAlmostEqual(score["frechet_distance"], 0, delta=1e-4)
        self.assertEqual((score["precision"], score["recall"]), (1, 1))
        # The same images in the other form, which is a data set of its own too.
        tensors = self.folder / "data" / "train.safetensors"
        tensors.parent.mkdir()
        self.expect(self.sample("--classes", "0-9", "--per-class", "3",
                                "--safetensors", tensors), 0)
        (same,) = measured("--set", f"evaluation.reference_file={tensors}")[
            "scores"]
        self.assertEqual(same["frechet_distance"], score["frechet_distance"])
        self.assertEqual(same["name"].replace("train.safetensors",
                                              "arrays.npz"), score["name"])
        shutil.copy(tensors, tensors.parent / "test.safetensors")
        again = self.folder / "again"
        self.expect(run("train", RECIPE, "--out", again, "--threads", "1",
                        "--set", "data.dataset=safetensors", "--set",
                        f"data.root={tensors.parent}", "--set",
                        "data.test_samples=0", "--set", "data.batch_size=10",
                        "--set", "train.steps=3", "--set",
                        "optim.warmup_steps=1"), 0)
        self.assertEqual(
            json.loads((again / "data.json").read_text())["class_names"],
            json.loads((self.run_folder / "data.json").read_text())[
                "class_names"])
        classifier = self.folder / "classifier"
        self.expect(run("train", ROOT / "recipes" / "debug_vit.toml", "--out",
                        classifier, "--set", "method=end_to_end", *SMALL), 0)
        found = measured("--set", f"evaluation.classifier={classifier}")
        self.assertTrue(0 <= found["asked_class_share"] <= 1)
        own = json.loads(self.expect(
            run("eval", self.run_folder, "--json", "--threads", "1", "--set",
                "evaluation.samples=12", "--set", "sampling.steps=3", "--set",
                "evaluation.noise_levels=0", *itself), 0).stdout)
        self.assertRegex(own["scores"][0]["name"], r"12 images against the 30 "
                         r"images of arrays\.npz")

        def refused(code, word, *arguments):
            result = self.expect(run("eval", self.run_folder, *arguments), code)
            self.assertIn(word, result.stderr)
        refused(2, "found both", "--samples", arrays, "--against", classifier)
        refused(3, "found none", "--samples", self.folder / "nothing.npz")
        refused(2, "neighbours", "--samples", arrays, "--set",
                "evaluation.neighbours=30")
        few = self.folder / "few.npz"
        with zipfile.ZipFile(few, "w") as archive:
            archive.writestr("arr_0.npy", npy("|u1", (4, 2, 2, 1), bytes(16)))
        refused(2, "expected images of [28, 28, 1] as in the data of the run, "
                "found [2, 2, 1]", "--samples", few)
        with zipfile.ZipFile(few, "w") as archive:
            archive.writestr("arr_0.npy",
                             npy("|u1", (4, 28, 28, 1), bytes(4 * 784)))
            archive.writestr("arr_1.npy",
                             npy("<i4", (4,), struct.pack("<4i", 0, 1, 2, 10)))
        refused(2, "expected classes of 0 to 9", "--samples", few)
        statistics = self.folder / "statistics.npz"
        with zipfile.ZipFile(statistics, "w") as archive:
            archive.writestr("mu.npy", npy("<f8", (1,), struct.pack("<d", 0)))
            archive.writestr("sigma.npy",
                             npy("<f8", (1, 1), struct.pack("<d", 1)))
        refused(2, "expected evaluation.inception", "--samples", arrays,
                "--set", f"evaluation.reference_file={statistics}")

    def test_inception_features_from_converted_weights(self):
        try:
            import numpy as np
            import torch
        except ImportError:
            self.skipTest("needs torch")
        sys.path.insert(0, str(ROOT / "tests" / "twin"))
        import inception_twin
        torch.manual_seed(0)
        state = self.folder / "weights.pth"
        weights = self.folder / "weights.safetensors"
        torch.save(inception_twin.Inception().state_dict(), state)
        subprocess.run([sys.executable, ROOT / "tools" / "convert_inception.py",
                        state, weights], check=True, stdout=subprocess.DEVNULL)
        cache = self.folder / "features"
        small = ["--threads", "1", "--json"]
        for setting in ("evaluation.samples=5", "sampling.steps=2",
                        "evaluation.noise_levels=0", "data.test_samples=8",
                        f"evaluation.feature_cache={cache}",
                        f"evaluation.inception={weights}"):
            small += ["--set", setting]

        def scores(*more):
            result = self.expect(run("eval", self.run_folder, *small, *more), 0)
            return json.loads(result.stdout)["scores"], result.stderr

        (first,), _ = scores()
        self.assertRegex(first["name"], r"^inception-[0-9a-f]{8}, tensorflow "
                         r"resize, 5 images against the 8 test images")
        (kept,) = cache.iterdir()
        self.assertEqual(scores()[0], [first])
        # The features of the real images as published statistics would be.
        content = kept.read_bytes()
        real = np.frombuffer(content[-8 * 2048 * 4:], "<f4").reshape(8, 2048)
        statistics = self.folder / "statistics.npz"
        np.savez_compressed(statistics, mu=real.mean(0, dtype="f8"),
                            sigma=np.cov(real.astype("f8"), rowvar=False))
        (score,), _ = scores(
            "--set", f"evaluation.reference_file={statistics}")
        self.assertRegex(score["name"], r"5 images against the statistics of "
                         r"statistics\.npz \([0-9a-f]{8}\)$")
        self.assertEqual(set(score), {"name", "frechet_distance"})
        self.assertAlmostEqual(score["frechet_distance"],
                               first["frechet_distance"],
                               delta=1e-4 * first["frechet_distance"])
        self.expect(run("report", self.run_folder), 0)
        np.savez(statistics, mu=np.zeros(7), sigma=np.eye(7))
        refused = self.expect(run(
            "eval", self.run_folder, *small, "--set",
            f"evaluation.reference_file={statistics}"), 2)
        self.assertIn("2048 features, found 7", refused.stderr)
        kept.write_bytes(content[:-100])
        again, said = scores()
        self.assertEqual(again, [first])
        self.assertIn("computed anew", said)
        (clean,), _ = scores("--set", "evaluation.inception_resize=clean")
        self.assertIn("clean resize", clean["name"])
        self.assertNotEqual(clean["frechet_distance"],
                            first["frechet_distance"])
        self.assertEqual(len(list(cache.iterdir())), 2)
        state = torch.load(state, weights_only=True)
        del state["Mixed_6a.branch3x3.bn.bias"]
        torch.save(state, self.folder / "less.pth")
        subprocess.run([sys.executable, ROOT / "tools" / "convert_inception.py",
                        self.folder / "less.pth", weights], check=True,
                       stdout=subprocess.DEVNULL)
        refused = self.expect(run("eval", self.run_folder, *small), 4)
        self.assertIn("Mixed_6a.branch3x3.bn.bias", refused.stderr)
        self.assertIn(str(weights), refused.stderr)

    def test_previews_show_a_run_while_it_trains(self):
        def pictures(folder):
            return {file.name: file.read_bytes()
                    for file in (folder / "previews").iterdir()}
        alternating = SMALL + ["--set", "train.schedule=alternating", "--set",
                               "train.steps_per_visit=5", "--set",
                               "sampling.steps=4"]
        drawn, plain = self.folder / "drawn", self.folder / "plain"
        previews = ["--set", "report.previews_every_steps=5"]
        self.expect(run("train", RECIPE, "--out", drawn, *alternating,
                        *previews), 0)
        found = pictures(drawn)
        self.assertEqual(sorted(found), ["00000005.png", "00000010.png"])
        self.assertEqual(png_size(found["00000005.png"]),
                         (10 * 28, 2 * 28, 1))
        self.assertNotEqual(found["00000005.png"], found["00000010.png"])
        self.expect(run("train", RECIPE, "--out", plain, *alternating), 0)
        self.assertFalse((plain / "previews").exists())
        files = [file.relative_to(drawn) for file in
                 drawn.rglob("weights.safetensors")]
        self.assertGreaterEqual(len(files), 3)
        for file in files:
            self.assertEqual((drawn / file).read_bytes(),
                             (plain / file).read_bytes(), file)
        self.expect(run("report", drawn), 0)
        page = (drawn / "report.html").read_text()
        self.assertIn("While it trained", page)
        (drawn / "previews" / "00000011.png").write_text("no picture")
        (drawn / "previews" / "notes.txt").write_text("mine")
        self.expect(run("report", drawn), 0)
        if browser.missing():
            return
        with browser.Browser() as window:
            window.open(drawn / "report.html")
            self.assertEqual(window.console(), [])
            self.assertEqual(window.run(
                "return [...document.querySelectorAll('.previews img')].map("
                "i => i.naturalWidth)"), [280, 280])

    def test_a_table_of_runs_is_trained_once_and_summed_up(self):
        table = self.folder / "table.toml"
        table.write_text(
            f'recipe = "{RECIPE}"\nseeds = [0, 1]\n'
            'set = "train.steps=3 optim.warmup_steps=1 data.test_samples=50 '
            'data.train_samples=100"\n'
            'evaluate = "evaluation.samples=8 sampling.steps=3"\n'
            '[variants]\nequal = ""\nlog = "partition.kind=log_uniform"\n')
        out = self.folder / "table"
        sweep = ["sweep", table, "--out", out, "--threads", "1"]
        text = self.expect(run(*sweep, "--jobs", "2"), 0).stdout
        self.assertIn("step 3/3", (out / "log_seed_1.log").read_text())
        rows = (out / "table.csv").read_text().splitlines()
        self.assertEqual(rows[0], "variant,seed,run,frechet_distance,"
                         "precision,recall")
        self.assertEqual([row.rsplit(",", 3)[0] for row in rows[1:]],
                         ["equal,0,equal_seed_0", "equal,1,equal_seed_1",
                          "log,0,log_seed_0", "log,1,log_seed_1"])
        distances = [float(row.split(",")[3]) for row in rows[1:]]
        self.assertEqual(len(set(distances)), 4)
        mean = f"| equal | 2 | {sum(distances[:2]) / 2:.4f} +- "
        self.assertIn(mean, (out / "table.md").read_text())
        self.assertIn(mean, text)
        if not browser.missing():
            with browser.Browser() as window:
                window.open(out / "table.html")
                self.assertEqual(window.console(), [])
                text = window.run("return document.body.innerText")
                self.assertIn("debug_dit: 2 variants, 4 runs", text)
                for word in ("undefined", "NaN", "[object"):
                    self.assertNotIn(word, text)
                self.assertEqual(window.run(
                    "return document.querySelectorAll('circle.run').length"),
                    3 * 4)
        again = self.expect(run(*sweep), 0).stdout
        self.assertEqual(again.count(": done"), 4)
        self.assertNotIn(": training", again)
        table.write_text(table.read_text().replace("log_uniform", "nothing"))
        shutil.rmtree(out / "log_seed_1")
        self.expect(run(*sweep), 2)

    def test_what_cannot_be_is_said(self):
        def refused(code, word, *arguments):
            result = self.expect(run(*arguments), code)
            self.assertIn(word, result.stderr)
        grid = ["--out", self.folder / "grid.png"]
        refused(2, "--classes", "sample", self.run_folder, "--classes", "7-12",
                *grid)
        refused(2, "--classes", "sample", self.run_folder, "--classes", "hat",
                *grid)
        refused(2, "nowhere", "sample", self.run_folder)
        refused(2, "dit.patch", "sample", self.run_folder, *grid, "--set",
                "dit.patch=2")
        refused(2, "label_dropout", "train", RECIPE, "--out",
                self.folder / "none", "--set", "generation.label_dropout=0")
        refused(4, "run", "sample", self.folder / "nothing", *grid)
        text = self.expect(
            self.sample("--per-class", "1", *grid, steps=2), 0).stderr
        self.assertIn("2 steps never call block 1", text)
        plain = self.folder / "plain"
        self.expect(run("train", ROOT / "recipes" / "debug_vit.toml", "--out",
                        plain, *SMALL), 0)
        refused(2, "image_generation", "sample", plain, *grid)
        refused(2, "found image_generation", "predict", self.run_folder,
                self.folder / "grid.png")
        refused(2, "--against", "eval", plain, "--against", self.run_folder)
        refused(2, "--against", "eval", self.run_folder, "--against", plain)
        refused(4, "nothing", "eval", self.run_folder, "--against",
                self.folder / "nothing")
        refused(2, "noise_levels", "eval", self.run_folder, "--set",
                "evaluation.noise_levels=1")
        refused(2, "method = end_to_end", "eval", self.run_folder, "--set",
                f"evaluation.classifier={plain}")

    def test_the_other_verbs_know_such_runs(self):
        for verb in ("report", "verify", "inspect"):
            self.expect(run(verb, self.run_folder), 0)
        out = self.folder / "model.safetensors"
        self.expect(run("export", self.run_folder, "--out", out), 0)
        model = json.loads((self.folder / "model.model.json").read_text())
        self.assertEqual(model["model"]["kind"], "dit")
        self.assertEqual(model["pixel_mean"], [0.5])

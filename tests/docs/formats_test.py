# SPDX-License-Identifier: Apache-2.0
"""Reads a run with nothing but what docs/formats/ says.

No code of dblocks and no safetensors package: json, struct and XXH3 only. If a
page stops being true, this reader fails.
"""

import json
import math
import pathlib
import re
import struct
import tempfile
import tomllib
import unittest

import xxhash

from documents import ROOT, run

SMALL = ["--set", "train.steps=12", "--set", "checkpoint.every_steps=6",
         "--set", "train.log_every_steps=5", "--set", "optim.warmup_steps=2",
         "--set", "data.train_samples=500", "--set", "optim.ema_decay=0.5",
         "--set", "optim.ema_second_decay=0.9",
         "--set", "data.test_samples=100", "--threads", "1"]
DTYPE_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "F16": 2, "BF16": 2,
               "I32": 4, "F32": 4, "I64": 8, "F64": 8}


def read_manifest(folder):
    """docs/formats/checkpoint.md"""
    content = (folder / "manifest.json").read_bytes()
    manifest = json.loads(content)
    tail = b'  "checksum": "' + manifest["checksum"].encode() + b'"\n}\n'
    assert content.endswith(tail)
    body = content[:-len(tail)]
    assert xxhash.xxh3_128_hexdigest(body) == manifest["checksum"]
    assert (manifest["format"], manifest["version"]) == \
        ("dblocks-checkpoint", 1)
    for file in manifest["files"]:
        data = (folder / file["name"]).read_bytes()
        assert len(data) == file["size_bytes"]
        assert xxhash.xxh3_128_hexdigest(data) == file["hash"]
    return manifest


def read_tensors(path):
    """docs/formats/safetensors.md: {name: (dtype, shape, bytes)}"""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + size])
    header.pop("__metadata__", None)
    data, tensors, end = content[8 + size:], {}, 0
    for name, tensor in header.items():
        first, last = tensor["data_offsets"]
        assert first == end and \
            last - first == math.prod(tensor["shape"]) * \
            DTYPE_BYTES[tensor["dtype"]]
        tensors[name] = (tensor["dtype"], tensor["shape"], data[first:last])
        end = last
    assert end == len(data)
    return tensors


def documented_fields(page, heading):
    """First column of the table under a heading."""
    text = (ROOT / "docs/formats" / page).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2],
                       flags=re.MULTILINE)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


class ReadARun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.run_folder = pathlib.Path(holder.name) / "run"
        trained = run("train", ROOT / "recipes/debug_vit.toml", "--out",
                      cls.run_folder, *SMALL)
        assert trained.returncode == 0, trained.stderr

    def newest(self, block):
        folders = sorted((self.run_folder / "blocks" / str(block) /
                          "checkpoints").glob("step_*"))
        self.assertEqual([f.name for f in folders],
                         ["step_000000006", "step_000000012"])
        return folders[-1]

    def test_the_folder_holds_what_the_page_lists(self):
        page = (ROOT / "docs/formats/run_folder.md").read_text("utf-8")
        found = {re.sub(r"step_\d+", "step_N", re.sub(
            r"blocks/\d+", "blocks/B", str(p.relative_to(self.run_folder))))
            for p in self.run_folder.rglob("*") if p.is_file()}
        found = {re.sub(r"(tfevents)\.\d+\.dblocks", r"\1.*", name)
                 for name in found}
        for name in found:
            self.assertIn(name.split("/")[-1], page, name)
        resolved = tomllib.loads(
            (self.run_folder / "resolved.toml").read_text("utf-8"))
        self.assertEqual(resolved["format"], 1)
        self.assertEqual(resolved["train"]["steps"], 12)

    def test_manifests_and_hashes(self):
        fields = documented_fields("checkpoint.md", "Fields")
        for block in range(3):
            manifest = read_manifest(self.newest(block))
            self.assertEqual(list(manifest), fields)
            self.assertEqual(manifest["unit"], "block")
            self.assertEqual((manifest["block"], manifest["num_blocks"]),
                             (block, 3))
            self.assertEqual(manifest["first_layer"], 2 * block)
            self.assertEqual(manifest["end_layer"], 2 * block + 2)
            self.assertLess(manifest["sigma_low"], manifest["sigma_high"])
            self.assertEqual(manifest["step"], 12)
        self.assertEqual(read_manifest(self.newest(0))["sigma_high"], 80)

    def test_a_damaged_manifest_is_noticed(self):
        copy = self.run_folder.parent / "copy"
        copy.mkdir()
        for file in self.newest(0).iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        text = (copy / "manifest.json").read_bytes()
        (copy / "manifest.json").write_bytes(
            text.replace(b'"step": 12', b'"step": 13'))
        with self.assertRaises(AssertionError):
            read_manifest(copy)

    def test_tensors_have_the_documented_names(self):
        for block in range(3):
            folder = self.newest(block)
            weights = read_tensors(folder / "weights.safetensors")
            moments = read_tensors(folder / "optimizer.safetensors")
            average = read_tensors(folder / "ema.safetensors")
            frozen = {"target_table"}
            self.assertEqual(set(weights) & frozen, frozen)
            trained = set(weights) - frozen
            self.assertEqual(set(moments),
                             {f"{m}_moment.{n}" for n in trained
                              for m in ("first", "second")})
            self.assertEqual(set(average), trained)
            second = read_tensors(folder / "ema_second.safetensors")
            self.assertEqual(set(second), trained)
            self.assertNotEqual(second, average)
            for name in trained:
                self.assertRegex(
                    name, rf"^(layers\.{2 * block}|layers\.{2 * block + 1}"
                    rf"|blocks\.{block})\.")
                self.assertEqual(weights[name][1],
                                 moments[f"first_moment.{name}"][1])
            head = weights[f"blocks.{block}.head.weight"]
            self.assertEqual(head[:2], ("F32", [10, 64]))
            values = struct.unpack(f"<{10 * 64}f", head[2])
            self.assertTrue(all(map(math.isfinite, values)))
            self.assertTrue(any(values))

    def test_state_and_log(self):
        state_fields = documented_fields("checkpoint.md", "state.json")
        log_fields = documented_fields("log.md", "Fields")
        for block in range(3):
            state = json.loads((self.newest(block) / "state.json").read_text())
            self.assertEqual(list(state), state_fields)
            self.assertEqual(state["step"], 12)
            log = self.run_folder / "blocks" / str(block) / "log.jsonl"
            entries = [json.loads(line) for line in log.read_text(
                "utf-8").splitlines()]
            self.assertEqual([e["step"] for e in entries], [5, 10, 12])
            for entry in entries:
                self.assertEqual(list(entry)[:len(log_fields)], log_fields)
                self.assertEqual(entry["block"], block)
                self.assertTrue(0 <= entry["accuracy"] <= 1)

    def test_an_exported_file_joins_the_blocks(self):
        out = self.run_folder.parent / "out.safetensors"
        done = run("export", self.run_folder, "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        tensors = read_tensors(out)
        for name in ("layers.5.mlp.up.weight", "blocks.1.head.weight",
                     "target_table"):
            self.assertIn(name, tensors)
        model = json.loads(out.with_suffix(".model.json").read_text())
        self.assertEqual(list(model), documented_fields(
            "safetensors.md", "The exported model"))
        self.assertEqual(len(model["blocks"]), 3)
        self.assertEqual(model["average"], "none")

    def test_an_exported_file_may_hold_an_average(self):
        out = self.run_folder.parent / "averaged.safetensors"
        done = run("export", self.run_folder, "--out", out, "--set",
                   "optim.ema_evaluate=second")
        self.assertEqual(done.returncode, 0, done.stderr)
        tensors = read_tensors(out)
        self.assertIn("target_table", tensors)
        for block in range(3):
            second = read_tensors(
                self.newest(block) / "ema_second.safetensors")
            for name, tensor in second.items():
                self.assertEqual(tensors[name], tensor, name)
        model = json.loads(out.with_suffix(".model.json").read_text())
        self.assertEqual(model["average"], "second")

    def test_a_run_of_a_newer_version_is_refused(self):
        resolved = self.run_folder / "resolved.toml"
        text = resolved.read_text("utf-8")
        try:
            resolved.write_text(re.sub(r"^format = 1", "format = 2", text,
                                       flags=re.MULTILINE), "utf-8")
            refused = run("eval", self.run_folder)
        finally:
            resolved.write_text(text, "utf-8")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("found format 2, this program reads format 1",
                      refused.stderr)


if __name__ == "__main__":
    unittest.main()

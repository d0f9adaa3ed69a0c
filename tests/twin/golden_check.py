# SPDX-License-Identifier: Apache-2.0
"""Compares the twin with tensors that the published implementation wrote.

Used by `vit_twin.py --golden FOLDER`. Every size is taken from the folder's
config.json.
"""

import json

import torch
import torch.nn.functional as F

import vit_twin

# Published name -> ours; the first entry that matches applies.
RENAMES = [
    ("vit.embeddings.patch_embeddings.projection.", "patch_embedding."),
    ("vit.embeddings.position_embeddings", "position_embedding"),
    ("vit.embeddings.cls_token", "class_token"),
    ("vit.embeddings.label_embeddings.weight", "target_table"),
    ("vit.time_embedder.mlp.0.", "sigma_embedder.in."),
    ("vit.time_embedder.mlp.2.", "sigma_embedder.out."),
    ("vit.layernorm.", "final_norm."),
    ("adaLN_modulation.linear.", "final_modulation."),
    ("classifier.", "head."),
]
LAYER_RENAMES = [
    ("layernorm_before.", "attention_norm."),
    ("attention.output.dense.", "attention.output."),
    ("layernorm_after.", "mlp_norm."),
    ("intermediate.dense.", "mlp.up."),
    ("output.dense.", "mlp.down."),
    ("adaLN_modulation.linear.", "modulation."),
]
LAYER_PREFIX = "vit.encoder.layer."


def renamed(name, renames):
    for theirs, ours in renames:
        if name.startswith(theirs):
            return ours + name[len(theirs):]
    raise SystemExit(f"[golden_check] unknown published name {name}")


def canonical_tensors(published):
    """Renames published tensors and stacks query, key, value into qkv."""
    tensors = {}
    for name, value in published.items():
        if not name.startswith(LAYER_PREFIX):
            tensors[renamed(name, RENAMES)] = value
            continue
        index, rest = name[len(LAYER_PREFIX):].split(".", 1)
        if rest.startswith("attention.attention.key."):
            parts = [published[name.replace(".key.", f".{part}.")]
                     for part in ("query", "key", "value")]
            leaf = rest.rsplit(".", 1)[1]
            tensors[f"layers.{index}.attention.qkv.{leaf}"] = torch.cat(parts)
        elif not rest.startswith("attention.attention."):
            tensors[f"layers.{index}." + renamed(rest, LAYER_RENAMES)] = value
    return tensors


def network_config(folder, method):
    golden = json.loads((folder / "config.json").read_text())
    return {
        "method": method,
        "num_layers": golden["layers"],
        "width": golden["hidden"],
        "heads": golden["heads"],
        "mlp_width": golden["mlp"],
        "patch": golden["patch"],
        "channels": 3,
        "rows": golden["image"],
        "columns": golden["image"],
        "num_classes": golden["labels"],
        "layer_norm_eps": golden["layer_norm_eps"],
        "label_input": "replace_class_token",
        "modulation": "published",
        "gate_init": 0.0,
        "sigma_embedding_width": golden["hidden"] // 6,
        "sigma_data": 0.5,
        "loss_weight": "published",
        "layers_per_block":
            [golden["layers"] // golden["blocks"]] * golden["blocks"],
        "weight_decay": 0.01,
        "weight_decay_on": "all",
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "clip_norm": 1.0,
    }


class Report:
    """Prints one line per comparison and remembers whether all passed."""

    def __init__(self):
        self.passed = True

    def compare(self, what, ours, theirs, tolerance, relative=True):
        difference = (ours.detach() - theirs).abs().max().item()
        if relative:
            difference /= theirs.abs().max().item() or 1.0
        self.record(what, difference, tolerance)

    def compare_all(self, what, ours, theirs, tolerance, relative=True):
        """The largest error over dictionaries that must have equal keys."""
        if set(ours) != set(theirs):
            print(f"{what}: names differ {sorted(set(ours) ^ set(theirs))}")
            self.passed = False
            return
        worst = 0.0
        for name, value in theirs.items():
            error = (ours[name].detach() - value).abs().max().item()
            scale = value.abs().max().item() if relative else 1.0
            worst = max(worst, error / (scale or 1.0))
        self.record(f"{what} ({len(theirs)} tensors)", worst, tolerance)

    def record(self, what, error, tolerance):
        verdict = "ok" if error <= tolerance else "DIFFERS"
        self.passed = self.passed and error <= tolerance
        print(f"{what:48s} {error:.2e}  (limit {tolerance:.0e}) {verdict}")


def gradients_of(network):
    return {name: parameter.grad
            for name, parameter in network.canonical.items()
            if parameter.grad is not None}


def load(folder, name):
    return vit_twin.read_safetensors(folder / f"{name}.safetensors")


def load_network(folder, name, method):
    weights = canonical_tensors(load(folder, name))
    return vit_twin.Network(network_config(folder, method), weights)


def golden_batch(cases, block):
    return {"images": cases["pixel_values"], "labels": cases["labels"],
            "sigma": cases[f"block{block}.sigma"],
            "noise": cases[f"block{block}.noise"]}


def check_block(report, folder, cases, block):
    network = load_network(folder, "dblock_weights", "diffusion_blocks")
    batch = golden_batch(cases, block)
    logits = network.denoise_logits(
        block, batch["images"], cases[f"block{block}.noisy"], batch["sigma"])
    cross_entropy = F.cross_entropy(logits, batch["labels"], reduction="none")
    loss = vit_twin.step_loss(network, block, batch)
    loss.backward()
    for what, ours in (("logits", logits), ("cross_entropy", cross_entropy),
                       ("loss", loss)):
        name = f"block{block}.{what}"
        report.compare(name, ours, cases[name], 1e-5)
    gradients = canonical_tensors(load(folder, f"dblock_grads_block{block}"))
    report.compare_all(
        f"block{block} gradients", gradients_of(network), gradients, 1e-5)


def check_steps(report, folder, cases):
    network = load_network(folder, "dblock_weights", "diffusion_blocks")
    optimizer = vit_twin.make_optimizer(network)
    for block in (1, 0, 1):
        batch = golden_batch(cases, block)
        vit_twin.train_step(network, optimizer, block, batch, 1e-3)
    expected = canonical_tensors(load(folder, "dblock_after_steps_1_0_1"))
    report.compare_all("weights after steps 1, 0, 1", network.canonical,
                       expected, 1e-6, relative=False)


@torch.no_grad()
def check_inference(report, folder, cases, steps):
    """The published chain: Euler steps on the raw table's soft bridge."""
    network = load_network(folder, "dblock_weights", "diffusion_blocks")
    table = network.canonical["target_table"]
    sigmas = cases[f"inference{steps}.sigmas"]
    blocks = cases[f"inference{steps}.block"].tolist()
    z = cases[f"inference{steps}.noise"] * (1 + sigmas[0]**2).sqrt()
    for step, block in enumerate(blocks):
        sigma = sigmas[step]
        logits = network.denoise_logits(
            block, cases["pixel_values"], z, sigma.expand(len(z)))
        if step + 1 < len(blocks):
            estimate = logits.softmax(dim=-1) @ table
            z = z + (sigmas[step + 1] - sigma) * (z - estimate) / sigma
    name = f"inference{steps}.logits"
    report.compare(name, logits, cases[name], 1e-5)


def check_end_to_end(report, folder, cases):
    network = load_network(folder, "vit_weights", "end_to_end")
    images, labels = cases["pixel_values"], cases["labels"]
    report.compare("vit.logits", network.plain_logits(0, images),
                   cases["vit.logits"], 1e-5)
    loss = vit_twin.step_loss(network, 0, {"images": images, "labels": labels})
    loss.backward()
    report.compare("vit.loss", loss, cases["vit.loss"], 1e-5)
    report.compare_all("vit gradients", gradients_of(network),
                       canonical_tensors(load(folder, "vit_grads")), 1e-5)


def check(folder):
    """Runs every comparison; returns the exit code."""
    report = Report()
    cases = load(folder, "cases")
    blocks = json.loads((folder / "config.json").read_text())["blocks"]
    for block in range(blocks):
        check_block(report, folder, cases, block)
    check_steps(report, folder, cases)
    for steps in (3, 5):
        check_inference(report, folder, cases, steps)
    check_end_to_end(report, folder, cases)
    return 0 if report.passed else 1

# SPDX-License-Identifier: Apache-2.0
"""A plain PyTorch twin of the ViT classifiers and of their training step.

Written from the method's description alone and sharing no code with the
library, so that agreement means something. Slow and readable on purpose.

    vit_twin.py FOLDER...        trains for the steps that FOLDER/config.json
                                 lists, from weights.safetensors, on
                                 batches.safetensors; prints {"losses": [...]},
                                 a line for each folder
    vit_twin.py --golden FOLDER  compares itself with tensors of the published
                                 implementation; exit code 1 if they differ

Needs torch only. Shapes: N batch, T tokens, D width, E sigma embedding,
C channels, K classes.
"""

import argparse
import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

# The outer part that each parameter belongs to; ownership is decided by part.
OUTER_PARTS = {
    "patch_embedding": "stem",
    "class_token": "stem",
    "position_embedding": "positions",
    "target_table": "target_table",
    "sigma_embedder": "sigma_embedder",
    "final_norm": "final_norm",
    "final_modulation": "final_norm",
    "head": "head",
}
NUM_SINUSOIDS = 256
DTYPES = {"U8": torch.uint8, "F32": torch.float32,
          "F64": torch.float64, "I64": torch.int64}


def read_safetensors(path):
    """Returns {name: tensor} of one safetensors file."""
    data = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        content = bytearray(data[start + first:start + last])
        values = torch.frombuffer(content, dtype=DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


# The network ---------------------------------------------------------------


def is_denoiser(config):
    return config["method"] == "diffusion_blocks"


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config["heads"]
        self.qkv = nn.Linear(config["width"], 3 * config["width"])
        self.output = nn.Linear(config["width"], config["width"])

    def forward(self, x):  # [N, T, D]
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for part in self.qkv(x).chunk(3, dim=-1))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        mixed = scores.softmax(dim=-1) @ v
        return self.output(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config["width"], config["mlp_width"])
        self.down = nn.Linear(config["mlp_width"], config["width"])

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class Layer(nn.Module):
    """Pre-norm transformer layer, modulated by the noise if a denoiser's."""

    def __init__(self, config):
        super().__init__()
        width, eps = config["width"], config["layer_norm_eps"]
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.attention = Attention(config)
        self.mlp_norm = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(config)
        if is_denoiser(config):
            self.gate_init = config["gate_init"]
            self.silu_after = config["modulation"] == "published"
            self.modulation = nn.Linear(
                config["sigma_embedding_width"], 6 * width)

    def forward(self, x, condition=None):  # [N, T, D], [N, E]
        if condition is None:
            x = x + self.attention(self.attention_norm(x))
            return x + self.mlp(self.mlp_norm(x))
        m = modulation_of(self.modulation, condition, self.silu_after)
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = (
            m.unsqueeze(1).chunk(6, dim=-1))
        h = self.attention_norm(x) * (1 + scale_1) + shift_1
        x = x + (gate_1 + self.gate_init) * self.attention(h)
        h = self.mlp_norm(x) * (1 + scale_2) + shift_2
        return x + (gate_2 + self.gate_init) * self.mlp(h)


def modulation_of(linear, condition, silu_after):
    return F.silu(linear(condition)) if silu_after else linear(condition)


class SigmaEmbedder(nn.Module):
    """c_noise -> 256 sinusoids -> Linear -> SiLU -> Linear -> SiLU."""

    def __init__(self, config):
        super().__init__()
        width = config["sigma_embedding_width"]
        # Named so that parameters are called sigma_embedder.in.weight, ...
        self.add_module("in", nn.Linear(NUM_SINUSOIDS, width))
        self.add_module("out", nn.Linear(width, width))

    def forward(self, c_noise):  # [N]
        half = NUM_SINUSOIDS // 2
        frequencies = torch.exp(
            -math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
        angles = c_noise.unsqueeze(1) * frequencies
        sinusoids = torch.cat([angles.cos(), angles.sin()], dim=1)
        hidden = F.silu(self.get_submodule("in")(sinusoids))
        return F.silu(self.get_submodule("out")(hidden))


class Outer(nn.Module):
    """What surrounds the layers of one unit: stem, embedders, norm, head."""

    def __init__(self, config, has_stem):
        super().__init__()
        width, patch = config["width"], config["patch"]
        classes = config["num_classes"]
        denoiser = is_denoiser(config)
        replaces = denoiser and config["label_input"] == "replace_class_token"
        if has_stem:
            self.patch_embedding = nn.Conv2d(
                config["channels"], width, patch, stride=patch)
            tokens = (config["rows"] // patch) * (config["columns"] // patch)
            tokens += 2 if denoiser and not replaces else 1
            self.position_embedding = nn.Parameter(
                torch.zeros(1, tokens, width))
            if not replaces:
                self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        if denoiser:
            self.target_table = nn.Parameter(torch.zeros(classes, width))
            self.sigma_embedder = SigmaEmbedder(config)
            self.final_modulation = nn.Linear(
                config["sigma_embedding_width"], 2 * width)
        self.final_norm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self.head = nn.Linear(width, classes)

    def tokens(self, images, z=None):
        """[z, patches], [class, patches, z] or [class, patches]: [N, T, D]."""
        patches = self.patch_embedding(images).flatten(2).transpose(1, 2)
        noisy = [] if z is None else [z.unsqueeze(1)]
        if hasattr(self, "class_token"):
            first = self.class_token.expand(len(images), -1, -1)
            sequence = [first, patches] + noisy
        else:
            sequence = noisy + [patches]
        return torch.cat(sequence, dim=1) + self.position_embedding


class Network(nn.Module):
    """All units of one method. A unit is what one optimiser step trains."""

    def __init__(self, config, weights):
        super().__init__()
        self.config = config
        self.cuts = unit_cuts(config)
        self.layers = nn.ModuleList(
            Layer(config) for _ in range(config["num_layers"]))
        greedy = config["method"] == "greedy"
        self.blocks = nn.ModuleList(
            Outer(config, has_stem=unit == 0 or not greedy)
            for unit in range(len(self.cuts)))
        self.canonical = take_weights(self, weights)

    def run_layers(self, unit, x, condition=None):
        first, last = self.cuts[unit]
        for layer in self.layers[first:last]:
            x = layer(x, condition)
        return x

    def denoise_logits(self, unit, images, z, sigma):
        """Logits [N, K] of block `unit` for noisy labels z [N, D]."""
        outer, config = self.blocks[unit], self.config
        sigma = sigma.double().unsqueeze(1)  # [N, 1]
        total = (sigma**2 + config["sigma_data"]**2).sqrt()
        c_in = (1 / total).float()
        c_skip = (config["sigma_data"]**2 / total**2).float()
        c_out = (sigma * config["sigma_data"] / total).float()
        c_noise = (sigma.log() / 4).float().squeeze(1)

        condition = outer.sigma_embedder(c_noise)
        x = outer.tokens(images, c_in * z)
        x = self.run_layers(unit, x, condition)
        estimate = outer.final_norm(x)[:, 0]
        if config["label_input"] == "replace_class_token":
            estimate = c_out * estimate + c_skip * z
        shift, scale = modulation_of(
            outer.final_modulation, condition,
            config["modulation"] == "published").chunk(2, dim=-1)
        return outer.head(estimate * (1 + scale) + shift)

    def plain_logits(self, unit, images):
        """Logits [N, K] of a unit without noise, trained by plain CE."""
        outer = self.blocks[unit]
        if self.config["method"] == "greedy":
            x = self.features_before(unit, images)
        else:
            x = outer.tokens(images)
        x = self.run_layers(unit, x)
        return outer.head(outer.final_norm(x)[:, 0])

    def features_before(self, unit, images):
        """What greedy unit `unit` reads; no gradient reaches earlier units."""
        if unit == 0:
            return self.blocks[0].tokens(images)
        with torch.no_grad():
            x = self.blocks[0].tokens(images)
            for before in range(unit):
                x = self.run_layers(before, x)
        return x


def unit_cuts(config):
    """[(first layer, end layer)] of every unit."""
    if config["method"].startswith("end_to_end"):
        return [(0, config["num_layers"])]
    cuts, first = [], 0
    for count in config["layers_per_block"]:
        cuts.append((first, first + count))
        first += count
    if first != config["num_layers"]:
        raise SystemExit("[vit_twin] layers_per_block does not sum to "
                         f"num_layers: {config['layers_per_block']}")
    return cuts


def outer_name_of(name):
    """head.weight for blocks.1.head.weight; layers keep their names."""
    if name.startswith("blocks."):
        return name.split(".", 2)[2]
    return name


def take_weights(network, weights):
    """Puts `weights` into the network; returns {name in files: parameter}.

    "blocks.B.x" is block B's own; a plain "x" is one parameter of all blocks.
    Every name must be wanted, and every wanted name must be there.
    """
    parameters = {name: nn.Parameter(value) for name, value in weights.items()}
    taken = {}
    for name, placeholder in list(network.named_parameters()):
        canonical = name if name in parameters else outer_name_of(name)
        if canonical not in parameters:
            raise SystemExit(f"[vit_twin] expected a weight named {canonical}")
        parameter = parameters[canonical]
        if parameter.shape != placeholder.shape:
            raise SystemExit(
                f"[vit_twin] {canonical}: expected {list(placeholder.shape)}, "
                f"found {list(parameter.shape)}")
        path, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(path), leaf, parameter)
        taken[canonical] = parameter
    if set(taken) != set(weights):
        raise SystemExit("[vit_twin] weights that no part wants: "
                         f"{sorted(set(weights) - set(taken))}")
    return taken


# The training step -----------------------------------------------------------


def weighted_loss(cross_entropy, sigma, config):
    """One number from per-sample cross-entropies [N] and sigmas [N]."""
    sigma, sigma_data = sigma.double(), config["sigma_data"]
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data)**2
    weight = weight.float()
    if config["loss_weight"] == "published":
        return cross_entropy.mean() * weight.mean()
    if config["loss_weight"] == "literal":
        return (cross_entropy * weight).mean()
    if config["loss_weight"] == "normalised":
        return (cross_entropy * weight / weight.mean()).mean()
    if config["loss_weight"] == "none":
        return cross_entropy.mean()
    raise SystemExit(f"[vit_twin] unknown loss_weight {config['loss_weight']}")


def step_loss(network, unit, batch):
    """The loss that one step of `unit` minimises on a batch."""
    images, labels = batch["images"], batch["labels"]
    smoothing = network.config.get("label_smoothing", 0.0)
    if not is_denoiser(network.config):
        logits = network.plain_logits(unit, images)
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    sigma = batch["sigma"]
    clean = F.normalize(network.blocks[unit].target_table[labels], dim=-1)
    z = clean + sigma.float().unsqueeze(1) * batch["noise"]
    logits = network.denoise_logits(unit, images, z, sigma)
    cross_entropy = F.cross_entropy(
        logits, labels, reduction="none", label_smoothing=smoothing)
    return weighted_loss(cross_entropy, sigma, network.config)


def is_frozen(canonical, config):
    part = OUTER_PARTS.get(outer_name_of(canonical).split(".")[0])
    if not is_denoiser(config):
        return False  # ownership is an option of block-wise training
    return config.get("ownership", {}).get(part) == "frozen"


def is_decayed(canonical, parameter, config):
    if config["weight_decay_on"] == "all":
        return True
    top = outer_name_of(canonical).split(".")[0]
    undecayed = ("position_embedding", "class_token", "target_table")
    return parameter.ndim >= 2 and top not in undecayed


def make_optimizer(network):
    """AdamW over what is trained; a step skips parameters without gradient."""
    config = network.config
    decayed, undecayed = [], []
    for name, parameter in network.canonical.items():
        if is_frozen(name, config):
            parameter.requires_grad_(False)
        elif is_decayed(name, parameter, config):
            decayed.append(parameter)
        else:
            undecayed.append(parameter)
    groups = [{"params": decayed, "weight_decay": config["weight_decay"]},
              {"params": undecayed, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        betas=(config["beta1"], config["beta2"]), eps=config["eps"],
        foreach=False)


def train_step(network, optimizer, unit, batch, learning_rate):
    optimizer.zero_grad(set_to_none=True)
    loss = step_loss(network, unit, batch)
    loss.backward()
    if network.config["clip_norm"] > 0:
        nn.utils.clip_grad_norm_(
            network.canonical.values(), network.config["clip_norm"])
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    return loss.item()


def run_folder(folder):
    config = json.loads((folder / "config.json").read_text())
    network = Network(config, read_safetensors(folder / "weights.safetensors"))
    optimizer = make_optimizer(network)
    tensors = read_safetensors(folder / "batches.safetensors")
    losses = []
    for step, unit in enumerate(config["steps"]):
        batch = batch_of(tensors, str(step))
        learning_rate = config["learning_rate"][step]
        losses.append(
            train_step(network, optimizer, unit, batch, learning_rate))
    return losses


def batch_of(tensors, prefix):
    """{"images": ...} from {"7.images": ...} for prefix "7"."""
    return {name[len(prefix) + 1:]: value for name, value in tensors.items()
            if name.startswith(prefix + ".")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, nargs="+")
    parser.add_argument("--golden", action="store_true",
                        help="the folder holds golden tensors")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.golden:
        import golden_check
        return golden_check.check(arguments.folder[0])
    for folder in arguments.folder:
        print(json.dumps({"losses": run_folder(folder)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

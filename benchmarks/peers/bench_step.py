# SPDX-License-Identifier: Apache-2.0
"""One step of `dblocks bench` in plain eager PyTorch, for a shape given by flags.

`dblocks bench --peers PYTHON` runs this for each of its shapes. Network, step
and measurement are those of vit_step.py, which see. Prints one JSON object.
"""

import argparse
import json
import sys

import torch

import vit_step


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("width", 128), ("layers", 12), ("blocks", 3),
                          ("heads", 4), ("mlp-width", 3072), ("image", 32),
                          ("classes", 100), ("batch", 128), ("threads", 0),
                          ("warmup", 1), ("steps", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--precision", choices=["fp32", "bf16"],
                        default="fp32")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main():
    own = parse_arguments()
    if own.threads:
        torch.set_num_threads(own.threads)
    torch.manual_seed(0)
    shape = vit_step.Shape(
        width=own.width, layers=own.layers, blocks=own.blocks,
        heads=own.heads, mlp_width=own.mlp_width, image=own.image,
        classes=own.classes, batch=own.batch, dropout=own.dropout)
    # Flags of vit_step.py that are not given here keep their defaults there.
    sys.argv = [sys.argv[0], "--block", "0", "--precision", own.precision,
                "--device", own.device, "--steps", str(own.steps),
                "--warmup", str(own.warmup), "--batch", str(own.batch)]
    trainer = vit_step.Trainer(vit_step.parse_arguments(), shape)
    for _ in range(own.warmup):
        trainer.step()
    vit_step.synchronise(own.device)
    seconds, _ = vit_step.time_steps(trainer, own.steps, own.device)
    seconds.sort()
    print(json.dumps({
        "implementation": "PyTorch, eager",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds_median": seconds[len(seconds) // 2],
        "seconds_min": seconds[0],
        "seconds_max": seconds[-1],
        "runs": len(seconds),
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())

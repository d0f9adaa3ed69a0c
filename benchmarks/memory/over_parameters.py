#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peak memory of training against the number of parameters, in four ways.

    over_parameters.py measure --program build/bin/dblocks --out POINTS.json
    over_parameters.py draw POINTS.json FIGURE.svg

A plain stack of layers of width 1024 that grows deeper, trained for two steps
of every unit by `dblocks train`, which says itself how many bytes its tensors
took at most:

    end to end             whole network, gradient and moments
    recomputed             the same with every layer run again
    every state in memory  block by block, as other block-wise trainers do it:
                           no state ever leaves
    dblocks                block by block, two states in memory, the others in
                           page files

The lines are what `dblocks plan` predicts for more depths than are measured.
`draw` needs matplotlib.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
RECIPE = REPOSITORY / "recipes" / "big_stack_1b.toml"
LAYERS_PER_BLOCK = 2
SHAPE = {
    "model.width": 1024, "model.heads": 16, "model.mlp_width": 4096,
    "model.patch": 4, "data.batch_size": 32, "train.steps": 2,
    "train.steps_per_visit": 1, "train.log_every_steps": 1,
    "optim.warmup_steps": 0, "checkpoint.every_steps": 2}
WAYS = {
    "end to end": {"method": "end_to_end"},
    "recomputed": {"method": "end_to_end", "train.recompute": "layer"},
    "every state in memory": {},
    "dblocks": {}}
GIB = 2**30


def settings(layers, way):
    values = SHAPE | {"model.num_layers": layers,
                      "blocks.num_blocks": layers // LAYERS_PER_BLOCK}
    flags = []
    for key, value in (values | WAYS[way]).items():
        flags += ["--set", f"{key}={value}"]
    return flags


def run(command):
    result = subprocess.run([str(part) for part in command], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode:
        sys.exit(f"over_parameters: {' '.join(map(str, command))} ended with "
                 f"{result.returncode}:\n{result.stderr or result.stdout}")
    return result.stdout


def plan(program, layers, way, *flags):
    """What plan says; it says so too where the memory does not suffice."""
    command = [str(program), "plan", str(RECIPE), "--json",
               *settings(layers, way), *flags]
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    if not result.stdout:
        sys.exit(f"over_parameters: {' '.join(command)}:\n{result.stderr}")
    return json.loads(result.stdout)


def memory_flags(program, layers, way):
    """The flags of a way whose states lie in memory and on disk."""
    if way == "every state in memory":
        return ["--memory", "1000GiB"]
    if way != "dblocks":
        return []
    low, high = 1, 1024  # of 32 MiB; `high` keeps two states
    while high - low > 1:
        middle = (low + high) // 2
        paging = plan(program, layers, way, "--memory",
                      f"{middle * 32}MiB")["paging"]
        if paging["blocks_in_memory"] >= 2:
            high = middle
        else:
            low = middle
    return ["--memory", f"{high * 32}MiB"]


def planned(program, layers, way, flags):
    result = plan(program, layers, way, *flags)
    peak = result["peak_bytes"]
    if "paging" in result:
        peak = result["paging"]["peak_bytes"] - result["paging"]["program_bytes"]
    return {"layers": layers, "bytes": peak,
            "parameters": sum(block["num_parameters"]
                              for block in result["blocks"])}


def measured(program, layers, way, folder):
    out = folder / "run"
    flags = memory_flags(program, layers, way)
    prediction = planned(program, layers, way, flags)
    command = [str(program), "train", str(RECIPE), "--out", str(out),
               *settings(layers, way), *flags]
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    if result.returncode:
        sys.exit(f"over_parameters: {' '.join(command)} ended with "
                 f"{result.returncode}:\n{result.stderr}")
    peak = 0
    for log in out.rglob("log.jsonl"):
        for line in log.read_text().splitlines():
            peak = max(peak, json.loads(line).get("peak_tensor_bytes", 0))
    shutil.rmtree(out)
    return {"layers": layers, "parameters": prediction["parameters"],
            "bytes": peak, "predicted_bytes": prediction["bytes"]}


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def measure(arguments):
    result = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(),
              "threads": os.environ.get("OMP_NUM_THREADS", ""),
              "shape": SHAPE, "layers_per_block": LAYERS_PER_BLOCK,
              "measured": {}, "predicted": {}}
    for way in WAYS:
        result["predicted"][way] = [
            planned(arguments.program, layers, way,
                    memory_flags(arguments.program, layers, way))
            for layers in arguments.predict]
        points = []
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            for layers in arguments.layers:
                points.append(measured(arguments.program, layers, way,
                                       pathlib.Path(folder)))
                print(f"{way}: {layers} layers, "
                      f"{points[-1]['parameters'] / 1e6:.0f} M parameters, "
                      f"{points[-1]['bytes'] / GIB:.2f} GiB, predicted "
                      f"{points[-1]['predicted_bytes'] / GIB:.2f}", flush=True)
        result["measured"][way] = points
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def draw(arguments):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "dblocks",
                            "font.family": "sans-serif", "font.size": 11})
    points = json.loads(arguments.points.read_text())
    figure, axes = pyplot.subplots(figsize=(7.2, 4.4))
    names = {"end to end": "end to end",
             "recomputed": "end to end, recomputed",
             "every state in memory": "block-wise, every state in memory",
             "dblocks": "dblocks"}
    for (way, name), colour in zip(
            names.items(), ("#9a3324", "#d18b1f", "#5b7fa6", "#1b7f5c")):
        line, marks = points["predicted"][way], points["measured"][way]
        axes.plot([p["parameters"] / 1e6 for p in line],
                  [p["bytes"] / GIB for p in line], color=colour,
                  linewidth=1.5)
        axes.plot([p["parameters"] / 1e6 for p in marks],
                  [p["bytes"] / GIB for p in marks], "o", color=colour,
                  markersize=6)
        axes.annotate(name, (line[-1]["parameters"] / 1e6,
                             line[-1]["bytes"] / GIB),
                      textcoords="offset points", xytext=(6, -3),
                      color=colour, annotation_clip=False)
    axes.set_xlabel("parameters, millions")
    axes.set_ylabel("peak of tensors, GiB")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color="#cccccc", linewidth=0.5)
    figure.savefig(arguments.figure, bbox_inches="tight", facecolor="white",
                   metadata={"Date": None})


def numbers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("measure")
    verb.add_argument("--program", type=pathlib.Path, required=True)
    verb.add_argument("--out", type=pathlib.Path, required=True)
    verb.add_argument("--folder", default=".", help="for runs and page files")
    verb.add_argument("--layers", type=numbers, default=[4, 8, 16, 32, 40],
                      help="depths to train")
    verb.add_argument("--predict", type=numbers,
                      default=[4, 8, 16, 32, 48, 64, 80])
    verb = verbs.add_parser("draw")
    verb.add_argument("points", type=pathlib.Path)
    verb.add_argument("figure", type=pathlib.Path)
    arguments = parser.parse_args()
    (measure if arguments.verb == "measure" else draw)(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())

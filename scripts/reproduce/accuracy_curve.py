#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SQNR of a GEMM's output against the density and the magnitude of the outliers in its activation: W8A8, W4A4, OSC, and
an oracle that protects every token's own maximum in each group of 32 channels, which no fixed table can. Writes a figure
as PDF and PNG and prints its numbers (Markdown).

    scripts/reproduce/accuracy_curve.sh [-o FOLDER] [--tokens 256] [--seed 0]

Activations: normal with standard deviation 1; in each group one outlier for each token, in the group's channel with
probability `density`, else in another one of the group; its magnitude is the given one +- 10 %. Weights: normal. W8A8,
W4A4 and OSC are the schemes w8a8 (FP8), w4a4 and osc (MXFP4, table by the paper's rule from the same tokens) of
`oscsim run`; the oracle is the MXFP4 product of `oscsim run` without the protected values, and theirs in FP32 from BF16.
OSCSIM names another program than build/oscsim.
"""
import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import support  # noqa: E402

OSCSIM = os.environ.get("OSCSIM", str(ROOT / "build/oscsim"))

CHANNELS, OUTPUTS, GROUP = 1024, 512, 32
DENSITY, MAGNITUDE = 0.65, 20.0  # of the other sweep: middle of FFN inputs in arXiv 2604.12782; assumed, as by default
DENSITIES = [1 / GROUP, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0]
MAGNITUDES = [8 * 2 ** (step / 4) for step in range(17)]  # four in an octave: the scale is a power of two
# Okabe and Ito's colours, which colour-blind readers tell apart.
LINES = {
    "W8A8": ("#0072B2", "s", "W8A8 (FP8)"),
    "oracle": ("#009E73", "^", "oracle (MXFP4, each token's maximum protected)"),
    "OSC": ("#D55E00", "o", "OSC (MXFP4, one channel of 32 protected)"),
    "W4A4": ("#555555", "v", "W4A4 direct (MXFP4)"),
}


def bf16(x):
    bits = x.astype("<f4").view("<u4").astype(np.uint64)
    return (((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) << 16).astype("<u4").view("<f4")


def activation(rng, tokens, density, magnitude):
    x = rng.normal(size=(tokens, CHANNELS // GROUP, GROUP))
    home = rng.integers(0, GROUP, CHANNELS // GROUP)
    shift = np.where(rng.random(x.shape[:2]) < density, 0, rng.integers(1, GROUP, x.shape[:2]))
    outliers = magnitude * rng.uniform(0.9, 1.1, x.shape[:2]) * rng.choice([-1, 1], x.shape[:2])
    np.put_along_axis(x, ((home + shift) % GROUP)[..., None], outliers[..., None], axis=2)
    return bf16(x.reshape(tokens, CHANNELS))


def protected(x):
    """The largest magnitude of each token in each group; zero elsewhere."""
    groups = x.reshape(len(x), -1, GROUP)
    place = np.abs(groups).argmax(axis=2)[..., None]
    values = np.zeros_like(groups)
    np.put_along_axis(values, place, np.take_along_axis(groups, place, axis=2), axis=2)
    return values.reshape(x.shape)


def write(path, tensors):
    header, data = {}, b""
    for name, x in tensors.items():
        body = x.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(content[begin:end], "<f4").reshape(entry["shape"])
    return tensors


def trace(names, tokens):
    lines = ["schema: 1", "gemms:"]
    for name in names:
        lines += [f"  - name: {name}", "    position: attn_in", f"    m: {tokens}", f"    n: {OUTPUTS}"]
        lines += [f"    k: {CHANNELS}", "    weight: weight", f"    input: {name}"]
    return "\n".join(lines) + "\n"


def sqnr_db(y, exact):
    return 10 * np.log10((exact**2).sum() / ((y - exact) ** 2).sum())


def measured(points, tokens, seed):
    """SQNR in dB of each line at each (density, magnitude)."""
    rng = np.random.default_rng(seed)
    weight = bf16(rng.normal(0, CHANNELS**-0.5, (OUTPUTS, CHANNELS)))
    inputs = {f"point{index}": activation(rng, tokens, *point) for index, point in enumerate(points)}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write(folder / "x.safetensors", {"weight": weight} | inputs)
        write(folder / "rest.safetensors", {"weight": weight} | {n: x - protected(x) for n, x in inputs.items()})
        (folder / "trace.yaml").write_text(trace(inputs, tokens))

        def run(tensors, scheme, baseline, *options):
            command = [OSCSIM, "run", "--trace", "trace.yaml", "--tensors", tensors, "--scheme", scheme]
            command += ["--baseline", baseline, "--outputs", "y.safetensors", "--json", "result.json", *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
            gemms = json.loads((folder / "result.json").read_text())["gemms"]
            found = ({gemm["name"]: gemm[side]["sqnr_db"] for gemm in gemms} for side in ("scheme", "baseline"))
            return *found, read(folder / "y.safetensors")

        osc, w4a4, _ = run("x.safetensors", "osc", "w4a4")
        w8a8, _, _ = run("x.safetensors", "w8a8", "bf16")
        _, _, rest = run("rest.safetensors", "w4a4", "bf16")
    results = []
    for name, x in inputs.items():
        exact = x.astype(float) @ weight.T.astype(float)
        oracle = rest[f"{name}.output"] + protected(x) @ weight.T
        results.append({"W8A8": w8a8[name], "oracle": sqnr_db(oracle, exact), "OSC": osc[name], "W4A4": w4a4[name]})
    return results


def print_table(what, values, results):
    print(f"\n| {what} | " + " | ".join(LINES) + " |\n|" + " ---: |" * (len(LINES) + 1))
    for value, result in zip(values, results):
        print(f"| {value:.4g} | " + " | ".join(f"{result[name]:.2f}" for name in LINES) + " |")


def draw(path, by_density, by_magnitude, arguments):
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), sharey=True, layout="constrained")
    for axis, values, results in ((axes[0], [100 * each for each in DENSITIES], by_density),
                                  (axes[1], MAGNITUDES, by_magnitude)):  # fmt: skip
        for name, (colour, marker, label) in LINES.items():
            axis.plot(values, [result[name] for result in results], color=colour, marker=marker, label=label, ms=5)
        axis.grid(color="#dddddd", lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_xlabel("density: outliers in the table's channel, %")
    axes[0].set_ylabel("SQNR of the output, dB")
    axes[0].set_title(f"outliers of magnitude {MAGNITUDE:g} standard deviations", fontsize=10)
    axes[0].set_xlim(0, 102)
    axes[1].set_xscale("log")
    axes[1].set_xticks(MAGNITUDES[::4], [f"{each:g}" for each in MAGNITUDES[::4]])
    axes[1].minorticks_off()
    axes[1].set_xlabel("magnitude of the outliers, standard deviations of the rest")
    axes[1].set_title(f"density {100 * DENSITY:g} %", fontsize=10)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    figure.supxlabel(
        f"synthetic activations, {arguments.tokens} tokens x {CHANNELS} channels, {OUTPUTS} outputs, "
        "an outlier in every group of 32 for each token;\n"
        "outliers are part of the output: kept in BF16 they raise its SQNR (oracle); MXFP4's power-of-two scale "
        "makes the ripple",
        fontsize=8, color="#555555",
    )  # fmt: skip
    for suffix, options in (("pdf", {"metadata": {"CreationDate": None}}), ("png", {"dpi": 150})):
        with support.whole_file(f"{path}.{suffix}") as file:
            figure.savefig(file, format=suffix, **options)
        print(f"{path}.{suffix}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", default=".", help="folder for accuracy_curve.pdf and .png (default: here)")
    parser.add_argument("--tokens", type=int, default=256, help="rows of the activations (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="of the tensors (default 0)")
    arguments = parser.parse_args()
    path = str(pathlib.Path(arguments.output) / "accuracy_curve")
    support.check_outputs([f"{path}.pdf", f"{path}.png"])
    pathlib.Path(arguments.output).mkdir(parents=True, exist_ok=True)

    points = [(density, MAGNITUDE) for density in DENSITIES] + [(DENSITY, magnitude) for magnitude in MAGNITUDES]
    results = measured(points, arguments.tokens, arguments.seed)
    by_density, by_magnitude = results[: len(DENSITIES)], results[len(DENSITIES) :]
    draw(path, by_density, by_magnitude, arguments)
    print(f"\nSQNR in dB, magnitude {MAGNITUDE:g}")
    print_table("density", DENSITIES, by_density)
    print(f"\nSQNR in dB, density {DENSITY:g}")
    print_table("magnitude", MAGNITUDES, by_magnitude)


if __name__ == "__main__":
    support.run(lambda: support.status_of(main, "accuracy_curve.py"))

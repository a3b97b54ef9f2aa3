#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Channel tables computed a second time, with numpy, and compared number for number with `oscsim calibrate`: random
activations with ties in the maximum and in the mode, empty groups, tails, every type and held-out tokens.

    calibrate_numpy.py OSCSIM [CASES]
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

# Magnitudes are small multiples of 1/8: the same in every type, and every sum is exact in any order.
STEP = 1 / 8
TYPES = {"F32": lambda x: x.astype("<f4").tobytes(), "F16": lambda x: x.astype("<f2").tobytes(),
         "BF16": lambda x: (x.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()}
POSITIONS = ["attn_in", "o_in", "ffn_in", "down_in"]


def rule(x, group, threshold, table=None):
    """(table, tokens above, hits) of each group; with a table, its hits."""
    channels, above, hits = [], [], []
    for g, first in enumerate(range(0, x.shape[1], group)):
        part = np.abs(x[:, first:first + group])
        tokens = part[part.max(axis=1) > threshold]
        counts = np.bincount(tokens.argmax(axis=1), minlength=part.shape[1])  # argmax takes the first of several
        channel = int(counts.argmax()) if len(tokens) else -1
        channels.append(channel if table is None else table[g])
        above.append(len(tokens))
        hits.append(int(counts[channels[-1]]) if channels[-1] >= 0 else 0)
    return channels, above, hits


def mean_share(above, hits):
    shares = [h / a for a, h in zip(above, hits) if a]
    return sum(shares) / len(shares) if shares else None


def random_activation(rng, tokens, k):
    x = rng.integers(-4, 5, (tokens, k)) * STEP  # ties everywhere
    for channel in rng.integers(0, k, rng.integers(0, k // 4 + 2)):  # outliers, some in one group, some equal
        rows = rng.random(tokens) < rng.random()
        x[rows, channel] = rng.choice([-8, 8, 12, -16], rows.sum())
    first = int(rng.integers(0, k))
    x[:, first:first + int(rng.integers(0, 40))] = 0  # groups without an outlier
    return x


def write(path, tensors, dtype):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, x in tensors.items():
        body = TYPES[dtype](x)
        header[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_tables(path):
    """Enough of YAML for what the program writes: scalars and [lists] below `tables`."""
    tables, current = {}, None
    for line in path.read_text().split("tables:\n")[1].splitlines():
        key, value = line.replace("- ", "  ", 1).split(":", 1)
        key, value = key.strip(), value.strip()
        if key == "input":
            current = tables.setdefault(value, {})
        current[key] = json.loads(value) if value[0] in "[-0123456789" else value
    return tables


def check(name, found, x, held_out, group, alpha):
    threshold = alpha * (np.abs(x).sum() / x.size)
    channels, above, hits = rule(x, group, threshold)
    expected = {"tokens": x.shape[0], "threshold": threshold, "channels": channels, "above": above, "hits": hits,
                "density": mean_share(above, hits),
                "held_out_hit_rate": mean_share(*rule(held_out, group, threshold, channels)[1:])}
    for key, value in expected.items():
        if found.get(key) != value:
            sys.exit(f"{name}: {key} is {found.get(key)}, expected {value}")
    return channels


def main():
    oscsim, cases = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    rng = np.random.default_rng(5)
    seen = {"empty": 0, "outlier": 0, "tail": 0, "tied mode": 0}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        done = 0
        while done < cases:  # some activations in each file
            count = min(10, cases - done)
            dtype = list(TYPES)[done // 10 % len(TYPES)]
            group, alpha = [16, 32, 64][done // 10 % 3], float(rng.choice([1, 3.5, 5, 7]))
            tensors, held_out = {}, {}
            for i in range(count):
                name = f"model.layers.{i}.{POSITIONS[i % 4]}"
                k = int(rng.integers(1, 300))
                tensors[name] = random_activation(rng, int(rng.integers(1, 60)), k)
                held_out[name] = random_activation(rng, int(rng.integers(1, 40)), k)
            write(folder / "x.safetensors", tensors, dtype)
            write(folder / "y.safetensors", held_out, dtype)
            subprocess.run([oscsim, "calibrate", "x.safetensors", "--holdout", "y.safetensors", "--group", str(group),
                            "--alpha", str(alpha), "-o", "t.yaml"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
            tables = read_tables(folder / "t.yaml")
            assert sorted(tables) == sorted(tensors), sorted(tables)
            for name, x in tensors.items():
                channels = check(f"{name} of {dtype}, groups of {group}, alpha {alpha}", tables[name], x,
                                 held_out[name], group, alpha)
                seen["empty"] += channels.count(-1)
                seen["outlier"] += len(channels) - channels.count(-1)
                seen["tail"] += x.shape[1] % group != 0
                for g, first in enumerate(range(0, x.shape[1], group)):
                    part = np.abs(x[:, first:first + group])
                    tokens = part[part.max(axis=1) > alpha * (np.abs(x).sum() / x.size)]
                    counts = np.bincount(tokens.argmax(axis=1), minlength=1)
                    seen["tied mode"] += int(len(tokens) > 0 and (counts == counts.max()).sum() > 1)
            done += count
    assert min(seen.values()) > 20, seen
    print(f"{done} activations agree: {seen}")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OSC, MXFP4, MXFP8, FP8, INT8 and BF16 GEMMs computed a second time, from the definitions and in exact rationals, and
compared bit for bit with `oscsim run --outputs`. Shares no code with the simulator.

    independent_osc.py OSCSIM
"""
import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction as F

ROOT = pathlib.Path(__file__).parent.parent.parent
E2M1 = [F(v) for v in (0, "0.5", 1, "1.5", 2, 3, 4, 6)]
E4M3 = sorted({F(m, 512) for m in range(8)} | {F(8 + m, 8) * F(2) ** (e - 7) for e in range(1, 16) for m in range(8)
                                               if (e, m) != (15, 7)})


def f32(value):
    """The nearest FP32 to a rational, ties to even; overflow to infinity is not needed here."""
    if value == 0:
        return F(0)
    magnitude = abs(value)
    exponent = max(math.floor(math.log2(magnitude)), -126)
    while magnitude >= F(2) ** (exponent + 1):
        exponent += 1
    while exponent > -126 and magnitude < F(2) ** exponent:
        exponent -= 1
    ulp = F(2) ** (exponent - 23)
    rounded = round(magnitude / ulp) * ulp  # Python's round on a Fraction is half to even
    return rounded if value > 0 else -rounded


def nearest(grid, value):
    """Round to the grid, ties to the even code, saturating."""
    magnitude = abs(value)
    best = min(range(len(grid)), key=lambda i: (abs(grid[i] - magnitude), i % 2))
    return grid[best] if value >= 0 else -grid[best]


def floor_log2(value):
    exponent = math.floor(math.log2(value))
    while F(2) ** exponent > value:
        exponent -= 1
    while F(2) ** (exponent + 1) <= value:
        exponent += 1
    return exponent


def mx_row(row, grid, emax):
    """[(scale, elements)] for blocks of 32, OCP MX v1.0 with the floor rule."""
    blocks = []
    for first in range(0, len(row), 32):
        block = row[first:first + 32]
        amax = max(abs(v) for v in block)
        scale = F(2) ** max(-127, floor_log2(amax) - emax) if amax else F(1)
        blocks.append((scale, [nearest(grid, v / scale) for v in block]))
    return blocks


def blocks_product(a, b):
    acc = F(0)
    for (scale_a, xs), (scale_b, ys) in zip(a, b):
        acc = f32(acc + sum(x * y for x, y in zip(xs, ys)) * scale_a * scale_b)
    return acc


def mx_gemm(x, w, grid, emax):
    qx = [mx_row(row, grid, emax) for row in x]
    qw = [mx_row(row, grid, emax) for row in w]
    return [[blocks_product(a, b) for b in qw] for a in qx]


def row_scaled(row, largest, cast):
    amax = max(abs(v) for v in row)
    scale = f32(amax / largest)
    return scale, [cast(f32(v / scale)) for v in row]


def row_gemm(x, w, largest, cast, block):
    qx = [row_scaled(row, largest, cast) for row in x]
    qw = [row_scaled(row, largest, cast) for row in w]
    out = []
    for scale_a, xs in qx:
        out.append([])
        for scale_b, ys in qw:
            acc = F(0)
            step = block or len(xs)
            for first in range(0, len(xs), step):
                acc = f32(acc + sum(p * q for p, q in zip(xs[first:first + step], ys[first:first + step])))
            out[-1].append(f32(f32(acc * scale_a) * scale_b))
    return out


def chain_gemm(x, w):
    out = []
    for xs in x:
        out.append([])
        for ys in w:
            acc = F(0)
            for p, q in zip(xs, ys):
                acc = f32(acc + p * q)
            out[-1].append(acc)
    return out


def channel_table(x, group, alpha=5):
    """The paper's rule: mode of the argmax over the tokens above alpha * mean(abs(X)); ties take the lowest index."""
    threshold = alpha * sum(abs(v) for row in x for v in row) / (len(x) * len(x[0]))
    table = []
    for first in range(0, len(x[0]), group):
        hits = {}
        for row in x:
            part = [abs(v) for v in row[first:first + group]]
            if max(part) > threshold:
                channel = part.index(max(part))
                hits[channel] = hits.get(channel, 0) + 1
        table.append(min(hits, key=lambda c: (-hits[c], c)) if hits else -1)
    return table


def osc_gemm(x, w, group):
    table = channel_table(x, group)
    columns = [(i, i * group + c) for i, c in enumerate(table) if c >= 0]
    rest = [list(row) for row in x]
    for row in rest:
        for _, column in columns:
            row[column] = F(0)
    def pick(matrix):
        return [[row[i * group + c] if c >= 0 else F(0) for i, c in enumerate(table)] for row in matrix]
    main = mx_gemm(rest, w, E2M1, 2)
    branch = chain_gemm(pick(x), pick(w))
    assert columns and len(columns) < len(table), "the case should have groups with and without an outlier"
    return [[f32(p + q) for p, q in zip(*rows)] for rows in zip(main, branch)]


def bf16(value):
    bits = struct.unpack("<I", struct.pack("<f", value))[0] & 0xFFFF0000
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, rows in tensors.items():
        body = struct.pack(f"<{len(rows) * len(rows[0])}f", *(float(v) for row in rows for v in row))
        header[name] = {"dtype": "F32", "shape": [len(rows), len(rows[0])],
                        "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_output(path, rows, cols):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    values = struct.unpack(f"<{rows * cols}f", raw[8 + size:8 + size + rows * cols * 4])
    return [[F(v) for v in values[row * cols:(row + 1) * cols]] for row in range(rows)]


def main():
    oscsim = sys.argv[1]
    random.seed(7)
    m, n, k = 9, 7, 107  # tails everywhere
    x = [[F(bf16(random.gauss(0, 1))) for _ in range(k)] for _ in range(m)]
    for row in x:
        row[5] *= 32
        row[70] *= 64 if random.random() < 0.8 else 1
    w = [[F(bf16(random.gauss(0, 0.05))) for _ in range(k)] for _ in range(n)]
    name = f"gemm_{m}x{n}x{k}"
    def int8_cast(value):
        return max(F(-127), min(F(127), F(round(value))))

    cases = {
        "osc": osc_gemm(x, w, 32),
        "w4a4": mx_gemm(x, w, E2M1, 2),
        "w8a8_mxfp8": mx_gemm(x, w, E4M3, 8),
        "w8a8": row_gemm(x, w, 448, lambda v: nearest(E4M3, v), 32),
        "w8a8_int8": row_gemm(x, w, 127, int8_cast, 0),
        "bf16": chain_gemm(x, w),
    }
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        tensors = pathlib.Path(folder) / "tensors.safetensors"
        outputs = pathlib.Path(folder) / "outputs.safetensors"
        write_safetensors(tensors, {name + ".weight": w, name + ".input": x})
        for scheme, expected in cases.items():
            subprocess.run([oscsim, "run", "--gemm", f"{m},{n},{k}", "--tensors", tensors, "--scheme", scheme, "--machine",
                            "edge_npu", "--outputs", outputs], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            have = read_output(outputs, m, n)
            wrong = sum(a != b for rows in zip(have, expected) for a, b in zip(*rows))
            print(f"{scheme}: {m * n} outputs, {wrong} differ")
            failed += wrong
    sys.exit(1 if failed else 0)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Casts of float bit patterns, by the scalar definition and by every fast cast, compared code by code with ml_dtypes
and numpy (nearest even, the types that they have) and with a table of rounding boundaries (every type and rounding).

    exhaustive_casts.py PROGRAM [--full | --step N] [--types NAME,...] [--paths NAME,...] [--jobs N]

PROGRAM is oscsim_cast_stream. --full takes all 2^32 patterns, with the fast casts of the best instruction set; without
it every Nth pattern (2^22 in all) and all neighbours of every rounding boundary and of every power of two, with every
instruction set. --paths: `scalar` or format names; default all.

Ours of E2M1, E4M3 and E5M2 saturate: a finite number never becomes Inf or NaN, nor does an infinity where the type has
none. ml_dtypes makes them Inf or NaN. BF16 and FP16 overflow to Inf as there, and saturate by a switch (bf16_saturate,
fp16_saturate). Ours have one NaN, without sign, and E2M1, which has none, takes 0 for it. Nothing else may differ.
"""
import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from fractions import Fraction as F

import ml_dtypes
import numpy as np

SIGN = 0x80000000
INFINITY = 0x7F800000
STEP = 1021  # prime, so that the low bits vary; 2^32 / 1021 is just above 2^22
CHUNK = 1 << 24  # patterns that one process casts
PIECE = 1 << 18  # compared at a time: stays in the cache


class Type:
    """A sign, magnitudes in ascending order of their codes, and what Inf and NaN become."""

    def __init__(self, name, magnitudes, infinity=None, nan=0, sign_bit=0, integer_bits=0, peer=None, unsigned=False):
        self.name, self.peer, self.unsigned = name, peer, unsigned
        self.magnitudes, self.nan = magnitudes, nan
        self.largest = len(magnitudes) - 1
        self.infinity = self.largest if infinity is None else infinity
        self.sign_bit, self.integer_bits = sign_bit, integer_bits
        self.dtype = np.uint16 if sign_bit > 0x80 else np.uint8
        self.roundings = ["nearest_even"] if unsigned else ["nearest_even", "half_away"]
        self.starts = {rounding: self.boundaries(rounding) for rounding in self.roundings}

    def boundaries(self, rounding):
        """For each code but the first: the first FP32 magnitude that rounds to it. Midpoints are exact in FP32."""
        middles = [(low + high) / 2 for low, high in zip(self.magnitudes, self.magnitudes[1:])]
        values = np.array([float(middle) for middle in middles], dtype=np.float32)
        assert all(F(float(value)) == middle for value, middle in zip(values, middles))
        bits = values.view(np.uint32).copy()
        if rounding == "nearest_even":
            bits[0::2] += 1  # the tie below an odd code belongs to the even one under it
        return bits

    def expected(self, patterns, rounding):
        """Of patterns of one sign in ascending order."""
        magnitudes, infinity, nan = split(patterns)
        starts = self.starts[rounding]
        low, high = np.searchsorted(starts, [magnitudes[0], magnitudes[-1]], side="right")
        ends = np.searchsorted(magnitudes, starts[low:high])
        codes = np.repeat(np.arange(low, high + 1, dtype=self.dtype), np.diff(ends, prepend=0, append=len(patterns)))
        codes[infinity:nan] = self.infinity
        if patterns[0] & SIGN:
            if self.unsigned:
                codes[:] = 0
            elif self.integer_bits:
                codes = (-codes.astype(np.int16) & ((1 << self.integer_bits) - 1)).astype(self.dtype)
            else:
                codes |= self.dtype(self.sign_bit)
        codes[nan:] = self.nan
        return codes

    def peer_codes(self, patterns):
        """What ml_dtypes or numpy say of such patterns, with the differences that the head of this file lists."""
        _, infinity, nan = split(patterns)
        with np.errstate(over="ignore", invalid="ignore"):
            codes = patterns.view(np.float32).astype(self.peer).view(self.dtype)
        saturates = codes[:infinity if self.infinity > self.largest else nan]
        sign = self.dtype(self.sign_bit if patterns[0] & SIGN else 0)
        saturates[(saturates & self.dtype(self.sign_bit - 1)) > self.largest] = sign | self.dtype(self.largest)
        codes[nan:] = self.nan
        return codes


def split(patterns):
    """Magnitudes, and where infinity and the NaNs begin."""
    magnitudes = patterns & ~np.uint32(SIGN)
    return magnitudes, *np.searchsorted(magnitudes, np.array([INFINITY, INFINITY + 1], dtype=np.uint32))


def float_magnitudes(mantissa_bits, bias, largest_code):
    step = 1 << mantissa_bits
    return [F(code if code < step else step + code % step, step) * F(2) ** (max(code // step, 1) - bias)
            for code in range(largest_code + 1)]


def types():
    steps = [F(i) for i in range(128)]
    return [
        Type("e2m1", float_magnitudes(1, 1, 7), sign_bit=8, peer=ml_dtypes.float4_e2m1fn),
        Type("e1m2", float_magnitudes(2, 1, 7), sign_bit=8),
        Type("e4m3", float_magnitudes(3, 7, 0x7E), nan=0x7F, sign_bit=0x80, peer=ml_dtypes.float8_e4m3fn),
        Type("e5m2", float_magnitudes(2, 15, 0x7B), infinity=0x7C, nan=0x7E, sign_bit=0x80, peer=ml_dtypes.float8_e5m2),
        # All codes are normal numbers from 2^-48 on; what has a sign becomes the smallest.
        Type("e6m2", [F(4 + code % 4, 4) * F(2) ** (code // 4 - 48) for code in range(255)], nan=0xFF, unsigned=True),
        # The code of Inf follows that of the largest number, as if it were 2^128 or 2^16: what rounds there overflows.
        Type("bf16", float_magnitudes(7, 127, 0x7F80), infinity=0x7F80, nan=0x7FC0, sign_bit=0x8000,
             peer=ml_dtypes.bfloat16),
        Type("fp16", float_magnitudes(10, 15, 0x7C00), infinity=0x7C00, nan=0x7E00, sign_bit=0x8000, peer=np.float16),
        Type("bf16_saturate", float_magnitudes(7, 127, 0x7F7F), infinity=0x7F80, nan=0x7FC0, sign_bit=0x8000,
             peer=ml_dtypes.bfloat16),
        Type("fp16_saturate", float_magnitudes(10, 15, 0x7BFF), infinity=0x7C00, nan=0x7E00, sign_bit=0x8000,
             peer=np.float16),
        Type("int8", steps, integer_bits=8),
        Type("mxint8", [step / 64 for step in steps], integer_bits=8),
        Type("int4", steps[:8], integer_bits=4),
    ]


# Integer codes have no NaN; blocks that hold one are marked by their scale. The scalar cast is not asked.
def takes_nan(kind):
    return not kind.integer_bits


def sample(kind, step):
    """Magnitudes in ascending order."""
    edges = np.concatenate([*kind.starts.values(), np.arange(256, dtype=np.uint32) << 23]).astype(np.int64)
    near = (edges[:, None] + np.arange(-3, 4)).ravel()
    return np.unique(np.concatenate([near[(near >= 0) & (near < SIGN)],
                                     np.arange(0, SIGN, step), [SIGN - 1]])).astype(np.uint32)


def paths_of(program, kind, wanted, best_only):
    """(path, largest magnitude). The program names the best instruction set of a format first."""
    seen = set()
    for line in stream([program, "paths", kind.name]).decode().splitlines():
        name, limit = line.split()
        way = name.split("/")[0]
        if (not wanted or way in wanted) and not (best_only and way in seen):
            seen.add(way)
            yield name, int(limit, 16) if takes_nan(kind) else min(int(limit, 16), INFINITY)


def stream(arguments, stdin=None):
    done = subprocess.run(arguments, input=stdin, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: status {done.returncode}\n{done.stderr.decode()}")
    return done.stdout


def differences(kind, rounding, who, patterns, codes, expected):
    if np.array_equal(codes, expected):
        return []
    wrong = np.flatnonzero(codes != expected)
    lines = [f"{kind.name} {rounding} {who}: {len(wrong)} codes differ"]
    for i in wrong[:3]:
        value = patterns[i:i + 1].view(np.float32)[0]
        lines.append(f"  pattern {patterns[i]:08x} ({value!r}): {codes[i]:#x}, expected {expected[i]:#x}")
    return lines


def compare(task):
    """One chunk of patterns of one sign: every path's codes. Returns (casts compared, lines about differences)."""
    program, kind, rounding, paths, patterns_or_first = task
    full = isinstance(patterns_or_first, int)
    patterns = np.arange(patterns_or_first, patterns_or_first + CHUNK, dtype=np.uint32) if full else patterns_or_first
    streams = []
    for name, limit in paths:
        count = int(np.searchsorted(patterns & ~np.uint32(SIGN), np.uint32(limit), side="right"))
        call = [program, "range" if full else "list", kind.name, name, rounding]
        if full:
            out = stream(call + [str(patterns_or_first), "1", str(count)])
        else:
            out = stream(call, patterns[:count].tobytes())
        codes = np.frombuffer(out, dtype=kind.dtype)
        if len(codes) != count:
            return 0, [f"{kind.name} {rounding} {name}: {len(codes)} codes for {count} patterns"]
        streams.append((name, codes))

    compared, lines = 0, []
    for first in range(0, len(patterns), PIECE):
        piece = patterns[first:first + PIECE]
        expected = kind.expected(piece, rounding)
        if kind.peer and rounding == "nearest_even":
            lines += differences(kind, rounding, "table against ml_dtypes or numpy", piece, expected,
                                 kind.peer_codes(piece))
        for name, codes in streams:
            part = codes[first:first + PIECE]
            lines += differences(kind, rounding, name, piece, part, expected[:len(part)])
            compared += len(part)
    return compared, lines


def tasks(arguments):
    wanted_types = arguments.types and arguments.types.split(",")
    wanted_paths = arguments.paths and arguments.paths.split(",")
    for kind in types():
        if wanted_types and kind.name not in wanted_types:
            continue
        paths = list(paths_of(arguments.program, kind, wanted_paths, arguments.full))
        patterns = sample(kind, arguments.step)
        for rounding in kind.roundings:
            if arguments.full:
                for first in range(0, 1 << 32, CHUNK):
                    yield arguments.program, kind, rounding, paths, first
            else:
                for sign in (0, SIGN):
                    yield arguments.program, kind, rounding, paths, patterns | np.uint32(sign)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--step", type=int, default=STEP)
    parser.add_argument("--types")
    parser.add_argument("--paths")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    began = time.monotonic()
    compared = failures = 0
    casts_of = {}
    with multiprocessing.Pool(arguments.jobs) as pool:
        work = list(tasks(arguments))
        for done, (task, (count, lines)) in enumerate(zip(work, pool.imap(compare, work))):
            compared += count
            name = f"{task[1].name} {task[2]}"
            casts_of[name] = casts_of.get(name, 0) + count
            if lines:
                failures += 1
                if failures <= 20:
                    print("\n".join(lines[:8]), flush=True)
            if sys.stderr.isatty():
                print(f"\r{done + 1} of {len(work)}, {name}        ", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for name, count in casts_of.items():
        print(f"{name}: {count} casts")
    print(f"{compared} casts compared in {time.monotonic() - began:.0f} s, {failures} of {len(work)} chunks differ")
    if compared == 0:
        sys.exit("nothing compared: no such type or path")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

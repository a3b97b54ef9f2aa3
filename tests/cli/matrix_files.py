# SPDX-License-Identifier: Apache-2.0
"""Matrices in .npy and .safetensors files, written and read with the standard library only."""

import json
import struct

PACK = {
    "F32": lambda values: struct.pack(f"<{len(values)}f", *values),
    "F16": lambda values: struct.pack(f"<{len(values)}e", *values),
    "BF16": lambda values: b"".join(struct.pack("<f", value)[2:] for value in values),
    "U8": bytes,
    "I64": lambda values: struct.pack(f"<{len(values)}q", *values),
}


def flat(rows):
    return [value for row in rows for value in row]


def npy_bytes(descr, shape, data, fortran=False):
    """As numpy.save does: version 1.0, data at a multiple of 64."""
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def npy(rows, cols=None):
    shape = (len(rows), len(rows[0]) if rows else cols)
    return npy_bytes("<f4", shape, PACK["F32"](flat(rows)))


def read_npy(content):
    """Rows of an FP32 file, and its data."""
    length = struct.unpack("<H", content[8:10])[0]
    assert content[:8] == b"\x93NUMPY\x01\x00" and (10 + length) % 64 == 0
    header = eval(content[10 : 10 + length])  # noqa: S307, written by the program under test
    assert (header["descr"], header["fortran_order"]) == ("<f4", False)
    rows, cols = header["shape"]
    data = content[10 + length :]
    values = struct.unpack(f"<{rows * cols}f", data)
    return [list(values[row * cols : (row + 1) * cols]) for row in range(rows)], data


def safetensors(tensors):
    """name -> (dtype, shape, values)"""
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        begin = len(data)
        data += PACK[dtype](values)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def read_safetensors(content):
    """(name -> (dtype, shape, bytes), metadata)"""
    begin = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:begin])
    metadata = header.pop("__metadata__", {})
    tensors = {
        name: (entry["dtype"], entry["shape"], content[begin:][slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }
    return tensors, metadata

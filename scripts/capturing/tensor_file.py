# SPDX-License-Identifier: Apache-2.0
"""A safetensors file written in one pass, tensor after tensor; their sizes need not be known before. Room for the
header is set aside in front and filled with blanks, as the format allows."""

import json
import struct

import torch

DTYPES = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
}
ENTRY = 256  # bytes of the header for a tensor: its name (at most 60 letters), type, sizes and offsets


def bytes_of(values):
    return memoryview(values.detach().contiguous().view(torch.uint8).numpy()).cast("B")


class TensorFile:
    """Into a file that is open for writing."""

    def __init__(self, file, metadata, most_tensors):
        self.header = {"__metadata__": {name: str(value) for name, value in metadata.items()}}
        self.room = len(json.dumps(self.header)) + ENTRY * most_tensors
        self.room += -self.room % 8
        self.end = 0  # of the data so far
        self.file = file

    def reserve(self, name, dtype, shape):
        """Where its bytes begin. They are then written in pieces."""
        size = torch.empty(0, dtype=dtype).element_size()
        for extent in shape:
            size *= extent
        begin, self.end = self.end, self.end + size
        self.header[name] = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [begin, self.end]}
        return begin

    def write(self, offset, values):
        self.file.seek(8 + self.room + offset)
        self.file.write(bytes_of(values))

    def add(self, name, values):
        self.write(self.reserve(name, values.dtype, values.shape), values)

    def finish(self):
        text = json.dumps(self.header).encode()
        assert len(text) <= self.room, f"a header of {len(text)} bytes in {self.room}"
        self.file.seek(0)
        self.file.write(struct.pack("<Q", self.room) + text.ljust(self.room))
        self.file.truncate(8 + self.room + self.end)

# SPDX-License-Identifier: Apache-2.0
"""A split's activations, layer by layer, in a file. sim/workload/README.md has the names of tensors."""

import tempfile

import torch

from .tensor_file import TensorFile, bytes_of


class ActivationFile:
    """Rows of the layer's own activations go to their place at once; those of experts, whose number only the end of a
    layer tells, through a spool file: memory holds one prompt's."""

    def __init__(self, file, folder, metadata, tokens, layers, experts):
        self.file = TensorFile(file, metadata, layers * (5 + 2 * experts))
        self.tokens, self.experts = tokens, experts
        self.spool = tempfile.TemporaryFile(dir=folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.spool.close()

    def begin_layer(self, layer):
        self.prefix = f"model.layers.{layer}."
        self.places = {}  # activation -> where its next row goes
        self.pieces = {}  # activation of an expert -> [(offset in the spool, values' type, shape)]
        self.spool.seek(0)

    def add(self, inputs, hidden):
        """The activations of a prompt, and the hidden state that the layer got."""
        for name, values in ({"hidden_in": hidden} | inputs).items():
            if ".experts." in name:
                self.pieces.setdefault(name, []).append((self.spool.tell(), values.dtype, values.shape))
                self.spool.write(bytes_of(values))
                continue
            if name not in self.places:
                shape = [self.tokens, values.shape[1]]
                self.places[name] = self.file.reserve(self.prefix + name, values.dtype, shape)
            self.file.write(self.places[name], values)
            self.places[name] += values.numel() * values.element_size()

    def end_layer(self):
        """An expert that no token reached gets tensors without rows: a table made from them knows it, and bypasses."""
        of_position = {name.rsplit(".", 1)[1]: pieces[0] for name, pieces in sorted(self.pieces.items())}
        for expert in range(self.experts):
            for position, (_, dtype, (_, width)) in of_position.items():
                name = f"mlp.experts.{expert}.{position}"
                self._copy(name, dtype, width, self.pieces.get(name, []))

    def _copy(self, name, dtype, width, pieces):
        place = self.file.reserve(self.prefix + name, dtype, [sum(shape[0] for *_, shape in pieces), width])
        for offset, _, shape in pieces:
            values = torch.empty(shape, dtype=dtype)
            self.spool.seek(offset)
            self.spool.readinto(bytes_of(values))
            self.file.write(place, values)
            place += values.numel() * values.element_size()

    def finish(self):
        self.file.finish()

# SPDX-License-Identifier: Apache-2.0
"""Statistics of activations instead of the activations, for whole models: what the channel table of OSC
(arXiv 2604.12782, offline stage) and its densities follow from. Of an activation X [tokens, k], for each group size g:

    X.outliers.gG        I64 [k]               tokens whose maximum in the group sits in this channel and exceeds
                                               alpha x mean(abs(X))
    X.block_max_mean.gG  F32 [ceil(k / g)]     mean over the tokens of the group's maximum of abs(X)
    X.channel_max        F32 [k]               maximum over the tokens of abs(X)
    X.mean_abs           F64 [1]
    X.tokens             I64 [1]

A group's table channel is its channel with most outliers (ties: the lowest), its density their share of the group's."""

import torch
from torch.nn.functional import pad

from .tensor_file import TensorFile


class ActivationStatistics:
    """Of one activation. Holds the maximum and its place of each token and group, not the values: the threshold is
    known at the end."""

    def __init__(self, width, groups):
        self.width = width
        self.sum = torch.zeros((), dtype=torch.float64)
        self.tokens = 0
        self.channel_max = torch.zeros(width)
        self.blocks = {group: [] for group in groups}  # (maximum, channel in the group), [tokens, groups] each

    def add(self, values):
        magnitude = values.abs().float()
        self.sum += magnitude.sum(dtype=torch.float64)
        self.tokens += len(values)
        self.channel_max = torch.maximum(self.channel_max, magnitude.amax(dim=0))
        for group, blocks in self.blocks.items():
            folded = pad(magnitude, (0, -self.width % group), value=-1.0).reshape(len(values), -1, group)
            largest = folded.amax(dim=2, keepdim=True)
            # The lowest index among equals; argmax promises none.
            channel = torch.where(folded == largest, torch.arange(group), group).amin(dim=2)
            blocks.append((largest.squeeze(2).to(values.dtype), channel.to(torch.uint8)))

    def tensors(self, alpha):
        mean = self.sum / (self.tokens * self.width)
        result = {
            "channel_max": self.channel_max,
            "mean_abs": mean.reshape(1),
            "tokens": torch.tensor([self.tokens]),
        }
        for group, blocks in self.blocks.items():
            count = -(-self.width // group)
            outliers = torch.zeros(count * group, dtype=torch.int64)
            total = torch.zeros(count, dtype=torch.float64)
            for largest, channel in blocks:
                exceeds = largest.double() > alpha * mean
                places = torch.arange(count) * group + channel
                outliers += torch.bincount(places[exceeds], minlength=count * group)
                total += largest.double().sum(dim=0)
            result[f"outliers.g{group}"] = outliers[: self.width].clone()
            result[f"block_max_mean.g{group}"] = (total / self.tokens).float()
        return result


def densities(outliers, group):
    """Of each group, NaN for one without an outlier."""
    folded = pad(outliers, (0, -len(outliers) % group)).reshape(-1, group).double()
    return folded.amax(dim=1) / folded.sum(dim=1)


class StatisticsFile:
    """Takes the same calls as ActivationFile."""

    def __init__(self, file, metadata, groups, alpha, layers, experts):
        self.file = TensorFile(file, metadata, layers * (4 + 2 * experts) * (3 + 2 * len(groups)))
        self.groups = groups
        self.alpha = alpha
        self.means = {}  # (position, group) -> mean density of each activation that has one

    def begin_layer(self, layer):
        self.prefix = f"model.layers.{layer}."
        self.activations = {}

    def add(self, inputs, _):
        for name, values in inputs.items():
            if name not in self.activations:
                self.activations[name] = ActivationStatistics(values.shape[1], self.groups)
            self.activations[name].add(values)

    def end_layer(self):
        for name, activation in self.activations.items():
            tensors = activation.tensors(self.alpha)
            for part, values in tensors.items():
                self.file.add(f"{self.prefix}{name}.{part}", values)
            for group in self.groups:
                known = densities(tensors[f"outliers.g{group}"], group)
                known = known[~known.isnan()]
                if len(known) > 0:
                    self.means.setdefault((name.split(".")[-1], group), []).append(known.mean().item())
        self.activations = {}

    def finish(self):
        self.file.finish()

    def summary(self):
        """Lines for people: mean density of each position and group size."""
        for (position, group), values in sorted(self.means.items()):
            yield f"  {position:8} groups of {group}: mean density {100 * sum(values) / len(values):.1f} %"

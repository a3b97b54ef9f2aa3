# SPDX-License-Identifier: Apache-2.0
"""A Hugging Face checkpoint: config.json and sharded safetensors, tensors read one at a time through a mapping."""

import hashlib
import json
import pathlib
import re

import torch
from safetensors import SafetensorError, safe_open

from .errors import InputError, did_you_mean

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MODEL_TYPES = ("qwen3", "qwen3_moe")
DTYPES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}  # those that `oscsim run` reads


def model_folder(name):
    """A local folder as it is; owner/name is fetched from the hub into its cache, which takes the network once."""
    folder = pathlib.Path(name)
    if folder.is_dir():
        return folder
    siblings = [str(each) for each in folder.parent.glob("*/")] if folder.parent.is_dir() else []
    nearest = did_you_mean(name, siblings)
    if nearest or not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        allowed = "a folder with config.json, or a name such as Qwen/Qwen3-8B"
        raise InputError(f"{name}: no such folder{nearest}\n  allowed: {allowed}")
    from huggingface_hub import snapshot_download

    try:
        return pathlib.Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"]))
    except Exception as error:  # many kinds: no network, no such repository, no permission
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{name}: neither a folder nor to be had from the hub: {first}") from None


def read_json(path):
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object, found {type(value).__name__}")
    return value


class Checkpoint:
    def __init__(self, folder):
        self.folder = folder
        self.config_path = folder / "config.json"
        self.config = read_json(self.config_path)
        kind = self.config.get("model_type")
        if kind not in MODEL_TYPES:
            nearest = did_you_mean(kind, MODEL_TYPES)
            raise InputError(f"{self.config_path}: model_type is '{kind}'; allowed: {', '.join(MODEL_TYPES)}{nearest}")
        self.list_path, self.places = self._list()
        self.open_shard = (None, None)

    def files(self):
        """All that it reads."""
        names = {self.config_path, self.list_path, *(self.folder / shard for shard in self.places.values())}
        return sorted(map(str, names))

    def _list(self):
        index = self.folder / INDEX
        if index.is_file():
            places = read_json(index).get("weight_map")
            if not isinstance(places, dict) or not all(isinstance(each, str) for each in places.values()):
                raise InputError(f"{index}: 'weight_map' must map names of tensors to names of files")
            for shard in sorted(set(places.values())):
                if not (self.folder / shard).is_file():
                    raise InputError(f"{index}: names {shard}, which is not in {self.folder}")
            return index, places
        single = self.folder / SINGLE
        if not single.is_file():
            raise InputError(f"{self.folder}: neither {INDEX} nor {SINGLE} is there")
        return single, {name: SINGLE for name in self._shard(single).keys()}

    def _shard(self, path):
        try:
            return safe_open(str(path), framework="pt")
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path}: {error}") from None

    def _file_of(self, name):
        """One shard is open at a time."""
        if name not in self.places:
            raise InputError(f"{self.list_path}: no tensor '{name}'{did_you_mean(name, self.places)}")
        path = self.folder / self.places[name]
        if self.open_shard[0] != path:
            self.open_shard = (path, self._shard(path))
        if name not in self.open_shard[1].keys():
            raise InputError(f"{path}: no tensor '{name}', though {self.list_path} says so")
        return path, self.open_shard[1]

    def tensor(self, name, shape):
        path, file = self._file_of(name)
        self._check(path, name, self.shape(name), shape)
        return self._typed(path, name, file.get_tensor(name))

    def rows(self, name, indices, shape):
        """Some rows of a matrix; the others are not read."""
        path, file = self._file_of(name)
        self._check(path, name, self.shape(name), shape)
        part = file.get_slice(name)
        return self._typed(path, name, torch.cat([part[index : index + 1] for index in indices]))

    def shape(self, name):
        return list(self._file_of(name)[1].get_slice(name).get_shape())

    @staticmethod
    def _check(path, name, found, expected):
        if found != list(expected):
            raise InputError(f"{path}: tensor '{name}' has shape {found}, expected {list(expected)}")

    @staticmethod
    def _typed(path, name, values):
        if values.dtype not in DTYPES:
            found = str(values.dtype).removeprefix("torch.")
            raise InputError(f"{path}: tensor '{name}' is {found}; allowed: {', '.join(DTYPES.values())}")
        return values

    def provenance(self):
        """Hashes of what names the weights, not of the gigabytes themselves."""
        named = [self.config_path] + ([self.list_path] if self.list_path.name == INDEX else [])
        return {f"sha256 of {path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in named}

# SPDX-License-Identifier: Apache-2.0
"""Prompts as token ids, and their split into calibration and evaluation."""
import pathlib
import random

from .errors import InputError

SPLITS = ("calibration", "evaluation")


def lines_of(path):
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no UTF-8: {error}") from None
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def token_ids(path, vocabulary):
    """A prompt a line: ids separated by blanks or commas."""
    prompts = []
    for number, line in lines_of(path):
        prompt = []
        for word in line.replace(",", " ").split():
            if not word.isdecimal() or int(word) >= vocabulary:
                raise InputError(f"{path}:{number}: '{word}' is no token id; allowed: 0 to {vocabulary - 1}")
            prompt.append(int(word))
        prompts.append(prompt)
    return prompts


def tokenised(path, folder, vocabulary):
    """A prompt a line, through the model's own tokenizer."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{folder}: no tokenizer: {first}\n  --tokens FILE takes token ids instead") from None
    prompts = [list(tokenizer(line).input_ids) for _, line in lines_of(path)]
    if any(index >= vocabulary for prompt in prompts for index in prompt):
        raise InputError(f"{folder}: the tokenizer gives ids beyond the model's vocabulary of {vocabulary}")
    return [prompt for prompt in prompts if prompt]


def split(prompts, share, seed):
    """[(split, prompt)] in the order of the file: a seeded choice of prompts for calibration, at least one for each."""
    count = len(prompts)
    if share == 1:
        return [(SPLITS[0], prompt) for prompt in prompts]
    if count < 2:
        raise InputError(f"{count} prompt cannot be split\n  --calibration-share 1 takes all of them for calibration")
    chosen = set(random.Random(seed).sample(range(count), min(max(round(share * count), 1), count - 1)))
    return [(SPLITS[index not in chosen], prompt) for index, prompt in enumerate(prompts)]

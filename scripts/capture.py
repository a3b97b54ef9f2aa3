#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Activations of a Hugging Face Qwen3 model (dense or MoE) on given prompts, as safetensors with a trace that
`oscsim run --trace FILE --tensors FILE` replays.

    scripts/python_environment.sh --capture scripts/capture.py MODEL --prompts prompts.txt -o capture
    build/oscsim run --trace capture/calibration.yaml --tensors capture/calibration.safetensors --tensors MODEL

MODEL is a folder with config.json and safetensors, or a name such as Qwen/Qwen3-8B. One layer's weights are in memory
at a time, and the hidden states of all prompts. Into the folder of -o go, for each of calibration and evaluation,

    SPLIT.safetensors             inputs of the linear layers and of whole layers in the model's own type
                                  (sim/workload/README.md: names)
    SPLIT.yaml                    their GEMMs
    SPLIT_statistics.safetensors  with --statistics-only, instead of both (scripts/capturing/statistics.py: what)
    weights.safetensors           with --weights: the layers' weights, to be used without the checkpoint

Exit status 2 when something is wrong with the input. Files appear whole or not at all.
"""

import argparse
import collections
import contextlib
import hashlib
import pathlib
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True  # nothing is written to the source tree

import support  # noqa: E402
from capturing.errors import InputError  # noqa: E402

try:
    import torch
    import transformers
    from tqdm import tqdm

    from capturing import prompts as prompt_files
    from capturing.activations import ActivationFile
    from capturing.checkpoint import Checkpoint, model_folder
    from capturing.layer_models import LayerModels
    from capturing.recorder import Recorder
    from capturing.statistics import StatisticsFile
    from capturing.tensor_file import TensorFile
    from capturing.trace import TraceWriter
except ImportError as error:
    print(
        f"capture.py: {error}\n  scripts/python_environment.sh --capture runs it with what it needs (3 GB of PyPI)",
        file=sys.stderr,
    )
    sys.exit(2)

ROOT = pathlib.Path(__file__).resolve().parents[1]
EMBEDDING = "model.embed_tokens.weight"


def parsed_arguments():
    parser = argparse.ArgumentParser(
        prog="capture.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="a folder, or a name on the Hugging Face hub")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompts", metavar="FILE", help="text, a prompt a line")
    source.add_argument("--tokens", metavar="FILE", help="token ids, a prompt a line")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the files; made when missing")
    parser.add_argument("--layers", metavar="0-3,7", help="layers to capture (default all); those behind do not run")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="cut each prompt to its first N tokens")
    parser.add_argument(
        "--calibration-share", type=float, default=0.75, metavar="S",
        help="share of the prompts for calibration, the rest for evaluation (default 0.75; 1: none)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    parser.add_argument("--weights", action="store_true", help="copy the captured layers' weights too")
    parser.add_argument("--statistics-only", action="store_true", help="block maxima and outlier counts alone")
    parser.add_argument("--group", default="16,32,64", metavar="G,...", help="of statistics (default 16,32,64)")
    parser.add_argument(
        "--alpha", type=float, default=5.0, help="an outlier exceeds this many means of abs (default 5)"
    )
    parser.add_argument("--device", default="cpu", help="torch device that computes (default cpu)")
    return parser.parse_args()


def check(arguments):
    if not 0 < arguments.calibration_share <= 1:
        raise InputError(f"--calibration-share {arguments.calibration_share}; allowed: above 0, at most 1")
    if arguments.max_tokens is not None and arguments.max_tokens < 1:
        raise InputError(f"--max-tokens {arguments.max_tokens}; allowed: at least 1")
    if not arguments.alpha > 0:
        raise InputError(f"--alpha {arguments.alpha}; allowed: above 0")
    words = arguments.group.split(",")
    for word in words:
        if not word.isdecimal() or not 2 <= int(word) <= 256:
            raise InputError(f"--group '{word}'; allowed: 2 to 256")
    arguments.groups = sorted({int(word) for word in words})
    try:
        arguments.device = torch.device(arguments.device)
        torch.empty(1, device=arguments.device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {arguments.device}: {str(error).splitlines()[0]}") from None


def chosen_layers(text, count):
    """Numbers of "0-3,7", ascending."""
    if text is None:
        return list(range(count))
    chosen = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) < count):
            raise InputError(f"--layers '{part}'; allowed: numbers and ranges within 0-{count - 1}, such as 0-3,7")
        chosen.update(range(int(first), int(last) + 1))
    return sorted(chosen)


def read_prompts(arguments, checkpoint, vocabulary):
    path = arguments.prompts or arguments.tokens
    if arguments.prompts:
        prompts = prompt_files.tokenised(path, checkpoint.folder, vocabulary)
    else:
        prompts = prompt_files.token_ids(path, vocabulary)
    if not prompts:
        raise InputError(f"{path}: no prompt in it")
    prompts = [prompt[: arguments.max_tokens] for prompt in prompts]
    return prompt_files.split(prompts, arguments.calibration_share, arguments.seed)


def git_hash():
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"
    except OSError:
        return "unknown"


def provenance(arguments, checkpoint, tokens, split):
    source = arguments.prompts or arguments.tokens
    return {
        "written_by": "oscsim scripts/capture.py",
        "git": git_hash(),
        "command": shlex.join(sys.argv[1:]),
        "model": arguments.model,
        **checkpoint.provenance(),
        "prompts": source,
        "sha256 of prompts": hashlib.sha256(pathlib.Path(source).read_bytes()).hexdigest(),
        "split": split,
        "tokens": tokens,
        "seed": arguments.seed,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def embedded(checkpoint, config, ids):
    return checkpoint.rows(EMBEDDING, ids, [config.vocab_size, config.hidden_size])


class Capture:
    """Runs all prompts through one layer after the other."""

    def __init__(self, checkpoint, models, prompts):
        self.models = models
        self.prompts = prompts
        # Of each prompt [tokens, hidden].
        self.hidden = [embedded(checkpoint, models.config, ids) for _, ids in prompts]

    def run(self, layers, sinks, traces):
        """sinks and traces by split."""
        with tqdm(total=(layers[-1] + 1) * len(self.prompts), unit="prompt", disable=None) as progress:
            for layer in range(layers[-1] + 1):
                progress.set_description(f"layer {layer}")
                model = self.models.load(layer, self.hidden[0].dtype)
                if layer in layers:
                    self._record_layer(layer, model, sinks, traces, progress)
                else:
                    for index in range(len(self.prompts)):
                        self._forward(model, index, contextlib.nullcontext())
                        progress.update()

    def _record_layer(self, layer, model, sinks, traces, progress):
        has_experts = self.models.has_experts(layer)
        rows = {split: collections.Counter() for split in sinks}
        for sink in sinks.values():
            sink.begin_layer(layer)
        for index, (split, _) in enumerate(self.prompts):
            recorder, hidden = Recorder(model.layers[0]), self.hidden[index]
            self._forward(model, index, recorder)
            recorder.check(has_experts)
            sinks[split].add(recorder.inputs, hidden)
            rows[split].update(() if recorder.chosen is None else recorder.chosen.flatten().tolist())
            progress.update()
        for split, sink in sinks.items():
            sink.end_layer()
            experts = range(self.models.config.num_experts) if has_experts else ()
            traces[split].add_layer(layer, [rows[split][expert] for expert in experts] or None)

    def _forward(self, model, index, recorder):
        outputs = []
        hook = model.layers[0].register_forward_hook(lambda module, inputs, output: outputs.append(output))
        try:
            with torch.no_grad(), recorder:
                model(inputs_embeds=self.hidden[index][None].to(self.models.device), use_cache=False)
        finally:
            hook.remove()
        output = outputs[0][0] if isinstance(outputs[0], tuple) else outputs[0]
        self.hidden[index] = output[0].cpu()


def write_weights(target, metadata, checkpoint, layers):
    """Those of the layers, norms too."""
    prefixes = tuple(f"model.layers.{layer}." for layer in layers)
    names = [name for name in checkpoint.places if name.startswith(prefixes)]
    file = TensorFile(target, metadata, len(names))
    for name in names:
        file.add(name, checkpoint.tensor(name, checkpoint.shape(name)))
    file.finish()


def file_names(arguments, splits):
    """What -> name; what is a split, a trace of one, or weights."""
    suffix = "_statistics.safetensors" if arguments.statistics_only else ".safetensors"
    names = {split: f"{split}{suffix}" for split in splits}
    if not arguments.statistics_only:
        names |= {f"trace of {split}": f"{split}.yaml" for split in splits}
    if arguments.weights:
        names["weights"] = "weights.safetensors"
    return {what: pathlib.Path(arguments.output) / name for what, name in names.items()}


def capture(arguments):
    check(arguments)
    checkpoint = Checkpoint(model_folder(arguments.model))
    models = LayerModels(checkpoint, arguments.device)
    layers = chosen_layers(arguments.layers, models.layers)
    prompts = read_prompts(arguments, checkpoint, models.config.vocab_size)
    tokens, lengths = collections.Counter(), collections.defaultdict(list)
    for split, ids in prompts:
        tokens[split] += len(ids)
        lengths[split].append(len(ids))
    experts = models.config.num_experts if models.config.model_type == "qwen3_moe" else 0

    paths = file_names(arguments, list(tokens))
    support.check_outputs(
        [arguments.output, *paths.values()], [arguments.prompts or arguments.tokens, *checkpoint.files()]
    )
    pathlib.Path(arguments.output).mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:
        targets = {what: files.enter_context(support.whole_file(path)) for what, path in paths.items()}
        sinks, traces = {}, {}
        for split, count in tokens.items():
            metadata = provenance(arguments, checkpoint, count, split)
            if arguments.statistics_only:
                metadata |= {"alpha": arguments.alpha, "groups": arguments.groups}
                sink = StatisticsFile(targets[split], metadata, arguments.groups, arguments.alpha, len(layers), experts)
            else:
                sink = ActivationFile(targets[split], arguments.output, metadata, count, len(layers), experts)
                files.enter_context(sink)
            sinks[split] = sink
            traces[split] = TraceWriter(models.config, arguments.model, lengths[split])
        Capture(checkpoint, models, prompts).run(layers, sinks, traces)
        for split, sink in sinks.items():
            sink.finish()
            if not arguments.statistics_only:
                targets[f"trace of {split}"].write(traces[split].text().encode())
        if arguments.weights:
            metadata = provenance(arguments, checkpoint, 0, "none: weights")
            write_weights(targets["weights"], metadata, checkpoint, layers)
    report(arguments, checkpoint, tokens, layers, paths, sinks)


def report(arguments, checkpoint, tokens, layers, paths, sinks):
    for split, count in tokens.items():
        print(f"{paths[split]}: {count} tokens, {len(layers)} layers")
        if arguments.statistics_only:
            for line in sinks[split].summary():
                print(line)
            continue
        trace = paths[f"trace of {split}"]
        weights = paths["weights"] if arguments.weights else checkpoint.folder
        command = ["oscsim", "run", "--trace", trace, "--tensors", paths[split], "--tensors", weights]
        print("  " + shlex.join(map(str, command)))


def main():
    return support.status_of(lambda: capture(parsed_arguments()), "capture.py")


if __name__ == "__main__":
    support.run(main)

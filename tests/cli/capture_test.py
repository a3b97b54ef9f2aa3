# SPDX-License-Identifier: Apache-2.0
"""scripts/capture.py on small random Qwen3 and Qwen3-MoE checkpoints: with the classes of transformers under
scripts/python_environment.sh --capture, else on the tree of modules of the same names in module_tree (in PYTHONPATH).
The first line of the output says which."""

import contextlib
import io
import json
import math
import os
import pathlib
import random
import re
import shlex
import struct
import subprocess
import sys
import time
from unittest import mock

import torch
import transformers
from program import PROGRAM, ROOT, ProgramTest, main
from safetensors import safe_open
from torch.nn.functional import linear, silu

SCRIPTS = os.path.join(ROOT, "scripts")
sys.path.insert(0, SCRIPTS)
import capture  # noqa: E402, imported once: torch takes seconds

SIZES = dict(
    vocab_size=97, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=32, tie_word_embeddings=False,
)  # fmt: skip
CONFIGS = {
    "dense": lambda: transformers.Qwen3Config(**SIZES),
    # Layer 1 is dense among layers with experts.
    "moe": lambda: transformers.Qwen3MoeConfig(
        **SIZES,
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=96,
        mlp_only_layers=[1],
        norm_topk_prob=True,
    ),  # fmt: skip
}
PROMPTS = [[(7 * index + 13 * place) % 97 for place in range(length)] for index, length in enumerate((5, 11, 3, 8, 6))]
LAYER = "model.layers.{}."
FIRST_OF = {"q_proj": "attn_in", "o_proj": "o_in", "gate_proj": "ffn_in", "down_proj": "down_in"}


def empty(width):
    """What an expert that got no token has."""
    return torch.empty(0, width, dtype=torch.bfloat16)


def make_checkpoint(kind, folder):
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[kind](), dtype=torch.bfloat16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2 + ("norm" in name))
    model.save_pretrained(folder, max_shard_size="60KB")


# Runs capture.py; its last line is the largest resident size in bytes.
PEAK = """
import resource, sys
sys.path.insert(0, sys.argv.pop(1))
import capture
status = capture.main()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
sys.exit(status)
"""


def sparse_checkpoint(folder, layers):
    """Zeros, a shard for each layer, as sparse files; its size in bytes."""
    hidden, ffn, vocabulary = 1024, 4096, 97
    os.mkdir(folder)
    sizes = SIZES | dict(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, head_dim=256)
    values = {name: value for name, value in vars(CONFIGS["dense"]()).items() if isinstance(value, (str, int, float))}
    pathlib.Path(folder, "config.json").write_text(json.dumps(values | sizes | {"model_type": "qwen3"}))
    shapes = {
        "self_attn.q_proj": [1024, hidden], "self_attn.k_proj": [512, hidden], "self_attn.v_proj": [512, hidden],
        "self_attn.o_proj": [hidden, 1024], "mlp.gate_proj": [ffn, hidden], "mlp.up_proj": [ffn, hidden],
        "mlp.down_proj": [hidden, ffn], "input_layernorm": [hidden], "post_attention_layernorm": [hidden],
        "self_attn.q_norm": [256], "self_attn.k_norm": [256],
    }  # fmt: skip
    places, total = {}, 0
    for shard in range(layers + 1):
        tensors = {f"model.layers.{shard}.{name}.weight": shape for name, shape in shapes.items()}
        if shard == layers:
            tensors = {"model.embed_tokens.weight": [vocabulary, hidden]}
        header, end = {}, 0
        for name, shape in tensors.items():
            begin, end = end, end + 2 * math.prod(shape)
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        with open(os.path.join(folder, f"model-{shard}.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)
        places |= dict.fromkeys(tensors, f"model-{shard}.safetensors")
        total += end
    pathlib.Path(folder, "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return total


def read(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


class Hooked:
    """What forward hooks on the unmodified whole model see, prompt by prompt."""

    def __init__(self, folder):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, experts_implementation="eager"
        )
        self.inputs, self.outputs = {}, {}  # module -> rows of all prompts
        for name, module in self.model.named_modules():
            is_layer = re.fullmatch(r"model\.layers\.\d+", name)
            if is_layer or isinstance(module, torch.nn.Linear) or name.endswith(("mlp.gate", "mlp.experts")):
                module.register_forward_hook(lambda _, inputs, output, name=name: self._keep(name, inputs, output))

    def _keep(self, name, inputs, output):
        if name.endswith("mlp.experts"):  # transformers 5: (hidden states, chosen experts, weights) of all of them
            self.inputs.setdefault(name + ".chosen", []).append(inputs[1])
        rows = inputs[0].reshape(-1, inputs[0].shape[-1])
        if len(rows) > 0:
            self.inputs.setdefault(name, []).append(rows)
            output = output[0] if isinstance(output, tuple) else output
            self.outputs.setdefault(name, []).append(output.reshape(-1, output.shape[-1]))

    def run(self, prompts):
        self.inputs.clear()
        self.outputs.clear()
        with torch.no_grad():
            for prompt in prompts:
                self.model(torch.tensor([prompt]))
        return self

    def of(self, name):
        return torch.cat(self.inputs[name])

    def expert(self, layer, index):
        """Inputs of an expert's gate_proj and down_proj, None when no token got there."""
        prefix = f"{LAYER.format(layer)}mlp.experts"
        if prefix not in self.inputs:
            names = [f"{prefix}.{index}.{part}" for part in ("gate_proj", "down_proj")]
            return tuple(self.of(name) for name in names) if names[0] in self.inputs else None
        experts = self.model.model.layers[layer].mlp.experts
        pieces = []
        for rows, chosen in zip(self.inputs[prefix], self.inputs[prefix + ".chosen"]):
            mine = rows[torch.where((chosen == index).T)[1]]
            if len(mine) > 0:
                gate, up = linear(mine, experts.gate_up_proj[index]).chunk(2, dim=-1)
                pieces.append((mine, silu(gate) * up))
        return tuple(torch.cat(parts) for parts in zip(*pieces)) if pieces else None


class CaptureTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.tokens = self.path("tokens.txt")
        pathlib.Path(self.tokens).write_text("".join(" ".join(map(str, prompt)) + "\n" for prompt in PROMPTS))

    def checkpoint(self, kind):
        folder = self.path(kind)
        if not os.path.exists(folder):
            make_checkpoint(kind, folder)
        return folder

    def capture(self, *arguments):
        """(exit status, standard output, standard error)"""
        command = ["capture.py", *arguments, "-o", self.path("out")]
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = capture.main()
        return status, out.getvalue(), err.getvalue()

    def captured(self, kind, *arguments):
        status, out, err = self.capture(self.checkpoint(kind), "--tokens", self.tokens, *arguments)
        self.assertEqual((status, err), (0, ""))
        return out

    def check_refused_capture(self, arguments, message):
        self.assertEqual(self.capture(*arguments), (2, "", f"capture.py: {message}\n"))
        self.assertEqual(os.listdir(self.path("out")) if os.path.exists(self.path("out")) else [], [])

    def splits(self):
        """{split: (tensors, its prompts)}; the file's metadata say how many tokens."""
        result, taken = {}, []
        for split in ("calibration", "evaluation"):
            tensors, metadata = read(self.path(f"out/{split}.safetensors"))
            total = len(tensors["model.layers.0.attn_in"])
            self.assertEqual(metadata["tokens"], str(total))
            result[split] = tensors
            taken.append(total)
        self.assertEqual(sum(taken), sum(map(len, PROMPTS)))
        return result

    def prompts_of(self, tensors, hooked):
        """The prompts whose first attention inputs the file holds, in its order."""
        rows, found = tensors["model.layers.0.attn_in"], []
        for prompt in PROMPTS:
            first = hooked.run([prompt]).of("model.layers.0.self_attn.q_proj")
            at = sum(map(len, found))
            if at + len(first) <= len(rows) and torch.equal(rows[at : at + len(first)], first):
                found.append(prompt)
        self.assertEqual(sum(map(len, found)), len(rows))
        return found

    def check_against_hooks(self, kind, dense_layers, expert_layers):
        self.captured(kind)
        hooked = Hooked(self.checkpoint(kind))
        for split, tensors in self.splits().items():
            hooked.run(self.prompts_of(tensors, hooked))
            expected = {}
            for layer in range(3):
                prefix = LAYER.format(layer)
                expected[prefix + "hidden_in"] = hooked.of(prefix[:-1])
                expected[prefix + "attn_in"] = hooked.of(prefix + "self_attn.q_proj")
                self.assertTrue(torch.equal(hooked.of(prefix + "self_attn.v_proj"), expected[prefix + "attn_in"]))
                expected[prefix + "o_in"] = hooked.of(prefix + "self_attn.o_proj")
                if layer in dense_layers:
                    expected[prefix + "ffn_in"] = hooked.of(prefix + "mlp.gate_proj")
                    expected[prefix + "down_in"] = hooked.of(prefix + "mlp.down_proj")
                else:
                    expected[prefix + "ffn_in"] = hooked.of(prefix + "mlp.gate")
            for layer in expert_layers:
                dispatched = 0
                for index in range(8):
                    found = hooked.expert(layer, index) or [empty(SIZES["hidden_size"]), empty(96)]
                    prefix = f"{LAYER.format(layer)}mlp.experts.{index}."
                    expected[prefix + "ffn_in"], expected[prefix + "down_in"] = found
                    dispatched += len(found[0])
                self.assertEqual(dispatched, 2 * len(tensors["model.layers.0.attn_in"]))
            self.assertEqual(sorted(tensors), sorted(expected), split)
            for name, values in expected.items():
                self.assertEqual(tensors[name].dtype, torch.bfloat16)
                self.assertTrue(torch.equal(tensors[name], values), f"{split}: {name}")
            self.check_products(tensors, hooked)

    def check_products(self, tensors, hooked):
        """W x captured activation is what the layer computed."""
        for name, outputs in hooked.outputs.items():
            module = hooked.model.get_submodule(name)
            parts = name.split(".")
            activation = FIRST_OF.get(parts[-1])
            if not activation or not isinstance(module, torch.nn.Linear):
                continue
            place = ".".join(parts[:-1]) if "experts" in parts else ".".join(parts[:3])
            products = torch.split(tensors[f"{place}.{activation}"], [len(rows) for rows in outputs])
            for rows, output in zip(products, outputs):
                self.assertTrue(torch.equal(linear(rows, module.weight), output), name)

    def test_activations_of_a_dense_model_are_those_that_hooks_see(self):
        self.check_against_hooks("dense", dense_layers=(0, 1, 2), expert_layers=())

    def test_activations_of_experts_are_exactly_their_tokens(self):
        self.check_against_hooks("moe", dense_layers=(1,), expert_layers=(0, 2))

    def test_captured_trace_replays_verified(self):
        for kind in ("dense", "moe"):
            self.captured(kind, "--weights")
            for split in ("calibration", "evaluation"):
                arguments = ["run", "--machine", "edge_npu", "--trace", self.path(f"out/{split}.yaml"), "--verify"]
                for file in (split, "weights"):
                    arguments += ["--tensors", self.path(f"out/{file}.safetensors")]
                self.check_done([*arguments, "--json", self.path("result.json")])
                gemms = json.loads(pathlib.Path(self.path("result.json")).read_text())["gemms"]
                self.assertEqual(sum(gemm["name"].endswith("q_proj") for gemm in gemms), 3)
                tensors, _ = read(self.path(f"out/{split}.safetensors"))
                inputs = [name for name in tensors if name.endswith("down_in") and len(tensors[name]) > 0]
                downs = [gemm for gemm in gemms if gemm["name"].endswith("down_proj")]
                self.assertEqual([gemm["m"] for gemm in downs], [len(tensors[name]) for name in inputs])

    def test_captured_layers_run_as_a_chain(self):
        self.captured("dense", "--weights")
        run = ["run", "--machine", "edge_npu", "--scheme", "w4a4", "--baseline", "bf16", "--chain", "--json", "r.json"]
        tensors = ["--tensors", "out/evaluation.safetensors", "--tensors", "out/weights.safetensors"]
        printed = self.check_done([*run, "--trace", "out/evaluation.yaml", *tensors])
        self.assertIn("\ncosine of the unquantised chain's inputs with the captured ones: at least 0.999", printed)
        result = json.loads(pathlib.Path(self.path("r.json")).read_text())
        self.assertEqual([layer["layer"] for layer in result["layers"]], [0, 1, 2])
        for layer in result["layers"]:
            self.assertGreater(layer["baseline"]["chained"]["sqnr_db"], layer["scheme"]["chained"]["sqnr_db"] + 20)
        for gemm in result["gemms"]:  # in BF16 the model differs by its roundings
            self.assertGreater(gemm["chain_input"]["cosine"], 0.999, gemm["name"])
        self.captured("moe", "--weights")
        self.check_refused(
            [*run, "--trace", "out/evaluation.yaml", *tensors],
            "--chain: trace 'evaluation' has no `chain`; scripts/capture.py writes it for dense Qwen3 models",
        )

    def test_trace_with_the_statistics_of_a_capture_runs_without_it(self):
        for kind in ("dense", "moe"):
            self.captured(kind)
            self.check_done(["trace", "--fit", "out/calibration.safetensors", "-o", "fitted.yaml"])
            self.check_done(["run", "--machine", "edge_npu", "--trace", "fitted.yaml", "--verify"])
            fitted = pathlib.Path(self.path("fitted.yaml")).read_text()
            self.assertEqual(fitted.count("- position: "), 4 * 3 + 4, "layers, and the mean of each position")

    def test_trace_of_a_dense_model_has_the_gemms_of_the_generator(self):
        self.captured("dense", "--calibration-share", "1")
        generated = [self.checkpoint("dense") + "/config.json", "--phase", "prefill", "--tokens", "33"]
        self.check_done(["trace", *generated, "-o", self.path("generated.yaml")])
        body = lambda path: pathlib.Path(path).read_text().partition("gemms:")[2]  # noqa: E731
        self.assertEqual(body(self.path("out/calibration.yaml")), body(self.path("generated.yaml")))

    def test_weights_are_those_of_the_checkpoint_bit_for_bit(self):
        self.captured("moe", "--weights", "--layers", "2")
        weights, _ = read(self.path("out/weights.safetensors"))
        self.assertEqual(len(weights), 4 + 1 + 3 * 8 + 4, "with four norms")
        folder = pathlib.Path(self.checkpoint("moe"))
        places = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
        self.assertGreater(len(set(places.values())), 1, "the checkpoint has shards")
        for name, values in weights.items():
            self.assertTrue(torch.equal(values, read(folder / places[name])[0][name]), name)

    def test_chosen_layers_hold_what_they_hold_among_all(self):
        self.captured("moe")
        every = self.splits()
        self.captured("moe", "--layers", "0,2")
        for split, tensors in self.splits().items():
            self.assertFalse([name for name in tensors if name.startswith("model.layers.1.")])
            for name, values in tensors.items():
                self.assertTrue(torch.equal(values, every[split][name]), name)
        self.assertEqual(sorted(os.listdir(self.path("out"))), sorted(
            f"{split}.{kind}" for split in every for kind in ("safetensors", "yaml")))  # fmt: skip

    def test_split_follows_its_seed(self):
        contents = []
        for seed in ("0", "0", "1", "2", "3"):
            self.captured("dense", "--layers", "0", "--seed", seed)
            contents.append(self.splits()["calibration"]["model.layers.0.attn_in"])
        self.assertTrue(torch.equal(contents[0], contents[1]))
        self.assertTrue(any(not torch.equal(contents[0], other) for other in contents[2:]))

    def test_statistics_are_those_of_the_activations(self):
        self.captured("moe", "--calibration-share", "1")
        captured, _ = read(self.path("out/calibration.safetensors"))
        activations = {name: values for name, values in captured.items() if not name.endswith("hidden_in")}
        options = ["--statistics-only", "--alpha", "2", "--group", "24,32"]
        summary = self.captured("moe", "--calibration-share", "1", *options)
        self.assertIn("attn_in  groups of 32: mean density ", summary)
        statistics, _ = read(self.path("out/calibration_statistics.safetensors"))
        self.assertEqual(len(statistics), 7 * len(activations))
        for name, values in activations.items():
            rows = values.double().abs().tolist()
            mean = sum(map(sum, rows)) / values.numel()
            self.assertAlmostEqual(statistics[f"{name}.mean_abs"].item(), mean, delta=1e-12 * mean)
            for group in (24, 32):
                outliers, largest = [0] * len(rows[0]), []
                for begin in range(0, len(rows[0]), group):
                    blocks = [row[begin : begin + group] for row in rows]
                    for block in blocks:
                        outliers[begin + block.index(max(block))] += max(block) > 2 * mean
                    largest.append(sum(map(max, blocks)) / len(rows))
                self.assertEqual(statistics[f"{name}.outliers.g{group}"].tolist(), outliers)
                self.assertEqual(statistics[f"{name}.block_max_mean.g{group}"].tolist(), torch.tensor(largest).tolist())
            self.assertEqual(statistics[f"{name}.channel_max"].tolist(), values.abs().float().amax(dim=0).tolist())

    def test_program_ends_with_its_status(self):
        command = [sys.executable, os.path.join(SCRIPTS, "capture.py"), self.path("none"), "--tokens", "t", "-o", "out"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=self.folder.name)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertTrue(done.stderr.startswith(f"capture.py: {self.path('none')}: no such folder"), done.stderr)

    def add_tokenizer(self, folder, prompts=tuple(PROMPTS)):
        """Of the words w0 to w96; a file of the prompts as text."""
        vocabulary = {f"w{index}": index for index in range(97)}
        model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"}
        whole = {"version": "1.0", "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}
        empty = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
        pathlib.Path(folder, "tokenizer.json").write_text(json.dumps(whole | empty | {"added_tokens": []}))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
        pathlib.Path(folder, "tokenizer_config.json").write_text(json.dumps(settings))
        text = self.path("prompts.txt")
        pathlib.Path(text).write_text("".join(" ".join(f"w{index}" for index in ids) + "\n" for ids in prompts))
        return text

    def test_text_goes_through_the_tokenizer_of_the_model(self):
        folder = self.checkpoint("dense")
        text = self.add_tokenizer(folder)
        self.captured("dense", "--layers", "0")
        by_ids = self.splits()
        self.assertEqual(self.capture(folder, "--prompts", text, "--layers", "0")[::2], (0, ""))
        for split, tensors in self.splits().items():
            for name, values in tensors.items():
                self.assertTrue(torch.equal(values, by_ids[split][name]), name)

    def test_memory_does_not_grow_with_the_number_of_layers(self):
        peaks = []
        for layers in (2, 14):
            folder = self.path(f"layers{layers}")
            size = sparse_checkpoint(folder, layers)
            command = [sys.executable, "-c", PEAK, SCRIPTS, folder, "--tokens", self.tokens, "-o", self.path("peak")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            peaks.append((size, int(done.stdout.splitlines()[-1])))
        (small, low), (large, high) = peaks
        self.assertLess(high - low, (large - small) / 4, "bytes")

    def test_three_commands_of_the_readme_lead_to_a_verified_replay(self):
        section = pathlib.Path(ROOT, "README.md").read_text().partition("## Your own tensors")[2].partition("\n## ")[0]
        commands = re.findall(r"^    (.*)$", section, re.MULTILINE)
        self.assertEqual(len(commands), 3)
        draw = random.Random(0)
        prompts = [[draw.randrange(97) for _ in range(3)] for _ in range(6)]  # so few that some experts get no token
        for kind in ("dense", "moe"):
            os.rename(self.checkpoint(kind), self.path("Qwen3-8B"))
            self.add_tokenizer(self.path("Qwen3-8B"), prompts)
            for command in commands:
                words = shlex.split(command.replace("scripts/python_environment.sh --capture", f"{sys.executable} -B"))
                words = [PROGRAM if word == "build/oscsim" else word for word in words]
                words = [os.path.join(ROOT, word) if word.startswith("scripts/") else word for word in words]
                words += ["--verify"] if words[1] == "run" else []
                done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=self.folder.name)
                self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertRegex(done.stdout, r"\nverified\b.* 0 ")
            rows = [len(values) for values in read(self.path("capture/calibration.safetensors"))[0].values()]
            self.assertEqual(min(rows) == 0, kind == "moe")
            os.rename(self.path("Qwen3-8B"), self.path(f"done-{kind}"))

    def test_stopped_program_leaves_no_files(self):
        sparse_checkpoint(self.path("model"), 14)
        command = [sys.executable, os.path.join(SCRIPTS, "capture.py"), "model", "--tokens", self.tokens, "-o", "out"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder.name)
        out, deadline = pathlib.Path(self.path("out")), time.monotonic() + 120
        while not (out.exists() and list(out.glob(".calibration.*"))) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.terminate()
        self.assertEqual(process.communicate(timeout=60), (b"", b""))
        self.assertEqual((process.returncode, list(out.iterdir())), (143, []))

    def test_b1_variant_weights_onto_a_shard_of_the_checkpoint(self):
        sparse_checkpoint(self.path("model"), 1)
        shard = next(iter(sorted(pathlib.Path(self.path("model")).glob("*.safetensors"))))
        before = shard.read_bytes()
        os.mkdir(self.path("out"))
        os.symlink(shard, self.path("out/weights.safetensors"))
        message = f"capture.py: {self.path('out')}/weights.safetensors: would overwrite the input {shard}\n"
        arguments = [self.path("model"), "--tokens", self.tokens, "--weights", "-o", self.path("out")]
        self.assertEqual(self.capture(*arguments), (2, "", message))
        self.assertEqual((shard.read_bytes() == before, os.listdir(self.path("out"))), (True, ["weights.safetensors"]))

    def test_mistakes_are_named(self):
        folder = self.checkpoint("dense")
        given = ["--tokens", self.tokens]
        self.check_refused_capture(
            [folder + "x", *given],
            f"{folder}x: no such folder; did you mean '{folder}'?\n"
            "  allowed: a folder with config.json, or a name such as Qwen/Qwen3-8B",
        )
        self.check_refused_capture(
            [folder, *given, "--layers", "0-3"],
            "--layers '0-3'; allowed: numbers and ranges within 0-2, such as 0-3,7",
        )
        self.check_refused_capture([folder, "--tokens", "no.txt"], "no.txt: No such file or directory")
        self.check_refused_capture(
            [folder, *given, "--calibration-share", "1.5"], "--calibration-share 1.5; allowed: above 0, at most 1"
        )
        wrong = self.path("wrong.txt")
        pathlib.Path(wrong).write_text("1 2\n\n3 97\n")
        self.check_refused_capture([folder, "--tokens", wrong], f"{wrong}:3: '97' is no token id; allowed: 0 to 96")
        pathlib.Path(wrong).write_text("1 2\n")
        self.check_refused_capture(
            [folder, "--tokens", wrong],
            "1 prompt cannot be split\n  --calibration-share 1 takes all of them for calibration",
        )

    def test_broken_checkpoints_are_named_and_leave_no_files(self):
        folder = pathlib.Path(self.checkpoint("dense"))
        given = [str(folder), "--tokens", self.tokens]
        index = folder / "model.safetensors.index.json"
        places = json.loads(index.read_text())
        name = "model.layers.2.self_attn.q_proj.weight"
        shard = folder / places["weight_map"].pop(name)
        index.write_text(json.dumps(places))
        self.check_refused_capture(
            given, f"{index}: no tensor '{name}'; did you mean '{name.replace('q_proj', 'v_proj')}'?"
        )
        shard.unlink()
        self.check_refused_capture(given, f"{index}: names {shard.name}, which is not in {folder}")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
        self.check_refused_capture(
            given, f"{folder}/config.json: model_type is 'qwen2'; allowed: qwen3, qwen3_moe; did you mean 'qwen3'?"
        )


if __name__ == "__main__":
    is_tree = transformers.__version__ == "module tree"
    form = "the module tree" if is_tree else f"the classes of transformers {transformers.__version__}"
    if not is_tree:
        transformers.utils.logging.disable_progress_bar()
    print(f"capture_test: ran on {form}, torch {torch.__version__}", flush=True)
    main()

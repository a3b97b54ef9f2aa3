# SPDX-License-Identifier: Apache-2.0
"""The file of scripts/optimise.py: a sweep file with a section `optimise`; scripts/README.md describes it."""

import difflib
import json
import os
import pathlib
import re

import oscsim
import yaml
from figures import results

OPTIMISE_KEYS = ("objectives", "constraints", "population", "generations", "seed")
# Whose values may be files; `model` may be a config.json.
FILE_KEYS = ("machine", "scheme", "baseline", "costs", "trace", "table", "tensors", "model", "generate.model")
CONSTRAINT = re.compile(r"(\w+)\s*(<=|>=|<|>)\s*(-?[\d.]+(?:[eE][-+]?\d+)?)")


class Problems:
    """Everything that is wrong with the section `optimise`, reported at once, with its place."""

    def __init__(self, name):
        self.name, self.texts = name, []

    def add(self, node, text):
        self.texts.append(f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: {text}")

    def add_unknown(self, node, what, allowed):
        near = difflib.get_close_matches(node.value, allowed, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        self.add(node, f"{what}\n  allowed: {', '.join(allowed)}{hint}")

    def check(self):
        if self.texts:
            raise oscsim.Error("\n".join(self.texts))


class Settings:
    """The section `optimise`."""

    def __init__(self, node, columns, problems):
        self.columns, self.problems = columns, problems
        self.objectives, self.constraints = [], []  # (column, direction); (column, comparison, bound)
        self.population, self.generations, self.seed = 20, 10, 1
        if not isinstance(node, yaml.MappingNode):
            problems.add(node, "optimise must be a section")
            return
        seen = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problems.add(key, "a key of optimise must be a word")
                continue
            if key.value not in OPTIMISE_KEYS:
                problems.add_unknown(key, f"unknown key '{key.value}' in optimise", OPTIMISE_KEYS)
            elif key.value in seen:
                problems.add(key, f"optimise.{key.value} is given twice")
            seen[key.value] = value
        self.read_objectives(seen.get("objectives"), node)
        for item in self.items(seen.get("constraints"), "constraints"):
            self.read_constraint(item)
        self.population = self.whole(seen.get("population"), "population", self.population, 2, 10000)
        self.generations = self.whole(seen.get("generations"), "generations", self.generations, 1, 100000)
        self.seed = self.whole(seen.get("seed"), "seed", self.seed, 0, 2**32 - 1)

    def items(self, node, name):
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.problems.add(node, f"optimise.{name} must be a list")
            return []
        return node.value

    def read_objectives(self, node, section):
        for item in self.items(node, "objectives"):
            pairs = item.value if isinstance(item, yaml.MappingNode) else []
            is_named = len(pairs) == 1 and isinstance(pairs[0][1], yaml.ScalarNode)
            if not is_named or pairs[0][0].value not in ("maximise", "minimise"):
                self.problems.add(item, "an objective is {maximise: COLUMN} or {minimise: COLUMN}")
                continue
            if self.is_measure(pairs[0][1], pairs[0][1].value):
                self.objectives.append((pairs[0][1].value, pairs[0][0].value))
        if not node or (isinstance(node, yaml.SequenceNode) and not node.value):
            self.problems.add(
                section, "optimise.objectives is required, such as [{maximise: speedup}, {minimise: area_mm2}]"
            )

    def read_constraint(self, node):
        match = CONSTRAINT.fullmatch(str(node.value).strip()) if isinstance(node, yaml.ScalarNode) else None
        if not match:
            self.problems.add(node, "a constraint is COLUMN <= NUMBER (or <, >=, >), the number in the column's unit")
        elif self.is_measure(node, match[1]):
            self.constraints.append((match[1], match[2], float(match[3])))

    def is_measure(self, node, name):
        if name not in self.columns:
            allowed = yaml.ScalarNode(node.tag, name, node.start_mark, node.end_mark)
            self.problems.add_unknown(allowed, f"'{name}' is no column of the rows with a number", self.columns)
        return name in self.columns

    def whole(self, node, name, default, least, most):
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode) or not re.fullmatch(r"\d{1,10}", node.value):
            self.problems.add(node, f"optimise.{name} must be a whole number")
        elif not least <= int(node.value) <= most:
            self.problems.add(node, f"optimise.{name} is {node.value}; allowed: {least} to {most}")
        else:
            return int(node.value)
        return default


class SpaceFile:
    """The file: the sweep that it holds, as text, and the section `optimise`, as nodes."""

    def __init__(self, path):
        self.name = str(path)
        try:
            self.text = results.read_text(path, is_any=True)
            root = yaml.compose(self.text)
        except results.ResultError as error:
            raise oscsim.Error(str(error)) from None
        except yaml.YAMLError as error:
            raise oscsim.Error(f"{path}: {error}") from None
        except RecursionError:
            raise oscsim.Error(f"{path}: is nested too deeply") from None
        pairs = root.value if isinstance(root, yaml.MappingNode) else []
        sections = {key.value: (key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)}
        problems = Problems(self.name)
        if "optimise" not in sections:
            raise oscsim.Error(f"{path}: has no section optimise; scripts/README.md describes it")
        for key in {"points", "random"} & sections.keys():
            problems.add(sections[key][0], f"{key} cannot stand beside optimise: the optimiser chooses the points")
        problems.check()
        begin, self.section = sections["optimise"]
        self.named = []  # files that stand beside this one
        for node in sorted(self.files_beside(pairs), key=lambda node: -node.start_mark.index):
            self.named.append(str(pathlib.Path(path).absolute().parent / node.value))
            end = node.end_mark.index
            self.text = self.text[: node.start_mark.index] + json.dumps(self.named[-1]) + self.text[end:]
        self.lines = self.text.splitlines(keepends=True)
        self.blank(begin.start_mark.line, self.end_line(begin))
        self.linked = [[key.value for key, _ in group.value] for group in self.groups(sections)]

    def files_beside(self, pairs):
        """Names of files that are looked up beside this one first: the sweep that is run stands in another folder."""
        folder, found, seen = pathlib.Path(self.name).absolute().parent, {}, set()
        open_pairs = [pair for pair in pairs if pair[0].value != "optimise"]
        while open_pairs:
            key, value = open_pairs.pop()
            if (id(key), id(value)) in seen:  # an alias
                continue
            seen.add((id(key), id(value)))
            for item in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(item, yaml.MappingNode):
                    open_pairs += item.value
                elif key.value in FILE_KEYS and isinstance(item, yaml.ScalarNode) and item.style in (None, "'", '"'):
                    if item.value and not os.path.isabs(item.value) and (folder / item.value).is_file():
                        found[item.start_mark.index] = item
        return found.values()

    @staticmethod
    def groups(sections):
        _, node = sections.get("linked", (None, None))
        return [group for group in node.value if isinstance(group, yaml.MappingNode)] if node else []

    def end_line(self, begin):
        """The first line behind the section that belongs to another one."""
        for number in range(begin.start_mark.line + 1, len(self.lines)):
            if re.match(r"[^\s#]", self.lines[number]):
                return number
        return len(self.lines)

    def blank(self, begin, end):
        """Line numbers stay, so that the program's messages name the user's lines."""
        for number in range(begin, end):
            self.lines[number] = "\n"

    def space(self):
        return "".join(self.lines) + "\nrandom: {count: 1}\n"

    def points(self, points):
        """The same sweep with these points."""
        keep, skip = [], False
        for line in self.lines:
            if re.match(r"[^\s#]", line):
                skip = re.match(r"(axes|linked)\s*:", line) is not None
            if not skip:
                keep.append(line)
        rows = (
            "  - {" + ", ".join(f"{path}: {plain(value)}" for path, value in point.items()) + "}\n" for point in points
        )
        return "".join(keep) + "\npoints:\n" + "".join(rows)


def plain(text):
    """A value as YAML: as it stands, unless it would be read as something else."""
    return text if re.fullmatch(r"\[.*\]|[^\s,:{}\[\]#&*!|>'\"%@`-][^,:{}\[\]#]*", text) else json.dumps(text)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches a design space with NSGA-II (Optuna) where a sweep would be too many points: one generation at a time, each
by `oscsim sweep`. The file is a sweep file with a section `optimise` (scripts/README.md).

    scripts/optimise.py configs/optimise/qwen3_8b_prefill.yaml -o front [--jobs N]

Into the folder: front.csv and front.jsonl (the Pareto set, rows as in a sweep), journal.log (Optuna's), points (a
folder of oscsim sweep with every point that was run). The same command goes on where it ended, to the same result;
generations can be raised. Runs itself in build/venv-optimise, which scripts/python_environment.sh makes. OSCSIM names
another program than build/oscsim.
"""

import argparse
import csv
import fcntl
import hashlib
import io
import json
import math
import operator
import os
import pathlib
import re
import sys
import warnings

sys.dont_write_bytecode = True  # nothing is written to the source tree

import support  # noqa: E402

support.begin()

try:
    import optuna
except ImportError as missing:
    support.rerun(__file__, "optimise", missing)

import oscsim  # noqa: E402
from figures import results  # noqa: E402
from optimising import journal  # noqa: E402
from optimising.space_file import Problems, Settings, SpaceFile  # noqa: E402

COMPARISONS = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt}
# Columns that are no measure, or text.
NO_MEASURE = re.compile(r"key|index|status|error|\w+_bound|\w+_tile_order")


class Optimisation:
    def __init__(self, file, folder, jobs):
        self.file, self.folder, self.jobs = file, folder, jobs
        self.points_folder = folder / "points"
        self.problems = Problems(file.name)
        self.choices = self.read_space()  # name: list of {path: value}
        self.settings = Settings(file.section, self.columns, self.problems)
        self.problems.check()

    def sweep(self, text, folder, **options):
        """Rows of a sweep of this text. Its messages name the user's file."""
        path = self.folder / f"{folder.name}.yaml"
        support.write_whole(path, text)
        try:
            return oscsim.sweep_rows(path, folder, **options)
        except oscsim.Error as error:
            raise oscsim.Error(str(error).replace(str(path), self.file.name)) from None

    def read_space(self):
        """What can vary, as the program reads it: it has checked all of the file then, before anything runs."""
        (row,) = self.sweep(self.file.space(), self.folder / "space", limit=0)
        self.columns = [name for name in row if "." not in name and not NO_MEASURE.fullmatch(name)]
        values = {axis["path"]: axis["values"] for axis in results.read_head(self.folder / "space")["axes"]}
        self.columns = [name for name in self.columns if name not in values]
        choices = {}
        for paths in [*self.file.linked, *([path] for path in values if not any(path in g for g in self.file.linked))]:
            choices[" ".join(paths)] = [dict(zip(paths, item)) for item in zip(*(values[path] for path in paths))]
        return choices

    def begin(self):
        """The study, as far as it got. What decides about its points must not have changed."""
        settings = self.settings
        sense = {
            "objectives": settings.objectives,
            "constraints": settings.constraints,
            "population": settings.population,
            "seed": settings.seed,
            "sweep": hashlib.sha256(self.file.space().encode()).hexdigest(),
        }
        study = self.study()
        begun = study.user_attrs.get("sense")
        if begun is None:
            study.set_user_attr("sense", sense)
        elif begun != json.loads(json.dumps(sense)):
            changed = ", ".join(key for key in sense if begun.get(key) != json.loads(json.dumps(sense[key])))
            raise oscsim.Error(f"{self.folder}: was begun with another {changed}; take another folder")
        for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return study

    def study(self):
        path = self.folder / "journal.log"
        journal.mend(path)
        try:
            backend = optuna.storages.journal.JournalFileBackend(str(path), FolderLock())
            study = optuna.create_study(
                study_name="optimise",
                storage=optuna.storages.JournalStorage(backend),
                load_if_exists=True,
                directions=[sense.replace("ise", "ize") for _, sense in self.settings.objectives],
            )
            done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
            is_whole = all({"point", "key", "violations"} <= trial.user_attrs.keys() for trial in done)
        except Exception as error:  # whatever kind: lines that are right by themselves, but not together
            why = f"{type(error).__name__}: {error}"
            raise oscsim.Error(f"{path}: Optuna cannot read it ({why}); take another folder") from error
        if not is_whole:
            raise oscsim.Error(f"{path}: a finished trial has no point, key or violations; take another folder")
        return study

    def run(self):
        study = self.begin()
        for generation in range(self.settings.generations):
            self.run_generation(study, generation)
        return self.front(study)

    def run_generation(self, study, generation):
        # A generator of its own for each generation: it does not matter which of them ran in this process.
        sampler = optuna.samplers.NSGAIISampler(
            population_size=self.settings.population,
            seed=(self.settings.seed * 1000003 + generation) % 2**32,
            constraints_func=lambda trial: trial.user_attrs["violations"],
        )
        study.sampler = sampler
        done = len(sampler.get_population(study, generation))
        if done < self.settings.population:
            # Chosen before anything is asked: the sampler returns them in another order when it chooses them itself.
            sampler.get_parent_population(study, generation)
            trials = [study.ask() for _ in range(self.settings.population)]
            points = [self.point_of(trial) for trial in trials]
            self.tell(study, list(zip(trials, points)), done)
            self.report(study, generation)

    def point_of(self, trial):
        point = {}
        for name, values in self.choices.items():
            point |= values[trial.suggest_int(name, 0, len(values) - 1)]
        return point

    def tell(self, study, asked, done):
        before = [trial.user_attrs["point"] for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])]
        points = {json.dumps(point, sort_keys=True): point for point in [*before, *(point for _, point in asked)]}
        rows = self.sweep(self.file.points(points.values()), self.points_folder, jobs=self.jobs)
        row_of = {tuple(row[f"{path}.text"] for path in asked[0][1]): row for row in rows}
        for number, (trial, point) in enumerate(asked):
            if number < done:  # told already, before an interruption
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            row = row_of.get(tuple(point.values()))  # none: the file's conditions leave it out
            trial.set_user_attr("point", point)
            trial.set_user_attr("key", row["key"] if row else None)
            trial.set_user_attr("violations", self.violations(row))
            study.tell(trial, self.values(row))

    def value_of(self, row, column):
        if not isinstance(row[column], (int, float)):
            raise oscsim.Error(f"{self.file.name}: '{column}' has no value in these runs; is the base timing_only?")
        return float(row[column])

    def values(self, row):
        if not row or row["status"] != "ok":
            return [-math.inf if sense == "maximise" else math.inf for _, sense in self.settings.objectives]
        return [self.value_of(row, column) for column, _ in self.settings.objectives]

    def violations(self, row):
        """By how much a point breaks each constraint; 0: it does not. The first one: it does not run."""
        if not row or row["status"] != "ok":
            return [1.0] + [math.inf] * len(self.settings.constraints)
        broken = []
        for column, comparison, bound in self.settings.constraints:
            value = self.value_of(row, column)
            holds = COMPARISONS[comparison](value, bound)
            broken.append(0.0 if holds else max(abs(value - bound), sys.float_info.min))
        return [0.0, *broken]

    def report(self, study, generation):
        known = {trial.user_attrs["key"] for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])}
        fit = len({trial.user_attrs["key"] for trial in self.best(study)})
        print(
            f"generation {generation + 1} of {self.settings.generations}: "
            f"{len(known - {None})} points, {fit} on the front",
            flush=True,
        )

    @staticmethod
    def best(study):
        return [trial for trial in study.best_trials if not any(trial.user_attrs["violations"])]

    def front(self, study):
        """Writes the Pareto set, best in the first objective first."""
        rows = {row["key"]: row for row in results.read_sweep(self.points_folder)[1]}
        (column, sense), *_ = self.settings.objectives
        keys = {trial.user_attrs["key"] for trial in self.best(study)}
        if lost := keys - rows.keys():
            raise oscsim.Error(
                f"{self.points_folder}: has no point {min(lost)}, which journal.log has; take another folder"
            )
        front = [rows[key] for key in keys]
        front.sort(key=lambda row: (self.value_of(row, column) * (-1 if sense == "maximise" else 1), row["key"]))
        support.write_whole(self.folder / "front.jsonl", "".join(json.dumps(row) + "\n" for row in front))
        table = io.StringIO()
        writer = csv.DictWriter(table, list(next(iter(rows.values()))), lineterminator="\n")
        writer.writeheader()
        writer.writerows(front)
        support.write_whole(self.folder / "front.csv", table.getvalue())
        return front


class FolderLock:
    """One process has the whole folder (optimise): the journal needs no lock that a kill could leave behind."""

    def acquire(self):
        return True

    def release(self):
        pass


def optimise(arguments):
    folder = pathlib.Path(arguments.output)
    file = SpaceFile(arguments.file)
    names = ("journal.log", "lock", "space.yaml", "points.yaml", "front.jsonl", "front.csv")
    inputs = [arguments.file, *file.named]
    for part in ("space", "points"):
        inputs += results.files_of(folder / part)
    support.check_outputs([folder, *(folder / name for name in names)], inputs)
    folder.mkdir(parents=True, exist_ok=True)
    with open(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666), "rb+", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise oscsim.Error(f"{folder}: another process is at work in this folder") from None
        front = Optimisation(file, folder, arguments.jobs).run()
    print(f"{len(front)} points on the front\n{folder}/front.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", help="sweep file with a section optimise")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="results; the same command goes on")
    parser.add_argument("--jobs", type=int, default=0, help="worker processes (default: one per processor)")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # constraints_func; optuna is pinned
    try:
        optimise(arguments)
    except KeyboardInterrupt:
        print("optimise: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    support.run(lambda: support.status_of(main, "optimise"))

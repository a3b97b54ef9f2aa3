#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts must not do to files (their inputs, links, FIFOs, devices, temporary files), and what sweeps over machines
and schemes must show.

usage: faults_python_test.py OSCSIM SOURCE_ROOT
"""

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import unittest

import browser
from program import PROGRAM, ROOT, SMALL, ProgramTest, main

sys.path.insert(0, f"{ROOT}/scripts")
from figures import results  # noqa: E402
from figures.model import Groups  # noqa: E402
from figures.reports import sweep_report  # noqa: E402

SCHEMES = ["osc", "w4a4", "w8a8", "osc_nvfp4", "w4a4_nvfp4", "w8a8_mxfp8"]
MACHINES = ["edge_npu", "ascend_950pr", "ascend_910b1", "systolic_128"]
SWEEP = f"""schema: 1
base: {{machine: edge_npu, gemms: ["16,128,128,attn_in"], timing_only: false}}
axes:
  machine: [{", ".join(MACHINES)}]
  scheme: [{", ".join(SCHEMES)}]
"""
OPTIMISE = """schema: 1
base: {machine: own.yaml, gemms: ["16,128,128,attn_in"]}
axes: {machine.core.gather.lanes: [2, 4]}
optimise: {objectives: [{minimise: area_mm2}], generations: 1, population: 2}
"""


def setUpModule():
    for name in ("figures", "parquet", "optimise"):
        subprocess.run([f"{ROOT}/scripts/python_environment.sh", f"--{name}"], check=True)


class ScriptTest(ProgramTest):
    def script(self, name, *arguments, **options):
        options = {"capture_output": True, "text": True, "cwd": self.folder.name, "timeout": 280} | options
        return subprocess.run(
            [sys.executable, f"{ROOT}/scripts/{name}.py", *arguments], env=os.environ | {"OSCSIM": PROGRAM}, **options
        )

    def check_written(self, name, *arguments, **options):
        done = self.script(name, *arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def check_refused_by(self, name, message, *arguments):
        """With every file as it was."""
        before = self.contents()
        done = self.script(name, *arguments)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", f"{message}\n"))
        self.assertEqual(self.contents(), before)

    def contents(self):
        found = {}
        for folder, _, names in os.walk(self.folder.name):
            for path in (os.path.join(folder, name) for name in names):
                if not os.path.exists(path):
                    found[path] = os.readlink(path)
                    continue
                with open(path, "rb") as file:
                    found[path] = file.read()
        return found

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def run_json(self):
        self.check_done([*SMALL, "--timing-only", "--json", "r.json"])

    def sweep(self, text=SWEEP):
        self.write("s.yaml", text)
        self.check_done(["sweep", "s.yaml", "-o", "s"])
        return results.read_sweep(self.path("s"))


class InputsTest(ScriptTest):
    def test_b1_report_onto_its_result(self):
        self.run_json()
        os.symlink("r.json", self.path("link"))
        os.link(self.path("r.json"), self.path("hard"))
        for source, target in (("r.json", "r.json"), ("r.json", "link"), ("r.json", "hard"), ("link", "r.json")):
            message = f"report.py: {target}: would overwrite the input {source}"
            self.check_refused_by("report", message, source, "-o", target)
        self.check_refused_by("plot", "plot.py: r.json: would overwrite the input r.json", "r.json", "-o", "r.json")

    def test_b1_variant_files_of_a_sweep_and_figures_onto_each_other(self):
        self.sweep()
        row = "s/rows/1_of_1.0.jsonl"
        self.check_refused_by("report", f"report.py: {row}: would overwrite the input {row}", "s", "-o", row)
        os.mkdir(self.path("f"))
        os.link(self.path("s/points.jsonl"), self.path("f/pareto.png"))
        message = "plot.py: f/pareto.png: would overwrite the input s/points.jsonl"
        self.check_refused_by("plot", message, "s", "-o", "f")
        os.remove(self.path("f/pareto.png"))
        os.symlink("pareto.pdf", self.path("f/pareto.png"))
        message = "plot.py: f/pareto.png: is the same file as the output f/pareto.pdf"
        self.check_refused_by("plot", message, "s", "-o", "f")
        os.symlink("results.jsonl", self.path("s/results.parquet"))
        message = "to_parquet.py: s/results.parquet: would overwrite the input s/results.jsonl"
        self.check_refused_by("to_parquet", message, "s")

    def test_b1_optimise_onto_its_file(self):
        self.write("o.yaml", OPTIMISE)
        self.check_refused_by(
            "optimise", "optimise: o.yaml: would overwrite the input o.yaml", "o.yaml", "-o", "o.yaml"
        )

    def test_b1_variant_optimise_onto_a_machine_that_its_file_names(self):
        self.write("o.yaml", OPTIMISE)
        self.write("own.yaml", self.machine())
        os.mkdir(self.path("out"))
        os.symlink("../own.yaml", self.path("out/points.yaml"))
        message = f"optimise: out/points.yaml: would overwrite the input {self.path('own.yaml')}"
        self.check_refused_by("optimise", message, "o.yaml", "-o", "out")

    def machine(self):
        with open(f"{ROOT}/configs/machines/edge_npu.yaml") as file:
            return file.read()

    def test_c11_optimise_finds_files_beside_its_file(self):
        os.mkdir(self.path("specs"))
        self.write("specs/o.yaml", OPTIMISE)
        self.write("specs/own.yaml", self.machine().replace("cores: 2", "cores: 3"))
        self.check_written("optimise", "specs/o.yaml", "-o", "out")
        head = json.loads(self.read("out/points/sweep.json"))
        self.assertEqual(head["base"]["machine_resolved"]["cores"], 3)

    def test_c11_variant_axes_name_files_beside_the_file(self):
        os.mkdir(self.path("specs"))
        axes = "axes: {machine: [own.yaml, edge_npu]}"
        self.write("specs/o.yaml", re.sub("axes: .*", axes, OPTIMISE).replace("own.yaml, gemms", "edge_npu, gemms"))
        self.write("specs/own.yaml", self.machine().replace("cores: 2", "cores: 3"))
        self.check_written("optimise", "specs/o.yaml", "-o", "out")
        (axis,) = json.loads(self.read("out/points/sweep.json"))["axes"]
        self.assertEqual(set(axis["values"]) - {"edge_npu"}, {self.path("specs/own.yaml")})


# Begins a file and waits to be stopped.
BEGUN = """
import sys, time
sys.path.insert(0, sys.argv[1])
import support
def begin():
    with support.whole_file("o.html") as file:
        file.write(b"half")
        file.flush()
        print("begun", flush=True)
        time.sleep(60)
support.run(lambda: support.status_of(begin, "begin"))
"""


class OutputsTest(ScriptTest):
    def setUp(self):
        super().setUp()
        self.run_json()

    def check_page(self, text):
        self.assertTrue(text.startswith("<!DOCTYPE html>") and text.endswith("</html>"))

    def test_b2_links_are_followed(self):
        os.mkdir(self.path("real"))
        self.write("real/page.html", "old")
        os.chmod(self.path("real/page.html"), 0o640)
        os.symlink("real/page.html", self.path("link.html"))
        os.symlink("real/new.html", self.path("dangling.html"))
        for link in ("link.html", "dangling.html"):
            self.check_written("report", "r.json", "-o", link, umask=0o027)
            self.assertTrue(os.path.islink(self.path(link)))
            self.check_page(self.read(link))
            self.assertEqual(stat.S_IMODE(os.stat(self.path(link)).st_mode), 0o640)
        self.assertEqual(sorted(os.listdir(self.path("real"))), ["new.html", "page.html"])

    def test_b2_fifos_and_devices_stay(self):
        os.mkfifo(self.path("fifo"))
        received = []
        reader = threading.Thread(target=lambda: received.append(self.read("fifo")))
        reader.start()
        self.check_written("report", "r.json", "-o", "fifo")
        reader.join()
        self.check_page(received[0])
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("fifo")).st_mode))
        os.symlink("/dev/null", self.path("null"))
        self.check_written("report", "r.json", "-o", "null")
        self.assertTrue(os.path.islink(self.path("null")))
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))
        if os.getuid() == 0:
            with contextlib.suppress(PermissionError):
                os.mknod(self.path("device"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
                self.check_written("report", "r.json", "-o", "device")
                self.assertTrue(stat.S_ISCHR(os.stat(self.path("device")).st_mode))

    def test_b2_variant_figures_go_through_links_and_standard_output_is_appended_to(self):
        os.mkdir(self.path("f"))
        os.symlink("../elsewhere.pdf", self.path("f/roofline.pdf"))
        self.check_written("plot", "r.json", "-o", "f")
        self.assertTrue(os.path.islink(self.path("f/roofline.pdf")))
        self.assertTrue(self.read_bytes("elsewhere.pdf").startswith(b"%PDF-"))
        self.write("log", "before\n")
        with open(self.path("log"), "a") as log:
            self.check_written("report", "r.json", "-o", "/dev/stdout", stdout=log, capture_output=False, stderr=-1)
        self.assertTrue(self.read("log").startswith("before\n<!DOCTYPE html>"))

    def read_bytes(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def test_d2_names_of_others_are_left_alone(self):
        self.write("victim", "mine")
        os.symlink("victim", self.path("o.html.part"))
        self.check_written("report", "r.json", "-o", "o.html")
        self.assertEqual(self.read("victim"), "mine")
        self.assertEqual(os.readlink(self.path("o.html.part")), "victim")
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["o.html", "o.html.part", "r.json", "victim"])

    def test_d2_variant_a_lock_that_is_a_link_keeps_what_it_names(self):
        self.write("o.yaml", OPTIMISE.replace("own.yaml", "edge_npu"))
        self.write("victim", "mine")
        os.mkdir(self.path("out"))
        os.symlink("../victim", self.path("out/lock"))
        self.check_written("optimise", "o.yaml", "-o", "out")
        self.assertEqual(self.read("victim"), "mine")

    def test_d8_signals_leave_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = subprocess.Popen(
                [sys.executable, "-B", "-c", BEGUN, f"{ROOT}/scripts"], stdout=-1, stderr=-1, cwd=self.folder.name
            )
            self.assertEqual(process.stdout.readline(), b"begun\n")
            self.assertEqual(len(os.listdir(self.folder.name)), 2)
            process.send_signal(number)
            self.assertEqual(process.communicate(timeout=60), (b"", b""))
            self.assertEqual((process.returncode, os.listdir(self.folder.name)), (128 + number, ["r.json"]))

    def test_d8_variant_errors_leave_nothing_and_name_the_file(self):
        done = self.script("report", "r.json", "-o", "o.html", preexec_fn=limited)
        self.assertEqual((done.returncode, done.stderr), (2, "report.py: o.html: File too large\n"))
        self.assertEqual(os.listdir(self.folder.name), ["r.json"])


def limited():
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))


# What plot.py draws of the categories of a sweep: their names' places in points, lines over more than one of them.
TICKS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from figures import paper
from figures.reports import report_of
found = {}
for figure in report_of(sys.argv[2]).figures:
    if figure.name.endswith("_by_category"):
        with paper.matplotlib.rc_context(paper.STYLE):
            drawn = paper.draw(figure)
            drawn.canvas.draw()
        labels = [label for plot in drawn.axes for label in plot.get_yticklabels() if label.get_visible()]
        boxes = [(label.get_text(), label.get_window_extent()) for label in labels]
        lines = [line for plot in drawn.axes for line in plot.get_lines() if len(line.get_ydata()) > 0]
        found[figure.name] = {
            "ticks": [{"text": text, "top": -box.y1, "left": box.x0} for text, box in boxes],
            "letter": max(box.height for _, box in boxes) * 0.8,
            "lines": sum(int(max(line.get_ydata()) - min(line.get_ydata()) >= 1) for line in lines),
        }
print(json.dumps(found))
"""


class SweepTest(ScriptTest):
    def test_a19_the_fastest_points_come_first(self):
        head, rows = self.sweep()
        report = sweep_report(head, rows)
        table = next(table for table in report.tables if table.title.startswith("Points"))
        by_time = sorted(rows, key=lambda row: row["scheme_time_us"])
        self.assertEqual(
            [row[table.heading.index("time (µs)")].value for row in table.rows],
            [row["scheme_time_us"] for row in by_time],
        )
        self.assertEqual((table.shown, len(table.rows)), (20, len(MACHINES) * len(SCHEMES)))
        fastest, best_ratio = by_time[0], max(rows, key=lambda row: row["speedup"])
        self.assertLess(fastest["scheme_time_us"], best_ratio["scheme_time_us"])  # or this sweep tests nothing
        self.assertIn("speed-up over w8a8", table.heading)
        self.assertIn(f"the fastest takes {fastest['scheme_time_us']:.2f} µs", " ".join(report.summary))
        self.assertIn("All points do the same work", " ".join(report.summary))

    def test_a19_variant_where_the_work_differs_ratios_rank_and_say_so(self):
        report = sweep_report(*self.sweep(SWEEP + "  gemm.m: [16, 32]\n"))
        table = next(table for table in report.tables if table.title.startswith("Points"))
        ratios = [row[table.heading.index("speed-up over w8a8")].value for row in table.rows]
        self.assertEqual(ratios, sorted(ratios, reverse=True))
        self.assertTrue(table.note.startswith("The highest speed-up over w8a8 first: the work differs"))

    def test_a20_every_category_is_named_and_no_line_joins_them(self):
        head, rows = self.sweep()
        report = sweep_report(head, rows)
        figures = {figure.name: figure.content for figure in report.figures}
        for name in ("time_by_category", "speedup_by_category", "sqnr_by_category"):
            self.assertIsInstance(figures[name], Groups)  # these have no lines
            self.assertEqual([group.names for group in figures[name].groups], [MACHINES, SCHEMES])
        sqnr = [row["scheme_sqnr_db"] for row in rows if row["scheme"] == "w4a4"]
        box = figures["sqnr_by_category"].groups[1].boxes[SCHEMES.index("w4a4")]
        self.assertEqual((box.least, box.greatest), (min(sqnr), max(sqnr)))
        command = [f"{ROOT}/build/venv-figures/bin/python", "-B", "-c", TICKS, f"{ROOT}/scripts", self.path("s")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, figure in json.loads(done.stdout).items():
            with self.subTest(name=name):
                self.assertEqual([tick["text"] for tick in figure["ticks"]], [*MACHINES, *SCHEMES])
                self.assertEqual(figure["lines"], 0)
                tops = sorted(tick["top"] for tick in figure["ticks"])
                self.assertGreater(min(b - a for a, b in zip(tops, tops[1:])), figure["letter"])  # none over another
                self.assertGreaterEqual(min(tick["left"] for tick in figure["ticks"]), 0)

    @unittest.skipUnless(browser.PATH, "chromium is not installed: scripts/install_dependencies.sh --develop")
    def test_a19_a20_the_page_sorts_by_every_column_and_names_every_category(self):
        _, rows = self.sweep()
        self.check_written("report", "s", "-o", "s.html")
        with browser.Browser() as window:
            window.open(self.path("s.html"))
            window.value("window.figuresDrawn")
            self.assertEqual(window.errors, [])
            for figure in ("time_by_category", "speedup_by_category", "sqnr_by_category"):
                ticks = window.value(
                    f"[...document.querySelectorAll('#{figure} .ytick text, #{figure} .y2tick text')]"
                    ".map(tick => [tick.textContent.trim(), tick.getBoundingClientRect().toJSON()])"
                )
                self.assertEqual(sorted(name for name, _ in ticks), sorted([*MACHINES, *SCHEMES]))
                places = sorted(box["top"] for _, box in ticks)
                self.assertGreater(min(b - a for a, b in zip(places, places[1:])), 10)  # none over another
            headings = window.value(
                "[...document.querySelectorAll('table')[0].tHead.rows[0].cells].map(c => c.innerText)"
            )
            for column, heading in enumerate(headings):
                for direction in ("ascending", "descending"):
                    shown = window.value(self.sorting(column))
                    self.assertEqual(shown["direction"], direction)
                    self.assertEqual(len(shown["cells"]), 20)
                    key = {
                        "point": "index",
                        "time (µs)": "scheme_time_us",
                        "speed-up over w8a8": "speedup",
                        "energy (µJ)": "scheme_energy_uj",
                        "area (mm²)": "area_mm2",
                        "SQNR (dB)": "scheme_sqnr_db",
                    }.get(heading)
                    if key:
                        values = sorted((row[key] for row in rows), reverse=direction == "descending")
                        self.assertEqual(shown["values"], values[:20], (heading, direction))
            self.assertEqual(window.value("document.querySelector('button.all').click(), visible().length"), len(rows))

    @staticmethod
    def sorting(column):
        return f"""(() => {{
          const table = document.querySelectorAll("table")[0];
          window.visible = () => [...table.tBodies[0].rows].filter(row => row.getBoundingClientRect().height > 0);
          table.tHead.rows[0].cells[{column}].click();
          const cells = visible().map(row => row.cells[{column}]);
          return {{
            direction: table.tHead.rows[0].cells[{column}].getAttribute("aria-sort"),
            cells: cells.map(cell => cell.textContent),
            values: cells.map(cell => Number(cell.dataset.value ?? cell.textContent)),
          }};
        }})()"""


if __name__ == "__main__":
    main()

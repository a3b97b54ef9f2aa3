#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/report.py and scripts/plot.py: figures say what the results say, pages open without a network, errors.

usage: figures_test.py OSCSIM SOURCE_ROOT

The browser tests need Chromium (scripts/install_dependencies.sh --develop) and are skipped without it.
OSCSIM_SCREENSHOTS names a folder for what the browser shows.
"""

import collections
import html.parser
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import unittest

import browser
from program import ROOT, ProgramTest, main

sys.path.insert(0, f"{ROOT}/scripts")
from figures import results  # noqa: E402
from figures.reports import run_report, sweep_report  # noqa: E402
from figures.run import peak  # noqa: E402

LAYER = "run --trace qwen3_8b_prefill_full --layers 0-1 --timing-only".split()
GEMMS = "run --machine systolic_128 --gemm 16,512,1024,attn_in --gemm 256,512,1024,attn_in --timing-only".split()
SIDES = ("scheme", "baseline")
HOSTILE = "</script><script>hit = 1</script><img src=x onerror='hit = 1'> <b>&amp; $x$"

SWEEP = """
schema: 1
description: what is tested
base: {machine: edge_npu, gemms: ["64,256,512,attn_in"]}
axes:
  machine.core.gather.lanes: [4, 8, 16]
  scheme: [osc, w4a4]
  machine.hbm.bandwidth: [50GB/s, 100GB/s]
  mapping.m: [16, 4096, 32]
"""
SWEEP_FIGURES = [f"{measure}_by_{kind}" for measure in ("time", "speedup") for kind in ("axis", "category")]
SWEEP_FIGURES += ["pareto", "cycles", "parallel"]
FAILING = SWEEP.replace("[16, 4096, 32]", "[4096]")
THOUSAND = """
schema: 1
base: {machine: edge_npu, gemms: ["64,256,512,attn_in"]}
axes:
  machine.core.gather.lanes: {from: 4, to: 40, count: 10}
  machine.hbm.bandwidth: {from: 50GB/s, to: 140GB/s, count: 10}
  machine.core.vector.rate: {from: 64B/cycle, to: 82B/cycle, count: 10}
"""


def setUpModule():
    # Now, because it says so when it makes it.
    subprocess.run([f"{ROOT}/scripts/python_environment.sh", "--figures"], check=True)


class FiguresTest(ProgramTest):
    def run_json(self, command, name="run.json"):
        self.check_done([*command, "--json", name])
        with open(self.path(name)) as file:
            return json.load(file)

    def sweep(self, text, folder="sweep", status=0):
        with open(self.path("sweep.yaml"), "w") as file:
            file.write(text)
        done = self.run_program(["sweep", "sweep.yaml", "-o", folder])
        self.assertEqual(done.returncode, status, done.stderr)
        return results.read_sweep(self.path(folder))

    def script(self, name, *arguments):
        command = [sys.executable, f"{ROOT}/scripts/{name}.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder.name, timeout=280)

    def check_shown(self, name, *arguments):
        done = self.script(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def page(self, source, name="report.html"):
        self.assertEqual(self.check_shown("report", source, "-o", name), f"{name}\n")
        with open(self.path(name)) as file:
            return file.read()


def figure_of(report, name):
    (figure,) = [figure for figure in report.figures if figure.name == name]
    return figure.content


class RunTest(FiguresTest):
    def test_bars_are_the_numbers_of_the_result(self):
        result = self.run_json(LAYER)
        report = run_report(result)
        names = ["speedup_by_gemm", "speedup_by_layer", "roofline", "cycles_total", "cycles", "energy_total", "energy"]
        self.assertEqual([figure.name for figure in report.figures], names)
        bars = figure_of(report, "speedup_by_gemm")
        gemms = {gemm["name"].split(".")[-1]: gemm["speedup"] for gemm in result["gemms"]}
        self.assertEqual(bars.categories, [*gemms, "all work"])
        for value, expected in zip(bars.series[0].values, [*gemms.values(), result["total"]["speedup"]]):
            self.assertAlmostEqual(value, expected)
        for name, key, factor in (("cycles_total", "time_us", 1e3), ("energy_total", "energy_uj", 1e3)):
            bars = figure_of(report, name)
            self.assertRegex(bars.axis.label, r"\((ms|mJ)\)$")
            for place, side in enumerate(SIDES):
                total = sum(series.values[place] for series in bars.series) * factor
                self.assertAlmostEqual(total, result["total"][side][key], places=3)
        for name, key in (("cycles", "time_us"), ("energy", "energy_uj")):
            bars = figure_of(report, name)
            scale = {"µs": 1, "ms": 1e3, "µJ": 1, "mJ": 1e3}[re.search(r"\((.*)\)", bars.axis.label)[1]]
            place = bars.categories.index("gate_proj, osc")
            expected = sum(gemm["scheme"][key] for gemm in result["gemms"] if gemm["name"].endswith("gate_proj"))
            self.assertAlmostEqual(sum(series.values[place] for series in bars.series) * scale, expected, places=6)

    def test_a_layer_s_speed_up_is_of_all_its_work(self):
        result = self.run_json(LAYER)
        series = figure_of(run_report(result), "speedup_by_layer").panels[0].series
        self.assertEqual([one.x for one in series], [[0, 1], [0, 1]])
        works = result["gemms"] + result["shared"] + result["operations"]
        layer = [work for work in works if ".layers.1." in (work.get("name") or work["input"])]
        baseline, scheme = (
            sum(work[side]["time_us"] for work in layer if work[side]) for side in ("baseline", "scheme")
        )
        self.assertAlmostEqual(series[0].y[1], baseline / scheme)

    def test_peaks_are_those_of_the_resolved_machine(self):
        cube = self.run_json(["run", "--gemm", "16,64,64", "--timing-only"])["provenance"]["machine"]
        self.assertEqual(peak(cube, 4), 2 * 16 * 16 * 64 * 32 * 1.65e9)
        self.assertEqual(peak(cube, 8), peak(cube, 4) / 2)
        machine = self.run_json(GEMMS)["provenance"]["machine"]
        k0 = machine["core"]["tensor"]["k0_8bit"]
        clock = float(machine["clock"].removesuffix("GHz")) * 1e9
        self.assertAlmostEqual(peak(machine, 8) / (2 * 128 * 128 * k0 * machine["cores"] * clock), 1)

    def test_no_gemm_is_above_its_roof(self):
        for command in (LAYER, GEMMS):
            result = self.run_json(command)
            machine = result["provenance"]["machine"]
            points = collections.Counter()
            for panel, level in zip(figure_of(run_report(result), "roofline").panels, ("hbm", "l2")):
                bandwidth = results.quantity(machine[level]["bandwidth"])
                for series in panel.series:
                    if not series.marker:
                        continue
                    side = "scheme" if series.name.startswith(result["provenance"]["scheme_name"]) else "baseline"
                    roof = peak(machine, 4 if side == "scheme" else 8)
                    for intensity, rate in zip(series.x, series.y):
                        self.assertLessEqual(rate * 1e12, 1.0001 * min(roof, intensity * bandwidth), series.name)
                        points[level, side, round(rate, 9)] += 1
            for gemm in result["gemms"]:
                for side in SIDES:
                    rate = round(2 * gemm["m"] * gemm["n"] * gemm["k"] / gemm[side]["time_us"] / 1e6, 9)
                    self.assertGreater(points["hbm", side, rate], 0)

    def test_lines_over_m_join_gemms_of_the_same_weight(self):
        result = self.run_json(GEMMS)
        (series,) = figure_of(run_report(result), "speedup_by_m").panels[0].series
        self.assertEqual(series.name, "gemm_Mx512x1024")
        self.assertEqual(list(zip(series.x, series.y)), [(gemm["m"], gemm["speedup"]) for gemm in result["gemms"]])


class SweepFiguresTest(FiguresTest):
    def test_boxes_fronts_and_failures_are_those_of_the_rows(self):
        head, rows = self.sweep(SWEEP)
        report = sweep_report(head, rows)
        self.assertEqual([figure.name for figure in report.figures], SWEEP_FIGURES)
        done = [row for row in rows if row["status"] == "ok"]
        self.assertEqual(len(done), 24)
        panels = {panel.title: panel for panel in figure_of(report, "speedup_by_axis").panels}
        self.assertEqual(list(panels), [axis["path"] for axis in head["axes"] if axis["path"] != "scheme"])
        values = sorted(row["speedup"] for row in done if row["machine.core.gather.lanes"] == 8)
        box = panels["machine.core.gather.lanes"].boxes[1]
        self.assertEqual((box.least, box.greatest), (values[0], values[-1]))
        self.assertAlmostEqual(box.median, (values[3] + values[4]) / 2)
        self.check_front(figure_of(report, "pareto").panels[0], done)
        failed = report.tables[-1]
        self.assertEqual(failed.title, "Failed points (12)")
        first = next(row for row in rows if row["status"] == "failed")
        self.assertEqual(failed.rows[0][:3], [str(first["index"]), "failed", first["error"]])
        self.assertEqual(failed.rows[0][3], "gather.lanes = 4, scheme = osc, hbm.bandwidth = 50GB/s, mapping.m = 4096")

    def check_front(self, panel, done):
        self.assertEqual(panel.x.label, "area of the machine (mm²)")
        points = {(row["area_mm2"], row["scheme_time_us"]) for row in done}
        unbeaten = {
            point for point in points if not any(x <= point[0] and y <= point[1] and (x, y) != point for x, y in points)
        }
        front = panel.series[1]
        self.assertEqual((front.name, set(zip(front.x, front.y))), ("front", unbeaten))
        for x, texts in zip(front.x, front.texts):
            index, key = re.fullmatch(r"point (\d+), key (\w+)", texts[0]).groups()
            row = next(row for row in done if row["index"] == int(index))
            self.assertEqual((row["key"], row["area_mm2"]), (key, x))

    def test_ratios_are_compared_when_the_work_differs(self):
        head, rows = self.sweep(SWEEP.replace("mapping.m: [16, 4096, 32]", "gemm.m: [16, 64]"))
        labels = [(panel.x.label, panel.y.label) for panel in figure_of(sweep_report(head, rows), "pareto").panels]
        saving, speedup = "energy of the baseline / of the scheme", "speed-up over w8a8"
        self.assertEqual(labels, [("area of the machine (mm²)", speedup), (saving, speedup)])

    def test_a_sweep_without_a_point_that_is_ok_has_a_page_of_errors(self):
        self.sweep(FAILING, status=1)  # no point is ok
        page = self.page("sweep")
        self.assertIn("12 points: 0 ok, 12 failed, 0 not run yet.", page)
        self.assertIn("Failed points (12)", page)
        self.assertNotIn("<figure", page)
        done = self.script("plot", "sweep", "-o", "figures")
        message = "plot.py: sweep: no point is ok, there is nothing to plot; report.py lists the errors\n"
        self.assertEqual((done.returncode, done.stderr), (2, message))
        self.assertFalse(os.path.exists(self.path("figures")))


class References(html.parser.HTMLParser):
    """What a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found, self.scripts = [], 0

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        names = ("src", "href", "srcset", "data", "action")
        self.found += [value for name, value in attributes if name in names and not value.startswith("#")]
        self.found += [tag for name, _ in attributes if name.startswith("on")]


class PageTest(FiguresTest):
    def check_page(self, page, names):
        references = References()
        references.feed(page)
        self.assertEqual((references.found, references.scripts), ([], 2))
        self.assertEqual(re.findall(r'<figure id="(\w+)">', page), names)
        self.assertLess(len(page), 7e6)

    def test_pages_refer_to_nothing_outside_and_texts_stay_texts(self):
        result = self.run_json(LAYER)
        result["provenance"]["scheme_name"] = HOSTILE
        result["gemms"][0]["name"] = HOSTILE
        with open(self.path("hostile.json"), "w") as file:
            json.dump(result, file)
        page = self.page("hostile.json")
        self.check_page(page, [figure.name for figure in run_report(result).figures])
        self.assertNotIn("<script>hit", page)
        self.assertNotIn("<img", re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL))
        with open(self.path("hostile.html"), "w") as file:
            file.write(page)

    def test_a_result_has_one_page(self):
        self.run_json(LAYER)
        self.assertEqual(self.page("run.json"), self.page("run.json", "again.html"))


@unittest.skipUnless(browser.PATH, "chromium is not installed: scripts/install_dependencies.sh --develop")
class BrowserTest(FiguresTest):
    """On a screen of 1366 x 768."""

    def check_shown_in(self, window, name):
        milliseconds = window.value("window.figuresDrawn")
        self.assertEqual(window.errors, [])
        self.assertEqual(
            [url.split("/")[-1] for url in window.requests if not url.startswith(("data:", "blob:"))], [name]
        )
        plots = window.value(
            "[...document.querySelectorAll('.plot')]"
            ".map(plot => plot.querySelector('.main-svg').getBoundingClientRect().toJSON())"
        )
        self.assertEqual(len(plots), window.value("document.querySelectorAll('figure').length"))
        for plot in plots:
            self.assertGreater(min(plot["width"] / 1000, plot["height"] / 100), 1)
        self.assertLessEqual(window.value("document.documentElement.scrollWidth"), 1366)
        titles = window.value(
            "[...new Set([...document.querySelectorAll('.modebar-btn')].map(one => one.dataset.title))]"
        )
        self.assertLessEqual(set(titles), {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"})
        if folder := os.environ.get("OSCSIM_SCREENSHOTS"):
            window.screenshot(os.path.join(folder, name.replace(".html", ".png")))
        return milliseconds

    def test_pages_of_runs_and_sweeps_show_their_figures(self):
        result = self.run_json(LAYER)
        result["gemms"][0]["name"] = HOSTILE
        result["provenance"]["scheme_name"] = HOSTILE
        with open(self.path("hostile.json"), "w") as file:
            json.dump(result, file)
        self.page("run.json", "run.html")
        self.page("hostile.json", "hostile.html")
        self.sweep(FAILING, status=1)  # no point is ok
        self.page("sweep", "failing.html")
        self.sweep(THOUSAND, "thousand")
        self.page("thousand", "thousand.html")
        with browser.Browser() as window:
            for name in ("run.html", "hostile.html", "failing.html", "thousand.html"):
                with self.subTest(name=name):
                    window.open(self.path(name))
                    milliseconds = self.check_shown_in(window, name)
                    self.assertTrue(window.value("typeof hit == 'undefined'"))
                    if name == "hostile.html":
                        ticks = window.value(
                            "[...document.querySelectorAll('.ytick')].map(tick => tick.textContent.trim())"
                        )
                        self.assertIn(HOSTILE, ticks)
                    print(f"{name}: figures shown after {milliseconds / 1000:.2f} s", file=sys.stderr)
                    # 3 s on a machine that does nothing else; tests share it.
                    self.assertLess(milliseconds, 20e3)


class PlotTest(FiguresTest):
    def check_files(self, source, expected):
        paths = self.check_shown("plot", source, "-o", "figures").split()
        self.assertEqual(paths, [f"figures/{name}{suffix}" for name in expected for suffix in (".pdf", ".png")])
        for path in paths:
            with open(self.path(path), "rb") as file:
                data = file.read()
            with self.subTest(path=path):
                self.assertGreater(len(data), 5000)
                if path.endswith(".pdf"):
                    self.assertTrue(data.startswith(b"%PDF-"))
                    self.assertIn(b"/FontFile2", data)  # TrueType, embedded
                    self.assertNotIn(b"/Type3", data)
                else:
                    self.assertTrue(data.startswith(b"\x89PNG"))
                    self.assertIn(struct.unpack(">I", data[16:20])[0], (1050, 2148))  # 3.5 and 7.16 inches at 300 dpi

    def test_runs_become_pdf_and_png_of_column_width(self):
        result = self.run_json(GEMMS)
        self.check_files("run.json", [figure.name for figure in run_report(result).figures])

    def test_sweeps_become_pdf_and_png_of_column_width(self):
        self.sweep(SWEEP)
        self.check_files("sweep", SWEEP_FIGURES)


class ErrorTest(FiguresTest):
    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)
        return name

    def test_wrong_files_and_folders(self):
        self.sweep("schema: 1\nbase: {gemms: ['8,16,64']}\naxes: {machine.cores: [1]}\n", "whole")
        head = {"schema": 1, "sweep": "s", "description": "", "version": "0", "git": "0", "axes": []}
        head["base"] = {"scheme": "osc", "baseline": "w8a8", "machine": "edge_npu"}
        os.mkdir(self.path("empty"))
        cases = [
            ("missing.json", "missing.json: No such file or directory"),
            (
                self.write("text.json", "x"),
                "text.json:1: is no JSON (Expecting value in column 1); oscsim run --json FILE writes what is expected",
            ),
            (self.write("list.json", "[]"), "list.json: is no result of a run; oscsim run --json FILE writes one"),
            ("empty", "empty: has no sweep.json, so it is no folder of oscsim sweep"),
            ("unmerged", "unmerged: has no results.jsonl; oscsim sweep merge unmerged writes it"),
            ("without_points", "without_points/results.jsonl: holds no point"),
            (
                "torn",
                "torn/results.jsonl:1: is no JSON (Expecting property name enclosed in double quotes in column 2); "
                "oscsim sweep merge torn writes it anew",
            ),
            ("older", "older/results.jsonl:1: has no column index; oscsim sweep merge older writes it anew"),
            ("idle", "idle: none of its 1 points has run yet"),
            ("whole/sweep.json", "whole/sweep.json: is no result of a run; oscsim run --json FILE writes one"),
        ]
        for folder, rows in (("unmerged", None), ("without_points", ""), ("torn", "{"), ("older", '{"key": "a"}\n')):
            self.write(f"{folder}/sweep.json", json.dumps(head))
            if rows is not None:
                self.write(f"{folder}/results.jsonl", rows)
        shutil.copytree(self.path("whole"), self.path("idle"))
        with open(self.path("whole/results.jsonl")) as file:
            row = json.loads(file.read())
        self.write("idle/results.jsonl", json.dumps(row | {"status": "missing"}))
        for source, message in cases:
            with self.subTest(source=source):
                done = self.script("report", source, "-o", "report.html")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", f"report.py: {message}\n"))
        self.assertFalse(os.path.exists(self.path("report.html")))

    def test_pages_that_cannot_be_written(self):
        self.run_json(["run", "--gemm", "16,64,64", "--timing-only"])
        done = self.script("report", "run.json", "-o", "nowhere/report.html")
        self.assertEqual(
            (done.returncode, done.stderr), (2, "report.py: nowhere/report.html: No such file or directory\n")
        )
        os.mkdir(self.path("folder"))
        done = self.script("report", "run.json", "-o", "folder")
        self.assertEqual((done.returncode, done.stderr), (2, "report.py: folder: Is a directory\n"))
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["folder", "run.json"])


if __name__ == "__main__":
    main()

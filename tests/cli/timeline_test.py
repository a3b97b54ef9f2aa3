#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--timeline and --vcd: what the files say agrees with the result, and errors leave nothing behind.

usage: timeline_test.py OSCSIM SOURCE_ROOT
"""

import gzip
import json
import os
from collections import defaultdict

from program import SMALL, ProgramTest, main

# Tails in every direction, both sides, shared work, a branch unit of its own.
GEMMS = "run --machine edge_npu --gemm 150,300,700,attn_in --gemm 64,100,500,o_in --timing-only".split()
ALL = ["--timeline-cores", "all"]
SIDES = ("scheme", "baseline")


def slices_of(trace):
    """{(process name, track name): slices by start}"""
    process, track = {}, {}
    found = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "M" and event["name"] == "process_name":
            process[event["pid"]] = event["args"]["name"]
        if event["ph"] == "M" and event["name"] == "thread_name":
            track[event["pid"], event["tid"]] = event["args"]["name"]
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            found[process[event["pid"]], track[event["pid"], event["tid"]]].append(event)
    for events in found.values():
        events.sort(key=lambda event: (event["args"]["start"], event["args"]["cycles"]))
    return dict(found)


def end_of(event):
    return event["args"]["start"] + event["args"]["cycles"]


def is_wait(event):
    return event["name"].startswith("wait: ")


class TimelineTest(ProgramTest):
    def record(self, *arguments, name="t.json.gz", command=GEMMS):
        """(timeline, result)"""
        self.check_done([*command, *arguments, "--timeline", name, "--json", "r.json"])
        opener = gzip.open if name.endswith(".gz") else open
        with opener(self.path(name), "rt") as file, open(self.path("r.json")) as result:
            return json.load(file), json.load(result)

    def test_slices_of_a_track_do_not_overlap(self):
        trace, _ = self.record(*ALL)
        tracks = slices_of(trace)
        self.assertIn(("scheme osc: core 1", "branch"), tracks)
        count = 0
        for name, events in tracks.items():
            for before, after in zip(events, events[1:]):
                self.assertLessEqual(end_of(before), after["args"]["start"], name)
                ns = [int(time * 1000) for time in (before["ts"], before["dur"], after["ts"])]
                self.assertLessEqual(ns[0] + ns[1], ns[2], name)  # as Perfetto reads them
                count += 1
        self.assertGreater(count, 900)

    def test_times_are_cycles_at_the_clock(self):
        trace, result = self.record(*ALL, "--set", "machine.clock=1.65GHz")
        self.assertEqual(trace["otherData"]["clock_hz"], 1.65e9)
        for events in slices_of(trace).values():
            for event in events:
                self.assertAlmostEqual(event["ts"] * 1650, event["args"]["start"], delta=0.01)
                self.assertAlmostEqual(event["dur"] * 1650, event["args"]["cycles"], delta=0.01)

    def test_gemms_fill_the_axis_up_to_the_total(self):
        trace, result = self.record(*ALL)
        tracks = slices_of(trace)
        for side in SIDES:
            events = tracks[f"{side} {result['provenance'][side + '_name']}", "GEMMs"]
            at = 0
            for event in events:
                self.assertEqual(event["args"]["start"], at)
                at = end_of(event)
            self.assertEqual(at, result["total"][side]["cycles"])
            found = {event["name"]: event["args"]["cycles"] for event in events}
            for gemm in result["gemms"]:
                self.assertEqual(found[gemm["name"]], gemm[side]["cycles"])

    def test_work_of_slices_is_the_busy_time_of_the_result(self):
        trace, result = self.record(*ALL)
        cores = result["provenance"]["machine"]["cores"]
        tracks = slices_of(trace)
        for side in SIDES:
            title = f"{side} {result['provenance'][side + '_name']}"
            for work in tracks[title, "GEMMs"]:
                entry = next(
                    entry[side]
                    for entry in result["gemms"] + result["shared"]
                    if work["name"] == (entry["name"] if "n" in entry else f"{entry['input']} (shared)")
                )
                for pipe, busy in entry["busy_cycles"].items():
                    commands = [
                        event
                        for core in range(cores)
                        for event in tracks.get((f"{title}: core {core}", pipe.removesuffix("_startup")), [])
                        if work["args"]["start"] <= event["args"]["start"] < end_of(work) and not is_wait(event)
                    ]
                    key = "cycles" if pipe.endswith("_startup") else "work"
                    total = sum(event["args"][key] for event in commands)
                    if pipe.endswith("_startup"):  # the rest of the occupancy
                        total -= sum(event["args"]["work"] for event in commands)
                    self.assertEqual((total + cores // 2) // cores, busy, (title, work["name"], pipe))

    def test_waits_of_the_matrix_unit_are_the_cycle_stack(self):
        trace, result = self.record(*ALL, "--set", "machine.cores=1")
        tracks = slices_of(trace)
        compared = 0
        for side in SIDES:
            title = f"{side} {result['provenance'][side + '_name']}"
            works = {event["name"]: event for event in tracks[title, "GEMMs"]}
            for gemm in result["gemms"]:
                work = works[gemm["name"]]
                within = [
                    event
                    for event in tracks[f"{title}: core 0", "tensor"]
                    if work["args"]["start"] <= event["args"]["start"] < end_of(work)
                ]
                waits = defaultdict(int)
                for event in filter(is_wait, within):
                    waits[event["name"].removeprefix("wait: ")] += event["args"]["cycles"]
                stack = gemm[side]["cycle_stack"]
                branch_work = sum(
                    event["args"]["work"] for event in within if not is_wait(event) and "branch" in event["name"]
                )
                gaps = sum(event["args"]["cycles"] - event["args"]["work"] for event in within if not is_wait(event))
                tail = {"branch": stack["branch"] - branch_work - waits.pop("branch", 0)}
                tail["startup"] = stack["startup"] - gaps - waits.pop("own latency", 0)
                for pipe in ("load", "feed", "drain", "gather", "vector", "memory"):
                    tail[pipe] = stack[f"wait_{pipe}"] - waits.pop(pipe, 0)
                    compared += stack[f"wait_{pipe}"] > 0
                # What is left is the last tile's way out.
                self.assertGreaterEqual(min(tail.values()), 0, (title, gemm["name"]))
                self.assertEqual(sum(tail.values()), end_of(work) - end_of(within[-1]), (title, gemm["name"]))
                self.assertGreater(tail["drain"], 0, (title, gemm["name"]))
                self.assertFalse(waits)
        self.assertGreater(compared, 6)

    def test_counters(self):
        trace, result = self.record(*ALL)
        counters = [event for event in trace["traceEvents"] if event["ph"] == "C"]
        names = {event["name"] for event in counters}
        self.assertLessEqual({"L2 bytes/s", "HBM bytes/s", "l1_a slots", "l0 slots", "l0c slots"}, names)
        # The bytes that pass are those of the result: each value holds until the next one.
        for name, level in (("L2 bytes/s", "l2"), ("HBM bytes/s", "hbm")):
            for side in SIDES:
                pid = next(
                    event["pid"]
                    for event in trace["traceEvents"]
                    if event["name"] == "process_name"
                    and event["args"]["name"] == f"{side} {result['provenance'][side + '_name']}: memory"
                )
                events = [event for event in counters if (event["pid"], event["name"]) == (pid, name)]
                self.assertEqual(list(events[-1]["args"].values()), [0, 0])
                parts = [e[side]["bytes"] for e in result["gemms"] + result["shared"] if e[side]]
                for series, kind in (("read", "read"), ("written", "write")):
                    passed = sum(
                        event["args"][series] * (after["ts"] - event["ts"]) * 1e-6
                        for event, after in zip(events, events[1:])
                    )
                    expected = sum(part[f"{level}_{kind}"] for part in parts)
                    self.assertAlmostEqual(passed / expected, 1, delta=1e-3)

    def test_tile_coordinates(self):
        trace, _ = self.record(*ALL)
        tracks = slices_of(trace)
        step = next(e for e in tracks["scheme osc: core 0", "tensor"] if e["name"] == "4 bit")
        self.assertLessEqual({"rows", "columns", "k_range", "m", "n", "k", "bits"}, step["args"].keys())
        first, last = map(int, step["args"]["columns"].split(".."))
        self.assertEqual(last - first, step["args"]["n"])
        load = next(e for e in tracks["scheme osc: core 0", "load"] if e["name"] == "b")
        self.assertLessEqual({"tensor", "rows", "k_range", "bytes"}, load["args"].keys())

    def test_equal_work_is_drawn_once_and_counts_every_time(self):
        command = "run --machine edge_npu --gemm 64,100,500,o_in --gemm 64,100,500,o_in".split()
        for mode in (["--timing-only"], []):
            trace, result = self.record(*ALL, *mode, command=command)
            tracks = slices_of(trace)
            first, second = [e for e in tracks["scheme osc", "GEMMs"] if not e["name"].endswith("(shared)")]
            self.assertEqual(second["args"]["same_as"], first["name"])
            self.assertEqual(second["args"]["cycles"], first["args"]["cycles"])
            for event in tracks["scheme osc: core 0", "tensor"]:
                self.assertLessEqual(end_of(event), end_of(first))

    def test_window_keeps_what_touches_it(self):
        whole, _ = self.record(*ALL)
        for window, first, last in (("2us-3.5us", 2000, 3500), ("2000cycles-3500cycles", 2000, 3500)):
            part, _ = self.record(*ALL, "--timeline-window", window)
            expected = {
                name: [e for e in events if e["args"]["start"] < last and end_of(e) > first]
                for name, events in slices_of(whole).items()
            }
            self.assertEqual(slices_of(part), {name: events for name, events in expected.items() if events})
            for event in part["traceEvents"]:
                if event["ph"] == "C":
                    self.assertTrue(2 <= event["ts"] < 3.5, event)

    def test_core_0_unless_asked_otherwise(self):
        done = self.run_program([*GEMMS, "--timeline", "t.json"])
        self.assertEqual(
            (done.returncode, done.stderr), (0, "t.json: core 0 of 2; --timeline-cores all shows all of them\n")
        )
        with open(self.path("t.json")) as file:
            names = {process for process, _ in slices_of(json.load(file))}
        self.assertEqual(names, {f"{side}{part}" for side in ("scheme osc", "baseline w8a8") for part in ("", ": core 0")})
        trace, _ = self.record("--timeline-cores", "1")
        self.assertIn(("scheme osc: core 1", "tensor"), slices_of(trace))
        self.assertNotIn(("scheme osc: core 0", "tensor"), slices_of(trace))

    def test_recording_changes_nothing(self):
        _, with_timeline = self.record(*ALL, "--vcd", "x.vcd", command=GEMMS[:5] + ["--timing-only"])
        self.check_done([*GEMMS[:5], "--timing-only", "--json", "r.json"])
        with open(self.path("r.json")) as file:
            self.assertEqual(json.load(file), with_timeline)

    def test_same_run_writes_the_same_bytes(self):
        for name in ("a", "b"):
            self.check_done([*GEMMS[:5], *ALL, "--timeline", f"{name}.json.gz", "--vcd", f"{name}.vcd"])
        for suffix in (".json.gz", ".vcd"):
            with open(self.path(f"a{suffix}"), "rb") as a, open(self.path(f"b{suffix}"), "rb") as b:
                self.assertEqual(a.read(), b.read())

    def test_suffix_says_whether_it_is_compressed(self):
        plain, _ = self.record(*ALL, name="t.json")
        packed, _ = self.record(*ALL)
        self.assertEqual(plain, packed)


class Dump:
    """A value change dump, read after IEEE 1364: {path: [(time, value), ...]}."""

    def __init__(self, text):
        head, body = text.split("$enddefinitions $end\n")
        scopes, path_of = [], {}
        for line in head.splitlines():
            words = line.split()
            if words[0] == "$scope":
                scopes.append(words[2])
            elif words[0] == "$upscope":
                scopes.pop()
            elif words[0] == "$var":
                assert words[3] not in path_of and words[-1] == "$end"
                path_of[words[3]] = ".".join([*scopes, words[4]]), int(words[2])
            else:
                assert words[0] in ("$version", "$timescale", "$comment"), line
        assert not scopes
        self.changes = {path: [] for path, _ in path_of.values()}
        time = None
        for line in body.splitlines():
            if line.startswith("#"):
                assert time is None or int(line[1:]) > time
                time = int(line[1:])
            else:
                value, code = line.removeprefix("b").split(" ")
                path, width = path_of[code]
                assert line[0] == "b" and len(value) <= width, line
                self.changes[path].append((time, int(value, 2)))


class WaveformTest(ProgramTest):
    GEMM = "run --machine edge_npu --gemm 100,200,500,o_in --timing-only".split()

    def test_states_are_those_of_the_timeline(self):
        self.check_done([*self.GEMM, *ALL, "--timeline", "t.json", "--vcd", "x.vcd"])
        with open(self.path("x.vcd")) as file:
            changes = Dump(file.read()).changes
        with open(self.path("t.json")) as file:
            tracks = slices_of(json.load(file))
        compared = 0
        for (process, pipe), events in tracks.items():
            if ": core " not in process:
                continue
            side, core = process.split(" ")[0], process.split(" ")[-1]
            path = f"{side}.core{core}.{pipe}"
            states = changes[f"{path}.state"] + [(None, None)]
            busy, waiting = [
                sum(after[0] - now[0] for now, after in zip(states, states[1:]) if now[1] == state) for state in (1, 2)
            ]
            period = 10**15 // 10**9  # edge_npu: 1 GHz
            waits = [event for event in events if is_wait(event)]
            self.assertEqual(waiting, sum(event["args"]["cycles"] for event in waits) * period, path)
            self.assertEqual(busy, sum(e["args"]["cycles"] for e in events if not is_wait(e)) * period, path)
            compared += 1
        self.assertGreater(compared, 10)
        for path, values in changes.items():
            if path.endswith(".free"):
                self.assertEqual(values[-1][1], max(value for _, value in values), f"{path}: all are free in the end")
            if path.endswith(".cycle"):
                self.assertEqual([time // 10**6 for time, _ in values], [cycle for _, cycle in values])

    def test_one_gemm_only(self):
        self.check_refused(
            [*GEMMS, "--vcd", "x.vcd"],
            "--vcd shows one GEMM, the run has 2\n  choose one with --gemm, or with --layers and --only",
        )
        self.check_refused(
            "run --machine edge_npu --gemm 4096,4096,16384 --timing-only --vcd x.vcd".split(),
            "gemm_4096x4096x16384: --vcd: more than 200000 commands; a smaller GEMM or fewer cores (--set machine.cores=1) make a readable "
            "waveform",
        )
        self.assertEqual(os.listdir(self.folder.name), [])


class RefusalTest(ProgramTest):
    CASES = [
        (["--timeline", "t.txt"], "--timeline t.txt: allowed: names ending in .json or .json.gz"),
        (["--timeline", "t.gz"], "--timeline t.gz: allowed: names ending in .json or .json.gz"),
        (["--vcd", "x.json"], "--vcd x.json: allowed: names ending in .vcd"),
        (
            ["--timeline", "nowhere/t.json"],
            "nowhere/t.json: cannot be written: there is no folder 'nowhere'",
        ),
        (["--timeline", "t.json", "--json", "./t.json"], "--timeline and --json name the same file, ./t.json"),
        (["--timeline-cores", "0"], "--timeline-cores requires --timeline\n  see: oscsim run --help"),
        (["--timeline", "t.json", "--timeline-cores", "2"], "--timeline-cores: core 2; the machine has cores 0 to 1"),
        (["--timeline", "t.json", "--timeline-cores", "0,x"], "--timeline-cores: 'x' is not a number"),
        (["--timeline", "t.json", "--timeline-cores", "3-1"], "--timeline-cores: 1; allowed: 3 to 4095"),
        (
            ["--timeline", "t.json", "--timeline-window", "5us"],
            "--timeline-window: '5us' is no range; expected one such as 100us-150us or 2000cycles-3000cycles",
        ),
        (
            ["--timeline", "t.json", "--timeline-window", "5us-5us"],
            "--timeline-window: '5us-5us' is empty; the first bound comes before the second",
        ),
    ]

    def test_wrong_options(self):
        for arguments, message in self.CASES:
            with self.subTest(arguments):
                self.check_refused([*SMALL, "--timing-only", *arguments], message)
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_window_without_units(self):
        done = self.run_program([*SMALL, "--timeline", "t.json", "--timeline-window", "5-6"])
        self.assertRegex(done.stderr, r"^oscsim: --timeline-window: '5' has no unit")
        self.assertEqual(done.returncode, 2)

    def test_failed_run_leaves_nothing(self):
        done = self.run_program([*SMALL, "--timing-only", "--tensors", "missing", "--timeline", "t.json"])
        self.assertEqual(done.returncode, 2)
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_full_device(self):
        for name in ("t.json", "t.json.gz"):
            os.symlink("/dev/full", self.path(name))
            self.check_refused(
                [*SMALL, "--timing-only", "--timeline", name], f"{name}: cannot be written: No space left on device"
            )


if __name__ == "__main__":
    main()

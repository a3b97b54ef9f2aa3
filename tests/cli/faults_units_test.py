#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Timing rules, stacks and cost tables from the outside, against faults that users have found."""

import json
import re

from program import ROOT, ProgramTest, main

OUTPUT_STATIONARY = ["--machine", "systolic_128", "--set", "machine.core.tensor.dataflow=output_stationary"]


def area_of(text, kind):
    return float(re.search(rf"(?m)^area\.{kind}\.value +([\d.]+)um2 ", text).group(1))


class FaultsOfUnits(ProgramTest):
    def cycles(self, *settings, gemm="128,128,128,attn_in"):
        command = ["run", *OUTPUT_STATIONARY, "--scheme", "bf16", "--baseline", "bf16", "--timing-only", "--gemm", gemm]
        for setting in settings:
            command += ["--set", f"machine.core.tensor.{setting}"]
        self.check_done([*command, "--json", self.path("r.json")])
        with open(self.path("r.json"), encoding="utf-8") as file:
            return json.load(file)["gemms"][0]["scheme"]["cycles"]

    def test_a9_rules_sides_and_latency_of_an_output_stationary_array(self):
        # One fold of 128 x 128, a stream of 128: the drain, which follows the array, is the same behind each.
        base = self.cycles("overlap_folds=false")
        self.assertEqual(base - self.cycles("overlap_folds=false", "fold_rule=program"), 128)
        self.assertEqual(self.cycles("overlap_folds=false", "element_latency=5cycles") - base, 5)
        narrow = ("overlap_folds=false", "columns=64")
        down, along = (self.cycles(*narrow, f"drain_side={side}", gemm="128,64,128") for side in ("columns", "rows"))
        self.assertEqual(down - along, 128 - 64)

    def test_a9_variant_names_that_contradict_the_dataflow_are_refused(self):
        stationary = "weight_stationary and input_stationary"
        for dataflow, name, value, of in (
            ("output_stationary", "fold_registers", "shadow_weights", stationary),
            ("weight_stationary", "fold_registers", "output_register", "output_stationary"),
            ("input_stationary", "drain_side", "rows", "output_stationary"),
        ):
            settings = (f"machine.core.tensor.dataflow={dataflow}", f"machine.core.tensor.{name}={value}")
            self.check_refused(
                ["run", "--machine", "systolic_128", "--gemm", "8,16,64", "--set", settings[0], "--set", settings[1]],
                f"{ROOT}/configs/machines/systolic_128.yaml:4:1: core.tensor.{name} is {value}, which only {of} "
                f"arrays have; dataflow is {dataflow}",
            )

    def test_a9_variant_every_choice_is_described(self):
        text = self.check_done(["describe", "machine"])
        for field in ("fold_rule", "drain_side", "fold_registers", "fold_interval", "element_latency"):
            self.assertRegex(text, rf"(?m)^core\.tensor\.{field} ")
            self.assertRegex(text, rf"(?m)^core\.branch\.{field} ")

    def test_a17_describe_shows_ratios_of_synthesis_with_class_and_source(self):
        for node in ("45nm", "7nm"):
            text = self.check_done(["describe", "costs", node])
            e2m1 = area_of(text, "mac.mxfp4")
            for kind, ratio in (("fp8", 4.5), ("bf16", 7.5), ("int8", 4.7), ("int4", 1.4)):
                self.assertAlmostEqual(area_of(text, f"mac.{kind}") / e2m1, ratio, delta=0.001 * ratio)
            self.assertAlmostEqual(area_of(text, "accumulate") / area_of(text, "mac.int8"), 2, delta=0.002)
            self.assertRegex(text, r"(?m)^area\.mac\.bf16\.class +measured ")
            self.assertRegex(text, r"(?m)^area\.mac\.bf16\.source +yosys 0\.23: 7\.5 times mxfp4 ")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The program under test: every test file here is called with OSCSIM SOURCE_ROOT."""

import os
import subprocess
import sys
import tempfile
import unittest

# Tests read all that the program says; the line of progress in logs is not among it, however slow the machine.
os.environ.setdefault("OSCSIM_PROGRESS_SECONDS", "0")

PROGRAM, ROOT = (os.path.abspath(path) for path in sys.argv[1:3])

with open(PROGRAM, "rb") as program_file:
    IS_SANITIZED = b"__asan_init" in program_file.read()  # the sanitizers need memory of their own

# A GEMM that runs in milliseconds.
SMALL = ["run", "--machine", "edge_npu", "--gemm", "8,16,64,attn_in"]


# Runs a program and prints the largest amount of memory that it had, in KiB. A process of its own: the figure of this
# one would count every program that it has started before.
MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


class ProgramTest(unittest.TestCase):
    """Runs the program in an empty working directory of its own."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="oscsim-cli-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_program(self, arguments, **options):
        options = {"capture_output": True, "text": True, "timeout": 120, "cwd": self.folder.name} | options
        return subprocess.run([PROGRAM, *arguments], **options)

    def check_done(self, arguments):
        done = self.run_program(arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def peak_mebibytes(self, arguments):
        """The largest amount of memory that the program had; None under the sanitizers."""
        command = [sys.executable, "-c", MEASURE, PROGRAM, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=self.folder.name)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return None if IS_SANITIZED else int(done.stdout) / 1024

    def check_refused(self, arguments, message):
        """Exit status 2, nothing on standard output, exactly this text on standard error."""
        done = self.run_program(arguments)
        self.assertEqual(done.stderr, f"oscsim: {message}\n")
        self.assertEqual((done.returncode, done.stdout), (2, ""))


def main():
    unittest.main(argv=sys.argv[:1])

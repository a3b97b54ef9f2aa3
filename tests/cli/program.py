# SPDX-License-Identifier: Apache-2.0
"""The program under test: every test file here is called with OSCSIM SOURCE_ROOT."""

import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM, ROOT = (os.path.abspath(path) for path in sys.argv[1:3])

# A GEMM that runs in milliseconds.
SMALL = ["run", "--machine", "edge_npu", "--gemm", "8,16,64,attn_in"]


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

    def check_refused(self, arguments, message):
        """Exit status 2, nothing on standard output, exactly this text on standard error."""
        done = self.run_program(arguments)
        self.assertEqual(done.stderr, f"oscsim: {message}\n")
        self.assertEqual((done.returncode, done.stdout), (2, ""))


def main():
    unittest.main(argv=sys.argv[:1])

# SPDX-License-Identifier: Apache-2.0
"""What several scripts need: their environment, and files that appear whole or not at all."""

import contextlib
import os
import sys


def rerun(script, name, missing):
    """Runs the script again in build/venv-NAME, which python_environment.sh makes; raises `missing` when it runs there."""
    if os.path.basename(sys.prefix) == f"venv-{name}":
        raise missing
    environment = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python_environment.sh")
    os.execv(environment, [environment, f"--{name}", os.path.abspath(script), *sys.argv[1:]])


@contextlib.contextmanager
def whole_file(path):
    """The name to write to; at the end it becomes `path`, or goes if there was an error."""
    part = f"{path}.part"
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(part)
        raise

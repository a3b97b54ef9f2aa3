# SPDX-License-Identifier: Apache-2.0
"""What several scripts need: their environment, how they end, and files that appear whole or not at all."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import signal
import stat
import sys
import tempfile

MOST_LINKS = 40  # as Linux follows

_parts = set()  # temporary files that are there now
_signals = []  # that came


class UserError(Exception):
    """The user's mistake; the text says what to do."""


def begin():
    """Ctrl-C while a script imports what it needs ends it without a word; `run` tidies up after that."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def rerun(script, name, missing):
    """Runs the script again in build/venv-NAME, which python_environment.sh makes; raises `missing` when it runs there."""
    if os.path.basename(sys.prefix) == f"venv-{name}":
        raise missing
    environment = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python_environment.sh")
    os.execv(environment, [environment, f"--{name}", os.path.abspath(script), *sys.argv[1:]])


def _interrupt(number, _):
    _signals.append(number)
    raise KeyboardInterrupt


def status_of(main, name):
    """Calls it: the exit status of the program. The user's mistakes, and what the system refuses, are 2; signals 128 +
    their number. `name` begins messages."""
    try:
        status = main() or 0
        if sys.stdout:  # >&-
            sys.stdout.flush()
        return status
    except UserError as error:
        return _refusal(name, error)
    except OSError as error:
        return _refusal(name, f"{error.filename or 'output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 128 + (_signals or [signal.SIGINT])[0]
    finally:
        for part in list(_parts):  # a second signal cut their removal short
            _remove(part)


def run(status):
    """Ends the program with the status that it returns. Signals end it as Ctrl-C does: what was begun is tidied up."""
    if sys.stdout:
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be UTF-8
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    sys.exit(status())


def _refusal(name, text):
    print(f"{name}: {text}", file=sys.stderr)
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # or Python tries again at its end, and says so
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 2


def _remove(part):
    with contextlib.suppress(OSError):
        os.remove(part)
    _parts.discard(part)


def _refuse_folder(path):
    if not path:
        raise UserError("an empty name for an output file")
    if os.path.isdir(path) or os.path.basename(path) in ("", ".", ".."):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)


def _open_descriptor(path):
    """A new descriptor when `path` is one that a process has open (/dev/stdout, /proc/self/fd/1, a link to it): what
    it stands for may be a file that others write to as well. None for all other paths."""
    named = path
    for _ in range(MOST_LINKS):
        folder, name = os.path.split(os.path.abspath(named))
        folder = os.path.realpath(folder)
        if match := re.fullmatch(r"/proc/(\d+)(?:/task/\d+)?/fd", folder):
            own = int(match[1]) == os.getpid() and name.isdecimal()
            return os.dup(int(name)) if own else os.open(path, os.O_WRONLY)
        named = os.path.join(folder, name)
        if not os.path.islink(named):
            return None
        named = os.path.join(folder, os.readlink(named))
    return None


def is_standard_output(path):
    """Then a script prints nothing else there."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False


@contextlib.contextmanager
def whole_file(path):
    """A binary file to write to. At the end it becomes `path`, with the mode of the file that was there; after an error
    or a signal nothing of it stays. A link is followed; what is no ordinary file (a FIFO, a device, a descriptor) is
    written into at the end. The temporary file stands beside `path` under a new name that cannot be guessed."""
    path = os.fspath(path)
    _refuse_folder(path)
    descriptor = _open_descriptor(path)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        status = None
    if descriptor is None and (status is None or stat.S_ISREG(status.st_mode)):
        with _renamed_file(path, status) as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        with _named(path), open(os.open(path, os.O_WRONLY) if descriptor is None else descriptor, "wb") as target:
            shutil.copyfileobj(file, target)


@contextlib.contextmanager
def _renamed_file(path, status):
    target = os.path.realpath(path)
    if status and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    folder, name = os.path.split(target)
    part = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(8)}")
    _parts.add(part)
    try:
        with _named(path, part):
            # Not tempfile: its files are for nobody else to read, and only the system knows the mask.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(part, flags, 0o666), "w+b") as file:
                yield file
                file.flush()
                if status:
                    os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
                os.fsync(file.fileno())
            os.replace(part, target)
    finally:
        _remove(part)


@contextlib.contextmanager
def _named(path, part=None):
    """Errors of the system name the user's file, not the temporary one."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, part):
            raise OSError(error.errno, error.strerror, path) from error
        raise


def write_whole(path, text):
    """Text that is no Unicode (names of files) gets `?`."""
    with whole_file(path) as file:
        file.write(text.encode(errors="replace"))


def _identities(path):
    """What makes two names one file. None for character devices: nothing is lost when two write to one."""
    try:
        status = os.stat(path)
    except OSError:
        return [os.path.realpath(path)]
    if stat.S_ISCHR(status.st_mode):
        return []
    return [os.path.realpath(path), (status.st_dev, status.st_ino)]


def check_outputs(outputs, inputs=()):
    """Before anything is written: no output is an input or another output, under whatever name."""
    taken = {}
    for path in inputs:
        for identity in _identities(path):
            taken.setdefault(identity, f"would overwrite the input {path}")
    for path in outputs:
        if not os.fspath(path):
            raise UserError("an empty name for an output")
        for identity in _identities(path):
            if identity in taken:
                raise UserError(f"{path}: {taken[identity]}")
        for identity in _identities(path):
            taken[identity] = f"is the same file as the output {path}"

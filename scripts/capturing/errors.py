# SPDX-License-Identifier: Apache-2.0
"""The user's mistakes: one exception, caught once in capture.py."""

import difflib

import support


class InputError(support.UserError):
    pass


def did_you_mean(name, names):
    """The end of a message: the nearest of the names, or nothing."""
    near = difflib.get_close_matches(str(name), [str(each) for each in names], n=1)
    return f"; did you mean '{near[0]}'?" if near else ""

# SPDX-License-Identifier: Apache-2.0
"""What JSON must look like to be read as a result: a shape is a function that raises Mismatch for other values."""

import json
import math

MOST_LEVELS = 100  # results have seven
LEAST, GREATEST = 1e-30, 1e30  # magnitudes that sums and quotients of results stay finite with


class Mismatch(Exception):
    """`place`: keys and positions from the outermost value to the one that is wrong."""

    def __init__(self, text, place=()):
        super().__init__(text)
        self.text, self.place = text, place


def shown(value):
    """Short, and without what a terminal would obey."""
    names = {dict: "an object", list: "a list"}
    text = names.get(type(value)) or json.dumps(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"


def expected(what, value):
    return Mismatch(f"is {shown(value)}; expected {what}")


def within(key, shape, value):
    try:
        shape(value)
    except Mismatch as mismatch:
        mismatch.place = (key, *mismatch.place)
        raise


def anything(_):
    pass


def text(value):
    if not isinstance(value, str):
        raise expected("text", value)


def truth(value):
    if not isinstance(value, bool):
        raise expected("true or false", value)


def number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise expected("a number", value)
    if value != 0 and not LEAST <= abs(value) <= GREATEST:
        raise expected(f"0 or a magnitude from {LEAST:g} to {GREATEST:g}", value)


def amount(value):
    """A number that is not negative."""
    number(value)
    if value < 0:
        raise expected("a number from 0 on", value)


def whole(least):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= GREATEST:
            raise expected(f"a whole number from {least} on", value)

    return check


def scalar(value):
    if isinstance(value, (dict, list)):
        raise expected("a number, text, true, false or null", value)


def one_of(*values):
    def check(value):
        if value not in values or isinstance(value, bool):
            raise expected(" or ".join(map(shown, values)), value)

    return check


def maybe(shape):
    """Or null."""

    def check(value):
        if value is not None:
            shape(value)

    return check


def list_of(shape):
    def check(value):
        if not isinstance(value, list):
            raise expected("a list", value)
        for place, item in enumerate(value):
            within(place, shape, item)

    return check


def table_of(shape):
    """An object with any keys."""

    def check(value):
        if not isinstance(value, dict):
            raise expected("an object", value)
        for key, item in value.items():
            within(key, shape, item)

    return check


def record(**shapes):
    """An object with these keys at least."""

    def check(value):
        if not isinstance(value, dict):
            raise expected("an object", value)
        for key, shape in shapes.items():
            if key not in value:
                raise Mismatch(f"has no key '{key}'")
            within(key, shape, value[key])

    return check


def plain(value, levels=MOST_LEVELS):
    """What RFC 8259 leaves open and drawing cannot take: NaN, infinities, half a surrogate pair, any depth."""
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Mismatch("has half of a surrogate pair, which is no Unicode")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise expected("a finite number", value)
    elif isinstance(value, (dict, list)):
        if levels == 0:
            raise Mismatch(f"lies more than {MOST_LEVELS} levels deep")
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str):
                plain(key)
            within(key, lambda inner: plain(inner, levels - 1), item)


def place_text(place):
    """As JavaScript names it: gemms[3].scheme.time_us."""
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{shown(key)[1:-1]}"
    return text.removeprefix(".") or "the outermost value"


def line_of(document, place):
    """Line of the value at `place` in the text of a JSON document that has been parsed."""
    at = _after_blanks(document, 0)
    for key in place:
        at = _member(document, at, key)
    return document.count("\n", 0, at) + 1


def _after_blanks(document, at):
    while document[at : at + 1] in (" ", "\t", "\n", "\r"):
        at += 1
    return at


def _member(document, at, key):
    """Where the value of a key (the last one of that name, as Python reads it), or of a position, begins."""
    decoder, is_object, found, position = json.JSONDecoder(), document[at] == "{", at, 0
    at = _after_blanks(document, at + 1)
    while document[at] not in "}]":
        name = position
        if is_object:
            name, at = json.decoder.scanstring(document, at + 1)
            at = _after_blanks(document, _after_blanks(document, at) + 1)
        if name == key:
            found = at
        _, at = decoder.raw_decode(document, at)
        at = _after_blanks(document, at)
        if document[at] == ",":
            at = _after_blanks(document, at + 1)
        position += 1
    return found

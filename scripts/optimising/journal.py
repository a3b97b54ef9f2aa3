# SPDX-License-Identifier: Apache-2.0
"""What optimise.py needs of Optuna's journal to go on: a line for each operation, the last one perhaps cut off."""

import os

import oscsim
from figures import results
from figures.shapes import Mismatch, anything, expected, list_of, maybe, record, table_of, text, whole


def real(value):
    """Infinities too: an infeasible point has them."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise expected("a number", value)


def attributes(**shapes):
    """Any, but those that are read have these shapes."""

    def check(value):
        table_of(anything)(value)
        record(**{key: shape for key, shape in shapes.items() if key in value})(value)

    return check


USER = attributes(point=table_of(text), key=maybe(text), violations=list_of(real))
SYSTEM = attributes(constraints=list_of(real), **{"NSGAIISampler:generation": whole(0)})
TRIAL = {"trial_id": whole(0)}
# By number, as optuna/storages/journal/_storage.py has them (JournalOperation).
OPERATIONS = {
    0: record(study_name=text, directions=list_of(whole(0))),
    2: record(study_id=whole(0), user_attr=attributes(sense=table_of(anything))),
    3: record(study_id=whole(0), system_attr=table_of(anything)),
    4: record(study_id=whole(0)),
    5: record(**TRIAL, param_name=text, param_value_internal=real, distribution=text),
    6: record(**TRIAL, state=whole(0), values=maybe(list_of(real))),
    8: record(**TRIAL, user_attr=USER),
    9: record(**TRIAL, system_attr=SYSTEM),
}


def operation(value):
    record(op_code=whole(0), worker_id=text)(value)
    if value["op_code"] not in OPERATIONS:
        raise Mismatch(f"has op_code {value['op_code']}, which optimise.py does not write")
    OPERATIONS[value["op_code"]](value)


def mend(path):
    """Checks the lines of a journal and drops one that a kill has cut off."""
    if not path.exists():
        return
    try:
        whole_lines, newline, rest = results.read_text(path).rpartition("\n")
        trials = 0
        for number, line in enumerate(whole_lines.split("\n") if newline else [], 1):
            entry = results.Document(path, line, "; take another folder", number, anything)
            entry.check(operation)
            trials += entry.value["op_code"] == 4
            if entry.value.get("trial_id", -1) >= trials:
                entry.refuse(("trial_id",), f"trial_id is {entry.value['trial_id']}; {trials} trials were begun before")
        if rest and not '{"op_code":'.startswith(rest[:11]):
            raise oscsim.Error(f"{path}: is no journal of optimise.py; take another folder")
    except results.ResultError as error:
        raise oscsim.Error(str(error)) from None
    if rest:
        os.truncate(path, len((whole_lines + newline).encode()))

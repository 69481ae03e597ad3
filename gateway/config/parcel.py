"""A table that was found good, made ready to travel to the workers: to read its texts again costs each of them 10 to 50
times as much as to unpack it (decisions/0016), while requests wait.

A pickle, since settings are whatever types the plugins have. It goes from the supervisor to its own workers, over a
socket pair that has no name; nothing that comes from outside is ever unpacked.
"""

import base64
import pickle
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.config.load import LoadedTable
from gateway.config.problems import Problem
from gateway.config.references import References
from gateway.config.tree import Node

_NO_ENVIRON: Final[Mapping[str, str]] = {}


def pack(loaded: LoadedTable) -> str:
    """The table as text, for `unpack`. "" where a plugin's settings do not let themselves be packed, or come out as
    others: then the texts of the table have to do.

    The table's tests stay behind, and of the tree all but the places of sections and routes: who has to say what is
    wrong with a table reads the texts. loaded: without problems.
    """
    slim = replace(
        loaded,
        table=loaded.table.model_copy(update={"tests": ()}),
        root=_outline(loaded.root),
        references=References(_NO_ENVIRON, _read_nothing, _report_nothing),
        files={},
        warnings=(),
    )
    try:
        packed = base64.b64encode(pickle.dumps(slim, pickle.HIGHEST_PROTOCOL)).decode()
        again = replace(unpack(packed), root=slim.root, references=slim.references)
        return packed if again == slim else ""
    except Exception:
        # Whatever an operator's types raise, either way: nothing is lost but time.
        return ""


def unpack(parcel: str) -> LoadedTable:
    """What was packed. Imports the modules of its plugins, where they are not yet."""
    loaded: LoadedTable = pickle.loads(base64.b64decode(parcel))  # noqa: S301 - of the supervisor, see above
    return loaded


def _outline(root: Node) -> Node:
    sections = {
        name: Node(node.place, [Node(each.place, {}) for each in node.value] if isinstance(node.value, list) else {})
        for name, node in root.value.items()
    }
    return Node(root.place, sections, dict(root.key_places))


def _read_nothing(path: str) -> str:
    raise FileNotFoundError(path)


def _report_nothing(problem: Problem) -> None:
    """There is nothing to report of what is not read."""

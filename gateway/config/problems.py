"""What is wrong with a table, in the operator's words and at the place where it stands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple


class Place(NamedTuple):
    """Where something stands: file as it was named, line and column from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault ("error") or remark ("warning", "info") of a table; `str()` is the line that an operator reads.

    fix: what to do, where the message does not say so itself; `codes.CODES` says what helps with the code in general.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    severity: str = "error"
    fix: str = ""

    @classmethod
    def at(cls, place: Place, code: str, message: str, severity: str = "error", fix: str = "") -> "Problem":
        """A problem at a place."""
        return cls(*place, code, message, severity, fix)

    def __str__(self) -> str:
        what = f"{self.message}; {self.fix}" if self.fix else self.message
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {what}"


class TableInvalid(Exception):  # noqa: N818 - a state of the table, named as operators know it
    """The table has errors: all that were found, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, file by file as first mentioned, from top to bottom."""
    unique = list(dict.fromkeys(problems))
    files = {file: index for index, file in enumerate(dict.fromkeys(problem.file for problem in unique))}
    return sorted(unique, key=lambda problem: (files[problem.file], problem.line, problem.column))


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence's end that helps with an unknown name: the nearest known one, or all of them."""
    names = sorted(set(known))
    if near := get_close_matches(name, names, n=1):
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(names)}" if names else "none is defined"


def either(names: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))

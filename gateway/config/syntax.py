"""What is wrong with text that is not YAML, in the operator's words, and where.

A parser stops where it can go on no longer, which often is a line or more below the mistake, and says what it waited
for. Here the lines around are looked at for what people do: a tab, a colon or a bracket forgotten, `*` without quotes.
"""

import re
from typing import NamedTuple

import yaml

_KEY_WITHOUT_COLON = re.compile(r"(\s*(?:- +)?)([A-Za-z_][\w-]*)( +\S.*|\s*)$")
_COLON_WITHOUT_SPACE = re.compile(r"(\s*(?:- +)?)([A-Za-z_][\w-]*):([^\s/:].*)$")
_DASH_WITHOUT_SPACE = re.compile(r"(\s*)-([A-Za-z_][\w-]*):( |$)")
_LOOKALIKES = {
    "\N{NO-BREAK SPACE}": "a no-break space; type a plain one",
    "\N{LEFT DOUBLE QUOTATION MARK}": 'a typographic quote; write "',
    "\N{RIGHT DOUBLE QUOTATION MARK}": 'a typographic quote; write "',
    "\N{DOUBLE LOW-9 QUOTATION MARK}": 'a typographic quote; write "',
}
_SECRET = re.compile("secret|password|key", re.IGNORECASE)
_CLOSING = {"{": "}", "[": "]"}


class Fault(NamedTuple):
    """line and column from 0."""

    line: int
    column: int
    message: str


def find_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    """What to tell of a parser's error."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Fault(0, 0, error.problem or "this is not YAML")
    lines = text.splitlines() or [""]
    context = error.context_mark
    here = _At(lines, mark.line, mark.column, error.problem or "", error.context or "", context)
    for look in (_tab, _lookalike, _alias, _quote, _dash, _colon, _flow, _indent):
        if (fault := look(here)) is not None:
            return fault
    message = error.problem or "this is not YAML"
    if error.context and context:
        message = f"{message} ({error.context}, which begins in line {context.line + 1})"
    return Fault(mark.line, mark.column, message)


class _At:
    """Where the parser stopped, and why."""

    def __init__(
        self, lines: list[str], line: int, column: int, problem: str, context: str, begins: yaml.Mark | None
    ) -> None:
        self.lines = lines
        self.line = min(line, len(lines) - 1)
        self.column = column
        self.problem = problem
        self.context = context
        self.text = lines[self.line]
        self.char = self.text[column : column + 1] if self.line == line else ""
        self.is_flow = "flow" in context
        # The end of the input counts as a line more.
        self.begins_line = min(begins.line, len(lines) - 1) if begins is not None else self.line
        self.begins_column = begins.column if begins is not None else column

    def above(self, line: int) -> int | None:
        """The nearest line above that says something."""
        while line > 0:
            line -= 1
            if self.lines[line].strip() and not self.lines[line].lstrip().startswith("#"):
                return line
        return None


def _tab(at: _At) -> Fault | None:
    indent = re.match(r"[ \t]*", at.text)
    if indent is None or "\t" not in indent[0]:
        return None
    return Fault(at.line, indent[0].index("\t"), "a tab indents this line; YAML takes spaces only, two a level")


def _lookalike(at: _At) -> Fault | None:
    for line in range(max(at.begins_line, at.line - 1), at.line + 1):
        for column, char in enumerate(at.lines[line].split(" #")[0]):
            if char in _LOOKALIKES:
                return Fault(line, column, f"this is {_LOOKALIKES[char]}")
    return None


def _alias(at: _At) -> Fault | None:
    if "alias" not in at.context and "anchor" not in at.context:
        return None
    column = at.begins_column
    found = re.match(r"[^\s,\]}]+", at.lines[at.begins_line][column:])
    word = found[0] if found else "*"
    return Fault(
        at.begins_line, column, f'{word[0]} begins a reference inside of YAML; to mean text, put it in quotes: "{word}"'
    )


def _quote(at: _At) -> Fault | None:
    is_amid = at.column > _indent_of(at.text)
    if not ("quoted" in at.context or "plain" in at.context or at.is_flow or ("block" in at.context and is_amid)):
        return None
    for line in range(at.line, max(at.line - 8, -1), -1):
        # A # begins a comment; what stands in one opens no quote.
        said = re.sub(r"(^|\s)#.*", "", at.lines[line])
        if said.replace('\\"', "").count('"') % 2 and (line < at.line or "quoted" in at.context):
            return Fault(line, said.index('"'), 'a quote is opened in this line and not closed; add the other "')
    return None


def _dash(at: _At) -> Fault | None:
    above = at.above(at.line)
    for line in (at.line, above):
        if line is not None and (found := _DASH_WITHOUT_SPACE.match(at.lines[line])):
            return Fault(line, len(found[1]), f"a space is missing after the dash; write - {found[2]}:")
    return None


def _colon(at: _At) -> Fault | None:
    if "':'" not in at.problem or "simple key" not in at.context:
        return None
    return _lacks_colon(at, at.begins_line)


def _lacks_colon(at: _At, line: int) -> Fault | None:
    text = at.lines[line]
    # The value is not repeated: it may be secret.
    for pattern, what in ((_COLON_WITHOUT_SPACE, "a space after its colon"), (_KEY_WITHOUT_COLON, "its colon")):
        if found := pattern.match(text):
            message = f'"{found[2]}" lacks {what}; write {found[2]}: and then the value'
            return Fault(line, len(found[1]), message)
    return None


def _flow(at: _At) -> Fault | None:
    if not (at.is_flow or ("plain" in at.context and "':'" in at.problem)):
        return None
    if "/{" in at.text:
        message = 'inside of braces, a path with a parameter needs quotes, as in {path: "/a/{id}"}'
        return Fault(at.line, at.column, message)
    opened = at.lines[at.begins_line][at.begins_column : at.begins_column + 1]
    closing = _CLOSING.get(opened, "") if at.is_flow else ""
    is_unclosed = bool(closing) and (at.begins_line < at.line or at.char == "")
    if not is_unclosed and (at.char == ":" or "plain" in at.context):
        return Fault(at.line, at.column, _needs_quotes(at, at.column))
    if is_unclosed:
        return Fault(at.begins_line, at.begins_column, f"this {opened} is not closed; add the {closing}")
    if closing and at.char in "}]":
        return Fault(at.line, at.column, f"a {closing} is missing before this {at.char}: {opened} is still open")
    if closing and at.char:
        return Fault(at.line, at.column, "a comma is missing before this")
    return None


def _needs_quotes(at: _At, column: int) -> str:
    start = max(at.text.rfind(mark, 0, column) for mark in ("[", ",", "{", ": "))
    found = re.match(r"[\[,{:\s]*([^,\]]*)", at.text[start:])
    word = found[1].strip() if found else ""
    while word.endswith("}") and word.count("}") > word.count("{"):
        word = word.removesuffix("}")
    is_telling = word and '"' not in word and "}" not in word.rpartition("{")[0] and not _SECRET.search(at.text)
    example = f', like "{word}"' if is_telling else ""
    return f"text with a colon needs quotes inside of brackets and braces{example}"


def _indent(at: _At) -> Fault | None:
    is_value = "mapping values are not allowed" in at.problem
    if is_value and re.search(r":\s", at.text[: at.column]):
        return Fault(at.line, at.column, "text with a colon and a space needs quotes")
    above = at.above(at.line)
    if above is None:
        return None
    mine, theirs = (_indent_of(at.lines[line]) for line in (at.line, above))
    if is_value:
        if not re.search(r":(\s|$)", at.lines[above]) and (fault := _lacks_colon(at, above)) is not None:
            return fault
        message = (
            f"this line is indented by {mine}, and the key above it, in line {above + 1}, by {theirs}; line them up"
        )
        return Fault(at.line, mine, message)
    if "did not find expected key" in at.problem or "block" in at.context:
        # The parser takes what is too far left for the end of a level, and stops at the next line.
        if theirs < mine:
            return Fault(
                above, theirs, f"this line is indented by {theirs}, and the one after it by {mine}; line them up"
            )
        return Fault(at.line, mine, f"this line is indented by {mine}, and the one above it by {theirs}; line them up")
    return None


def _indent_of(line: str) -> int:
    # The dash of a list counts to the indentation of what follows it.
    found = re.match(r"\s*(?:- +)*", line)
    return len(found[0]) if found else 0

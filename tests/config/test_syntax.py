"""Hazard: a parser's words about the line below the mistake."""

import pytest

from gateway.config.problems import Problem
from gateway.config.tree import Node, read_tree

FOUND = {
    "a tab": ("a:\n\tb: 1\n", "2:1: a tab indents this line; YAML takes spaces only, two a level"),
    "a tab after spaces": (
        "a:\n  \tb: 1\n  c: 2\n",
        "2:3: a tab indents this line; YAML takes spaces only, two a level",
    ),
    "no colon": ("a: 1\nb 2\nc: 3\n", '2:1: "b" lacks its colon; write b: and then the value'),
    "no colon, nested": ("a:\n- b 2\n  c: 3\n", '2:3: "b" lacks its colon; write b: and then the value'),
    "a section without colon": ("a\n  b: 1\n", '1:1: "a" lacks its colon; write a: and then the value'),
    "no space after the colon": (
        "a: 1\nb:2\nc: 3\n",
        '2:1: "b" lacks a space after its colon; write b: and then the value',
    ),
    "no space after the dash": ("a:\n-b: 1\n  c: 2\n", "2:1: a space is missing after the dash; write - b:"),
    "a list not closed": ("a: [b, c\nd: 1\n", "1:4: this [ is not closed; add the ]"),
    "a mapping not closed": ("a: {b: c\nd: 1\n", "1:4: this { is not closed; add the }"),
    "not closed at the end": ("a: {b: [c\n", "1:8: this [ is not closed; add the ]"),
    "the inner one not closed": ("a: {b: [c, d}\n", "1:13: a ] is missing before this }: [ is still open"),
    "no comma": ('a: ["b" "c"]\n', "1:9: a comma is missing before this"),
    "a colon in a list": (
        "a: [b:{c}]\n",
        '1:6: text with a colon needs quotes inside of brackets and braces, like "b:{c}"',
    ),
    "a colon in a mapping": (
        "a: {b: c: d}\n",
        '1:9: text with a colon needs quotes inside of brackets and braces, like "c: d"',
    ),
    "a colon in a secret": (
        "a: {secret: c: d}\n",
        "1:14: text with a colon needs quotes inside of brackets and braces",
    ),
    "two colons": ("a: b: c\n", "1:5: text with a colon and a space needs quotes"),
    "a star": ("a: *\n", '1:4: * begins a reference inside of YAML; to mean text, put it in quotes: "*"'),
    "a star with more": (
        "a: [*.b.c]\n",
        '1:5: * begins a reference inside of YAML; to mean text, put it in quotes: "*.b.c"',
    ),
    "a name of nothing": ("a: *b\n", '1:4: no anchor "&b" stands before this; to mean text, put it in quotes: "*b"'),
    "a quote not closed": ('a: "b\nc: "d"\n', '1:4: a quote is opened in this line and not closed; add the other "'),
    "a quote not closed at the end": ('a: "b\n', '1:4: a quote is opened in this line and not closed; add the other "'),
    "too far left": (
        "a:\n- b: 1\nc: 2\n  d: 3\n",
        "4:3: this line is indented by 2, and the key above it, in line 3, by 0; line them up",
    ),
    "too far left in a mapping": (
        "a:\n  b: 1\n c: 2\n",
        "3:2: this line is indented by 1, and the one above it by 2; line them up",
    ),
    "too far right": (
        "a:\n  b: 1\n    c: 2\n",
        "3:5: this line is indented by 4, and the key above it, in line 2, by 2; line them up",
    ),
    "a path in braces": (
        "a: {b: /c/{d}, e: 1}\n",
        '1:11: inside of braces, a path with a parameter needs quotes, as in {path: "/a/{id}"}',
    ),
    "a no-break space": ("a: 1\nb:\N{NO-BREAK SPACE}2\nc: 3\n", "2:3: this is a no-break space; type a plain one"),
    "typographic quotes": ("a: {b: “/c/{d}”, e: 1}\n", '1:8: this is a typographic quote; write "'),
    "something else": ("a: %b\n", "1:4: found character that cannot start any token"),
}


def found(text: str) -> str:
    problems: list[Problem] = []
    read_tree(text, "f.yaml", problems.append, lambda text, place: Node(place, text))
    (problem,) = problems
    assert problem.code == "not_yaml"
    return f"{problem.line}:{problem.column}: {problem.message}"


@pytest.mark.parametrize(("text", "line"), FOUND.values(), ids=FOUND)
def test_the_mistake_is_named_where_it_is(text: str, line: str) -> None:
    assert found(text).startswith(line)


def test_what_may_be_secret_is_not_repeated() -> None:
    for text in ("secret:hunter2\nb: 1\n", "a: 1\npassword hunter2\nb: 1\n", "a: {secret: hunter2: b}\n"):
        assert "hunter2" not in found(text)


@pytest.mark.parametrize(
    "text", ["a: [", "{", "- - [\n", "'", '"', "a: !", "&", "*", "? ", "a:\n\t", "}", "a: |2\n x", "\t"]
)
def test_whatever_stands_there_is_told_of_and_raises_nothing(text: str) -> None:
    problems: list[Problem] = []
    read_tree(text, "f.yaml", problems.append, lambda text, place: Node(place, text))
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in problems)

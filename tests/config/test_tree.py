"""YAML 1.1's traps, the places of what is read, and input that is made to harm."""

import pytest

from gateway.config.problems import Place, Problem
from gateway.config.tree import DEPTH_MAX, Node, locate, parse_scalar, read_tree


def read(text: str) -> tuple[Node | None, list[str]]:
    problems: list[Problem] = []
    node = read_tree(text, "f.yaml", problems.append, lambda text, place: Node(place, text))
    return node, [str(problem) for problem in problems]


def plain(text: str) -> object:
    node, problems = read(text)
    assert node is not None
    assert problems == []
    return node.plain()


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "y", "n", "On", "NO"])
def test_words_that_yaml_1_1_takes_for_booleans_are_text(word: str) -> None:
    assert plain(f"{word}: [{word}]") == {word: [word]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("012", 12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1:30", "1:30"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("30s", "30s"),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


def test_quoted_numbers_are_text_and_keys_are_always_text() -> None:
    assert plain('404: "12"\nnull: 1\ntrue: 2\n') == {"404": "12", "null": 1, "true": 2}


def test_places_of_keys_and_values() -> None:
    root, _ = read("a:\n  - é: [1, x]\n    key: |\n      text\n")
    assert root is not None

    found = locate(root, ("a", 0, "é", 1))
    assert found.place == Place("f.yaml", 2, 12)
    assert locate(root, ("a", 0, "key")).key_place == Place("f.yaml", 3, 5)
    assert locate(root, ("a", 0, "missing")).left == ("missing",)
    assert locate(root, ("a", 0, "missing")).place == Place("f.yaml", 2, 5)


def test_aliases_and_merge_keys() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\none: {<<: *b, y: 5}\ntwo: {<<: [*b, *o]}\n"

    value = plain(text)

    assert isinstance(value, dict)
    assert value["one"] == {"x": 1, "y": 5}
    assert value["two"] == {"x": 1, "y": 2, "z": 4}


def test_merging_what_is_no_mapping() -> None:
    assert read("a: {<<: 5}")[1] == ['f.yaml:1:9: wrong_type: "<<" takes a mapping, or a list of them']


def test_billion_laughs_ends_early() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    node, problems = read("\n".join(lines))

    assert node is None
    assert len(problems) == 1
    assert problems[0].endswith("not_yaml: more than 250000 values, counting what each alias stands for")


def test_merge_keys_are_counted_as_well() -> None:
    pairs = ", ".join(f"k{n}: [1, 2, 3, 4, 5, 6, 7, 8]" for n in range(1000))
    lines = [f"base: &b {{{pairs}}}", *(f"m{n}: {{<<: *b}}" for n in range(100))]

    assert "more than 250000 values" in read("\n".join(lines))[1][0]


@pytest.mark.parametrize("text", ["[" * 200_000 + "]" * 200_000, "- " * 200_000, "{a: " * 1000 + "}" * 1000])
def test_deep_nesting_is_refused_and_does_not_end_the_process(text: str) -> None:
    node, problems = read(text)

    assert node is None
    assert f"nested more than {DEPTH_MAX} deep" in problems[0] or "not_yaml" in problems[0]


def test_depth_through_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]

    assert read("\n".join(lines))[1][0].endswith(f"nested more than {DEPTH_MAX} deep")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &x [*x]", 'f.yaml:1:8: not_yaml: "*x" stands inside of what it names'),
        ("a: *x", 'f.yaml:1:4: not_yaml: no anchor "&x" stands before this'),
        ("? [a]\n: 1", "f.yaml:1:3: not_yaml: a key must be a plain word"),
        ("a: !!python/object:os.system x", "tag"),
        ("a: \ud800", "save the file as UTF-8 text"),
    ],
)
def test_what_has_no_meaning_is_refused(text: str, line: str) -> None:
    assert line in read(text)[1][0]


def test_a_repeated_key_keeps_the_first_and_is_reported_at_the_second() -> None:
    node, problems = read("a: 1\nb: 2\na: 3\n")

    assert node is not None
    assert node.plain() == {"a": 1, "b": 2}
    assert problems == ['f.yaml:3:1: duplicate_key: "a" stands here already, in line 1; keep one']


def test_repr_shows_no_value() -> None:
    assert repr(Node(Place("f", 1, 2), "secret")) == "<Node str at f:1:2>"


@pytest.mark.parametrize(
    "reference",
    ["${env:A}", "${env:A:-http://h:80}", "${env:A:-x, [y]: #z}", "${file:a/b.yaml}", "a${env:A}b${env:B}c"],
)
def test_a_reference_needs_no_quotes_inside_of_braces(reference: str) -> None:
    root, problems = read(f"a: {{b: {reference}, c: {{d: [{reference}, x]}}}}\ne: {reference}\nf: '{reference}'\n")

    assert problems == []
    assert root is not None
    assert root.plain() == {"a": {"b": reference, "c": {"d": [reference, "x"]}}, "e": reference, "f": reference}
    assert locate(root, ("a", "c")).key_place == Place("f.yaml", 1, 10 + len(reference))


def test_private_characters_of_the_operator_stay_what_they_are() -> None:
    assert plain(f"a: {chr(0xF0000)}\nb: ${{env:A}}\n") == {"a": chr(0xF0000), "b": "${env:A}"}

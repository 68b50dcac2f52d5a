import time
from datetime import date

import pytest

from questions.strict_yaml import MAX_DEPTH, Document, YamlProblem, read_yaml

BILLION_LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 10))


def read(text: str) -> Document:
    return read_yaml(text, limit=65_536)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "The file is empty."),
        ("# nothing\n\n", 1, "The file is empty."),
        ("a: 1\nb: &x 2\n", 2, "Anchors and aliases are not allowed."),
        ("a: 1\nb: 2\nc: *x\n", 3, "Anchors and aliases are not allowed."),
        ("- &x\n  a: 1\n", 1, "Anchors and aliases are not allowed."),
        ("a:\n  b: 1\nc:\n  <<: {d: 1}\n", 4, "Merge keys (<<) are not allowed."),
        (
            "a: 1\nb: !!python/object/apply:os.system [x]\n",
            2,
            "The tag tag:yaml.org,2002:python/object/apply:os.system is not allowed.",
        ),
        ("a: 1\nb: !mine x\n", 2, "The tag !mine is not allowed."),
        ("a: !!str x\n", 1, "The tag tag:yaml.org,2002:str is not allowed."),
        ("a: 1\nb: 2\na: 3\n", 3, "The field 'a' stands here twice."),
        ("a:\n- b: 1\n  b: 2\n", 3, "The field 'b' stands here twice."),
        ("a: {b: 1,\n  c: 2,\n  'b': 3}\n", 3, "The field 'b' stands here twice."),
        ("a: 1\n---\nb: 2\n", 2, "There is a second document."),
        ("a: 1\n...\n---\n", 3, "There is a second document."),
        ("? [a]\n: 1\n", 1, "A field name must be plain text."),
        ("x: 1\n? {a: 1}\n: 1\n", 2, "A field name must be plain text."),
        ("a: 1\nb: =\n", 2, "The value '=' is not plain data."),
        ("a: 1\nb: 2026-13-45\n", 2, "'2026-13-45' is not a valid value (month must be in 1..12)."),
        ("a: 1\nb: 0x_\n", 2, "'0x_' is not a valid value"),
        (f"a: {'9' * 5000}\n", 1, "is not a valid value"),
        ("a: [1\nb: 2\n", 2, "This is not valid YAML ("),
        ("a: 1\n\tb: 2\n", 2, "This is not valid YAML ("),
        ("a: 1\nb: 'x\n", 3, "This is not valid YAML ("),
        ("a: 1\n b: 2\n", 2, "This is not valid YAML ("),
        ("a: x\x00y\n", 1, "Remove control characters."),
        ("a: 1\nb: \x07\n", 1, "Remove control characters."),
        ("a: \ud800\n", 1, "Remove control characters."),
    ],
)
def test_what_is_not_plain_data_is_refused_with_its_line(text, line, message):
    with pytest.raises(YamlProblem) as refusal:
        read(text)

    assert refusal.value.line == line
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (BILLION_LAUGHS, 1, "Anchors and aliases"),
        ("[" * 200 + "]" * 200, 1, f"The nesting is deeper than {MAX_DEPTH} levels."),
        ("\n".join(f"{'  ' * level}a:" for level in range(200)), MAX_DEPTH + 1, "The nesting is deeper"),
        ("- " * 30_000, 1, "The nesting is deeper"),
        ("[" * 60_000, 1, "The nesting is deeper"),
        ("a: " + "x" * 10_000_000, 1, "The file is over 65,536 bytes."),
        ("[" * 10_000_000, 1, "The file is over 65,536 bytes."),
    ],
    ids=["billion laughs", "200 lists", "200 mappings", "30,000 lists", "unclosed", "10 MB of text", "10 MB of lists"],
)
def test_a_hostile_text_is_refused_at_once(text, line, message):
    before = time.process_time()

    with pytest.raises(YamlProblem) as refusal:
        read(text)

    assert time.process_time() - before < 0.5
    assert refusal.value.line == line
    assert message in str(refusal.value)


def test_the_deepest_nesting_allowed_is_read():
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH).data == [[[[[[[[]]]]]]]]


def test_the_limit_counts_bytes_and_may_be_reached():
    assert read_yaml("é: 1", limit=5).data == {"é": 1}

    with pytest.raises(YamlProblem, match="The file is over 4 bytes"):
        read_yaml("é: 1", limit=4)


def test_plain_data_is_read_as_yaml_1_1_has_it():
    text = "a: 1\nb: '1'\nc: 1.5\nd: yes\ne: ~\nf: 2026-11-21\ng: [x, {y: no}]\nh: |\n  one\n  two\n'2026-06': 7\n"

    assert read(text).data == {
        "a": 1,
        "b": "1",
        "c": 1.5,
        "d": True,
        "e": None,
        "f": date(2026, 11, 21),
        "g": ["x", {"y": False}],
        "h": "one\ntwo\n",
        "2026-06": 7,
    }


@pytest.mark.parametrize("text", ["\ufeffa: 1\nb: 2\n", "a: 1\r\nb: 2\r\n", "---\na: 1\nb: 2\n...\n", "{a: 1, b: 2}"])
def test_marks_and_line_ends_of_editors_do_no_harm(text):
    assert read(text).data == {"a": 1, "b": 2}


def test_every_path_knows_its_line_and_a_missing_one_the_nearest_around_it():
    document = read("# a comment\nid: x\noptions:\n- text: one\n  why: >\n    because\n- text: two\nlast: [1,\n  2]\n")

    asked = {
        (): 2,
        ("id",): 2,
        ("options",): 3,
        ("options", 0): 4,
        ("options", 0, "why"): 5,
        ("options", 1, "text"): 7,
        ("options", 1, "why"): 7,
        ("options", 1, "why", "deeper"): 7,
        ("options", 5): 3,
        ("last", 1): 9,
        ("missing",): 2,
    }
    assert {path: document.line_of(path) for path in asked} == asked

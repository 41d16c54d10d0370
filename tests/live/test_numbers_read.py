"""What readers paste, read as columns of numbers: what comes out, and what is said of what cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convexdiff_lib.book import stored_results

LIVE = Path(__file__).parents[2] / "_static" / "live"

Ask = Callable[[list[str]], list[dict[str, Any]]]


def read(ask: Ask, text: str, **options: bool) -> dict[str, Any]:
    return ask([json.dumps({"job": "read", "text": text, "options": options})])[0]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1\n2\n3\n", [1, 2, 3]),
        ("1, 2, 3", [1, 2, 3]),
        ("1;2;3", [1, 2, 3]),
        ("1 2 3\n4 5", [1, 2, 3, 4, 5]),
        ("1\r\n-2.5e3\r\n+.5", [1, -2500, 0.5]),
        ("\u22123\n\u20134", [-3, -4]),  # a minus sign, and a dash
        ("\"1.5\"\n'2'", [1.5, 2]),
        ("height\n1.7\n1.8", [1.7, 1.8]),
        ("\n\n7\n\n8\n", [7, 8]),
        ("\ufeff1\n2", [1, 2]),  # a mark of some editors
    ],
)
def test_a_list_is_read(ask: Ask, text: str, numbers: list[float]) -> None:
    found = read(ask, text)
    assert [column["values"] for column in found["columns"]] == [numbers]


def test_a_table_is_read_by_its_columns(ask: Ask) -> None:
    found = read(ask, "name\theight\tweight\nAnn\t1.7\t60\nBob\t1.8\tNA\n")
    assert [column["name"] for column in found["columns"]] == ["height", "weight"]
    assert [column["values"] for column in found["columns"]] == [[1.7, 1.8], [60]]
    assert found["notes"][0] == "Line 1 is taken for the names of columns."
    assert found["notes"][1] == "The column “name” is left out. Line 2: “Ann” is not a number."
    assert [column["left"] for column in found["columns"]] == ["", "Line 3 has no value and is left out."]


def test_missing_values_are_named_by_their_lines(ask: Ask) -> None:
    text = "\n".join(["1", "NA", "nan", "", "-", "?", "null", "n/a", "2"])
    column = read(ask, text)["columns"][0]
    assert column["values"] == [1, 2]
    assert column["left"] == "Lines 2, 3, 5, 6, 7 and 1 more have no value and are left out."


def test_a_decimal_comma_is_told_and_can_be_switched_on(ask: Ask) -> None:
    for text, numbers in (
        ("x;y\n1,5;a\n2,5;b", [1.5, 2.5]),
        ("1,5\n2,7", [1.5, 2.7]),
        ("1,5 2,7 3", [1.5, 2.7, 3]),
    ):
        assert read(ask, text, decimalComma=True)["columns"][0]["values"] == numbers
    told = read(ask, "1,5\t2\n2,5\t3")["notes"][0]
    assert "“1,5” has a decimal comma. Write 1.5, or switch on" in told
    assert "taken to part 2 columns" in read(ask, "1,5\n2,7")["notes"][0]
    assert "switch on" in read(ask, "1,5 2,7 3")["error"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There are no numbers yet: paste a column, or drop a file."),
        (" \n\n", "There are no numbers yet: paste a column, or drop a file."),
        ("height\n", "There is a line of names, and no number below it."),
        ("1\n2\n3 kg\n", "Line 3: “kg” is not a number."),
        ("1\ntwo\n3", "Line 2: “two” is not a number."),
        ("h\n1\n\n2\n0x10", "Line 5: “0x10” is not a number."),
        ("1\n1e400", "Line 2: “1e400” is too large for a number."),
        ("NA\nNA", "There is no number in these lines, only missing values."),
        ("1;x\n", "Line 1: “x” is not a number."),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(ask: Ask, text: str, message: str) -> None:
    assert read(ask, text).get("error", "").startswith(message)


def test_the_example_is_what_it_is_said_to_be() -> None:
    source = (LIVE / "your-data.mjs").read_text("utf-8")
    found = re.search(r"EXAMPLE = (\[.*?\]);", source, re.DOTALL)
    assert found
    example = [float(word) for word in re.findall(r"[\d.]+", found[1])]
    assert example == stored_results("real_columns")["columns"]["faithful waiting"]["values"]


def test_what_is_quoted_is_one_cell(ask: Ask) -> None:
    found = read(ask, 'name,height,weight\n"Smith, John",1.7,60\nBob,1.8,70\n')
    named = {column["name"]: column["values"] for column in found["columns"]}
    assert named == {"height": [1.7, 1.8], "weight": [60, 70]}
    assert read(ask, '"1,5"\n"2,5"', decimalComma=True)["columns"][0]["values"] == [1.5, 2.5]


def test_a_name_that_is_not_above_the_names_of_lines(ask: Ask) -> None:
    """R writes tables so."""
    found = read(ask, '"height" "weight"\n"Mazda RX4" 1.7 60\n"Datsun" 1.8 70\n')
    named = {column["name"]: column["values"] for column in found["columns"]}
    assert named == {"height": [1.7, 1.8], "weight": [60, 70]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value\n1,234\n567\n", "Line 2 has 2 entries, and the line of names has 1."),
        ("a;b\n1;2\n3;4;5\n", "Line 3 has 3 entries, and the line of names has 2."),
        ('value\n"1,234"\n"567"', "Line 2: “1,234” has a decimal comma."),
        ("1\u202f234\n567", "Line 1: “1'234” has a sign between thousands."),
        ("1'234\n567", "Line 1: “1'234” has a sign between thousands."),
        ("1_000\n2", "Line 1: “1_000” has a sign between thousands."),
        ("(3)\n4", "Line 1: “(3)” is not a number."),
        ("1\n1e-400", "Line 2: “1e-400” is too small for a number."),
    ],
)
def test_thousands_and_signs_are_never_read_as_other_numbers(ask: Ask, text: str, message: str) -> None:
    assert read(ask, text).get("error", "").startswith(message)


def test_commas_that_may_part_thousands_are_told(ask: Ask) -> None:
    assert "If they part thousands, leave them out." in read(ask, "1,234\n567")["notes"][-1]
    assert read(ask, "1, 2, 3\n4, 5")["notes"] == []


def test_the_smallest_numbers_and_zeros_are_numbers(ask: Ask) -> None:
    assert read(ask, "5e-324\n0e-9\n-0.0")["columns"][0]["values"] == [5e-324, 0, 0]


def test_a_long_file_and_a_long_word_are_read_at_once(ask: Ask) -> None:
    """Nothing is passed on in as many arguments as there are lines, nor tried for every split of a word."""
    assert len(read(ask, "\n".join(["1.5"] * 300_000))["columns"][0]["values"]) == 300_000
    assert "“1111" in read(ask, "7\n" + "1" * 50_000 + "x")["error"]

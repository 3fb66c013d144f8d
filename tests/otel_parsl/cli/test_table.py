"""Tables that fit."""

from __future__ import annotations

from otel_parsl.cli.table import Cell, Column, cut, table, width_of

COLUMNS = (
    Column("task", is_right=True),
    Column("app", may_shrink=True),
    Column("state"),
    Column("error", may_shrink=True),
)


def test_columns_are_as_wide_as_their_longest() -> None:
    """Numbers are right, texts are left, and no blanks are left at the end of a line."""
    rows: list[list[str | Cell]] = [
        ["7", "align", Cell("failed", "red"), ""],
        ["12345", "x", "running", "ValueError"],
    ]

    assert table(COLUMNS, rows, indent="  ") == [
        "   task  app    state    error",
        "      7  align  failed",
        "  12345  x      running  ValueError",
    ]


def test_wide_letters_take_two_places() -> None:
    """Columns stay aligned beside letters that take two places or none."""
    assert [width_of(text) for text in ("abc", "größe", "测试", "e\u0301")] == [3, 5, 4, 1]
    assert table((Column("app"), Column("n")), [["测试", "1"], ["abcd", "2"]]) == [
        "app   n",
        "测试  1",
        "abcd  2",
    ]


def test_narrow_terminal_takes_from_the_widest_column() -> None:
    """The column that may shrink and is widest gives way first, and shows that it did."""
    rows = [["7", "a" * 15, "failed", "b" * 60]]

    (_, line) = table(COLUMNS, rows, width=60)

    assert line == f"   7  {'a' * 15}  failed  {'b' * 28}…"
    assert len(line) == 60


def test_columns_of_equal_width_shrink_together() -> None:
    """Two wide columns share what is left."""
    rows = [["7", "a" * 50, "failed", "b" * 50]]

    (_, line) = table(COLUMNS, rows, width=60)

    assert len(line) == 60
    assert abs(line.count("a") - line.count("b") + 1) <= 2


def test_column_is_never_made_useless() -> None:
    """A terminal that is far too narrow gets longer lines instead of empty columns."""
    (_, line) = table(COLUMNS, [["7", "a" * 50, "failed", "b" * 50]], width=10)

    assert line == f"   7  {'a' * 11}…  failed  {'b' * 11}…"


def test_columns_are_left_out_before_the_rest_breaks() -> None:
    """The terminal that is too narrow loses the columns that matter least, and says which."""
    columns = (Column("a"), Column("b", leave_out=2), Column("c", leave_out=1), Column("d"))
    row = ["1" * 10, "2" * 10, "3" * 10, "4" * 10]

    assert table(columns, [row], width=46)[1] == "  ".join(row)
    assert table(columns, [row], width=40) == [
        "a           b           d",
        f"{row[0]}  {row[1]}  {row[3]}",
        "(no room for c)",
    ]
    assert table(columns, [row], width=20)[1] == f"{row[0]}  {row[3]}"


def test_cut_counts_places() -> None:
    """What is cut ends in one sign, within the width."""
    assert [cut("abcdef", width) for width in (6, 5, 1)] == ["abcdef", "abcd…", "…"]
    assert cut("测试测试", 5) == "测试…"

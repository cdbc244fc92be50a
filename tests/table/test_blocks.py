"""Tables read block by block: the same rows as in one piece, the same complaints, in bounded memory."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fallline.errors import DataError
from fallline.table import delimited, read, read_blocks

KINDS = {"c": "category", "x": "number", "d": "date"}
SIZES = [7, 64, 500, 1 << 20]
AS_FUNCTION = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def cells(tables):
    """Rows of tables, with categories as their labels."""
    rows = []
    for table in tables:
        columns = []
        for name, x in zip(table.columns, table.X.T.tolist(), strict=True):
            labels = table.labels.get(name)
            columns.append(["missing" if v != v else labels[int(v)] if labels else v for v in x])
        rows += zip(*columns, strict=True)
    return rows


def blocks(source, kinds=KINDS, size=64, target=None):
    found = list(read_blocks(source, kinds, target, block_bytes=size))
    starts = np.cumsum([0, *(block.table.n_rows + block.n_left_out for block in found)])
    assert [block.table.first_row for block in found] == starts[:-1].tolist()
    return found


def frame(n=120):
    return pl.DataFrame(
        {
            "x": [None if i % 17 == 0 else i / 4 for i in range(n)],
            "c": [['b\n"q",', "a", "ü", None][i % 4] for i in range(n)],
            "z": ["unused"] * n,
            "d": [f"2020-01-{1 + i % 28:02}" for i in range(n)],
            "y": [None if i % 3 == 0 else i for i in range(n)],
        }
    )


def save(name):
    table = frame()
    if name.endswith(".parquet"):
        table.with_columns(pl.col("d").str.to_date()).write_parquet(name, row_group_size=50)
    elif name.endswith(("arrow", "feather")):
        table.write_ipc(name, compression="zstd" if name.endswith("feather") else None)
    elif name.endswith("jsonl"):
        Path(name).write_text("\n" + table.write_ndjson().replace("\n", "\r\n\n", 50))
    elif name.endswith("tsv"):
        table.write_csv(name, separator="\t")
    else:
        text = table.write_csv(line_terminator="\r\n" if "crlf" in name else "\n")
        Path(name).write_text("\ufeff\n\n" + text if "bom" in name else text.rstrip(), newline="")
    return name


FILES = ["t.csv", "crlf.csv", "bom.csv", "t.tsv", "t[1].parquet", "t[1].arrow", "t.feather", "t.jsonl"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FILES)
def test_blocks_are_the_table_in_pieces(name, size):
    found = blocks(save(name), size=size)
    assert (len(found) > 2) == (size <= 500)
    assert cells(block.table for block in found) == cells([read(name, columns=list(KINDS), kinds=KINDS)])
    shares = [block.share_read for block in found]
    assert shares == sorted(shares)
    assert (shares[0] > 0, shares[-1]) == (True, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FILES)
def test_rows_without_a_target_are_left_out_and_counted(name, size):
    found = blocks(save(name), size=size, target="y")
    assert sum(block.n_left_out for block in found) == 40
    assert np.concatenate([block.table.y for block in found]).tolist() == [i for i in range(120) if i % 3]
    whole = cells([read(name, columns=list(KINDS), kinds=KINDS)])
    assert cells(block.table for block in found) == [row for i, row in enumerate(whole) if i % 3]


def test_standard_input(monkeypatch):
    text = frame().write_csv().encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    found = blocks("-")
    assert {block.share_read for block in found} == {None}
    Path("t.csv").write_bytes(text)
    assert cells(block.table for block in found) == cells([read("t.csv", columns=list(KINDS), kinds=KINDS)])


def test_what_is_read_whole_is_one_block():
    np.savez("t.npz", X=np.eye(3), y=np.arange(3))
    for source, names in (("t.npz", ["x2", "x0"]), ("iris", list(read("iris").columns))):
        (block,) = blocks(source, dict.fromkeys(names, "number"))
        assert (block.share_read, block.table.columns) == (1, tuple(names))


X = "x,y\n" + "1,2\n" * 50
BROKEN = {
    "a cell": X + "oops,2\n" + X[4:],
    "infinite": X + "inf,2\n",
    "after quoted line ends": X.replace("1,2", '1,"2\n"') + "oops,2\n",
    "after blank lines": "\n\n" + X.replace("\n", "\n\n") + "oops,2\n",
    "too few fields": X + "1\n" + X[4:],
    "too many fields": X + "1,2,3\n" + X[4:],
    "a stray quote": X + '1,2"\n' + X[4:],
    "an open quote": X + '"1,2\n' + X[4:],
    "an open quote at the end": X + '1,"2\n',
    "a quote in the header": 'x,"y\n' + X,
    "a NUL": X + "1,2\0\n" + X[4:],
    "not UTF-8": X.encode() + b"\xff,2\n" + X[4:].encode(),
    "mixed line ends": X + "1,2\r1,2\n",
    "old line ends": X.replace("\n", "\r"),
    "columns that repeat": "x,x\n" + X[4:],
    "no rows": "x,y\n\n\n",
    "no rows, nor a line end": "x,y",
    "empty": "",
    "blank": "\n\n\n\n\n\n\n\n\n\n\n",
    "another column": X.replace("x", "z"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", BROKEN)
def test_the_complaint_is_that_of_the_whole(what, size, capfd):
    content = BROKEN[what]
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as whole:
        read("t.csv", columns=["x"], kinds={"x": "number"})
    with pytest.raises(DataError) as caught:
        blocks("t.csv", {"x": "number"}, size=size)
    assert str(caught.value) == str(whole.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [30, 1 << 20])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"x": 1', "t.jsonl: cannot be read as JSON lines (line 42: "),
        ("[1]", 't.jsonl: cannot be read as JSON lines (line 42: not an object, such as {"name": 1})'),
        ('{"x": "oops"}', "t.jsonl, row 41, column 'x': 'oops' is not a number"),
    ],
)
def test_json_lines_that_are_broken(line, message, size):
    Path("t.jsonl").write_text("\n" + '{"x": 1, "y": 2}\n' * 40 + line + '\n{"x": 2.5}\n')
    for attempt in (
        lambda: blocks("t.jsonl", {"x": "number"}, size=size),
        lambda: read("t.jsonl", columns=["x"], kinds={"x": "number"}),
    ):
        with pytest.raises(DataError) as caught:
            attempt()
        assert str(caught.value).startswith(message)


def test_json_lines_that_lack_a_value_or_have_others():
    Path("t.jsonl").write_text('{"x": 1, "c": "a"}\n{"c": 2}\n{"x": null, "c": 2.0, "new": 1}\n{"x": 2.5}\n')
    found = blocks("t.jsonl", {"x": "number", "c": "category"}, size=5)
    assert cells(block.table for block in found) == [(1, "a"), ("missing", "2"), ("missing", "2"), (2.5, "missing")]


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.jsonl"])
def test_broken_files_of_typed_columns(name, capfd):
    Path("empty.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"^empty.jsonl: the file is empty$"):
        blocks("empty.jsonl")
    Path(name).write_bytes(b"nonsense")
    with pytest.raises(DataError, match=rf"^{name}: cannot be read as (Parquet|Arrow|JSON lines) \([^\n]*\)$"):
        blocks(name)
    frame().drop("x").write_parquet("no-x.parquet")
    with pytest.raises(DataError, match=r"^no-x.parquet: missing column 'x' \(columns: 'c', 'z', 'd', 'y'\)$"):
        blocks("no-x.parquet")
    frame().head(0).write_parquet("none.parquet")
    with pytest.raises(DataError, match=r"^none.parquet: it has column names but no rows$"):
        blocks("none.parquet")
    with pytest.raises(DataError, match=r"^no file 'non.parquet', did you mean 'none.parquet'\?$"):
        blocks("non.parquet")
    assert capfd.readouterr().err == ""


def test_a_bad_cell_of_a_typed_column_is_named_by_its_row_in_the_file():
    pl.DataFrame({"x": [0.0] * 100 + [1e300] + [0.0] * 9}).write_parquet("t.parquet")
    with pytest.raises(DataError, match=r"^t.parquet, row 101, column 'x': '1e\+300' is too large for float32$"):
        blocks("t.parquet", {"x": "number"})


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        (["1,5", "2,25"], ["1,234", "3"], [1.234, 3]),
        (
            ["1,5", "2,25"],
            ["2.5"],
            "t.csv, line 4, column 'x': '2.5' has no decimal comma, as the numbers above it have",
        ),
        (["1.5", "2"], ["2,5"], "t.csv, line 4, column 'x': '2,5' is not a number"),
        (["1", "2"], ["2,5", "3"], [2.5, 3]),
        (["13/01/2000", ""], ["02/01/2000"], [1]),
        (["01/13/2000", ""], ["01/02/2000"], [1]),
        (
            ["01/02/2000", "03/02/2000"],
            ["13/02/2000"],
            "t.csv, line 4, column 'x': '13/02/2000' is not a date as those above it, which are '%m/%d/%Y'; write all "
            "of them as 2024-12-31",
        ),
        (["", ""], ["01.02.2000"], [31]),
        (["2000-01-01", "x"], [], "t.csv, line 3, column 'x': 'x' is not a date, such as 2024-12-31"),
    ],
)
def test_what_the_first_rows_show_holds_for_all(first, then, expected):
    """Whether 02/01 is in January or in February cannot change within a file."""
    kind = (
        "date"
        if any("/" in cell or ("." in cell and len(cell) > 8) or "-" in cell for cell in first + then)
        else "number"
    )
    lines = ["x;y", *(f"{cell};0" for cell in first), *(f"{cell};0" for cell in then)]
    Path("t.csv").write_text("\n".join(lines) + "\n")
    size = sum(map(len, lines[:3])) + 3
    if isinstance(expected, str):
        with pytest.raises(DataError) as caught:
            blocks("t.csv", {"x": kind}, size)
        assert str(caught.value) == expected
    else:
        head, *rest = blocks("t.csv", {"x": kind}, size)
        assert head.table.n_rows == 2
        np.testing.assert_allclose(np.concatenate([block.table.X[:, 0] for block in rest]), expected)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_whole_numbers_are_the_same_label_beside_others(name):
    values = pl.DataFrame({"c": [1.0, 2.0, 2.5, 1.0]})
    values.write_parquet(name) if "parquet" in name else Path(name).write_text("c\n1\n2\n2.5\n1\n")
    found = blocks(name, {"c": "category"}, size=2)
    assert [label for (label,) in cells(block.table for block in found)] == ["1", "2", "2.5", "1"]


@pytest.mark.parametrize(("kind", "y"), [(None, [1.5]), ("number", [1.5]), ("category", ["1.50"])])
def test_a_target_of_digits_is_a_label_where_labels_are_asked_for(kind, y):
    Path("t.csv").write_text("x,y\n1,1.50\n")
    (block,) = blocks("t.csv", {"x": "number"} | ({"y": kind} if kind else {}), target="y")
    assert block.table.y.tolist() == y


def test_a_target_of_numbers_is_refused_where_it_is_none():
    Path("t.csv").write_text(X + "1,many\n")
    with pytest.raises(DataError, match=r"^t.csv, line 52, column 'y': 'many' is not a number$"):
        blocks("t.csv", {"x": "number", "y": "number"}, target="y")
    assert blocks("t.csv", {"x": "number", "z": "number"}, target="z")[0].table.y is None


@AS_FUNCTION
@given(
    rows=st.lists(st.tuples(*[st.text(st.sampled_from('ab,; "\n\r'), max_size=6)] * 2), min_size=1, max_size=12),
    size=st.integers(1, 60),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_python_writes_is_cut_where_rows_end(rows, size, end):
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([("c", "y"), *rows])
    Path("t.csv").write_text(text.getvalue(), newline="")
    kinds = {"c": "category", "y": "category"}
    assert b"".join(delimited.pieces(io.BytesIO(text.getvalue().encode()), "", size)) == text.getvalue().encode()
    try:
        whole = read("t.csv", columns=list(kinds), kinds=kinds)
    except DataError:
        with pytest.raises(DataError):
            blocks("t.csv", kinds, size)
    else:
        assert cells(block.table for block in blocks("t.csv", kinds, size)) == cells([whole])


@AS_FUNCTION
@given(content=st.text(st.sampled_from('a1,;\t"\n\r .-\x00é'), max_size=60).map(str.encode), size=st.integers(1, 30))
def test_any_bytes_give_the_table_or_one_line(content, size):
    Path("t.csv").write_bytes(b"a,y\n" + content)
    kinds = {"a": "category", "y": "category"}
    try:
        whole = cells([read("t.csv", columns=list(kinds), kinds=kinds)])
    except DataError:
        with pytest.raises(DataError, match=r"^[^\n]+$"):
            blocks("t.csv", kinds, size)
    else:
        assert cells(block.table for block in blocks("t.csv", kinds, size)) == whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (X + '1,2"\n' + X[4:] * 20, "t.csv, line 52: a stray quote mark"),
        (X + '1,"2\n' + X[4:] * 20, "t.csv, line 52: a stray quote mark"),
        (X.replace("\n", "\r") * 20, "t.csv, line 1: old Mac line ends"),
        (X + "1" * 3000 + ",2\n", "t.csv, line 52: it goes on for more than "),
        (X + '1,"' + "\n" * 3000 + '"\n', "t.csv, line 52: a stray quote mark"),
    ],
)
def test_a_line_without_an_end_is_not_read_to_the_end(monkeypatch, content, message):
    """A lone quote mark on top of a huge file: it is found before all of the file is in memory."""
    monkeypatch.setattr(delimited, "LONGEST_RECORD", 1000)
    Path("t.csv").write_text(content, newline="")
    with pytest.raises(DataError) as caught:
        blocks("t.csv", {"x": "number"}, 100)
    assert str(caught.value).startswith(message)


MEASURE = """
import sys
import resource
from fallline.table import read_blocks
n = sum(block.table.n_rows for block in read_blocks(sys.argv[1], {"x": "number", "c": "category"}, block_bytes=1 << 18))
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is counted in other units")
@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.arrow", "t.jsonl"])
def test_memory_does_not_grow_with_the_file(name):
    """A hundred times as many rows, in MiB; read whole they take hundreds."""

    def peak(n):
        table = pl.DataFrame({"x": np.arange(n) / 7, "c": ["some words to fill the file"] * n})
        if name.endswith("parquet"):
            table.write_parquet(name, row_group_size=10_000)
        elif name.endswith("arrow"):
            table.write_ipc(name, record_batch_size=10_000)
        else:
            table.write_csv(name) if name.endswith("csv") else table.write_ndjson(name)
        done = subprocess.run([sys.executable, "-c", MEASURE, name], capture_output=True, text=True, check=True)
        rows, mebibytes = map(int, done.stdout.split())
        assert rows == n
        return mebibytes

    assert peak(1_000_000) - peak(10_000) < 60

"""CSV in: what is read as what, and the one line that every broken file gives."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fallline.errors import DataError
from fallline.table import read

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
MATRICES = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=FINITE)
AS_FUNCTION = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes, name: str = "t.csv") -> str:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return write


TABLE = [[1.0, 2.5], [-3.0, 4e3]]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("a,b,y\n1,2.5,0\n-3,4e3,1\n", "t.csv"),
        ("a,b,y\n1,2.5,0\n-3,4e3,1", "t.csv"),
        ("a,b,y\r\n1,2.5,0\r\n-3,4e3,1\r\n", "t.csv"),
        ("a;b;y\n1;2.5;0\n-3;4e3;1\n", "t.csv"),
        ("a\tb\ty\n1\t2.5\t0\n-3\t4e3\t1\n", "t.csv"),
        ("a\tb\ty\n1\t2.5\t0\n-3\t4e3\t1\n", "T.TSV"),
        ("a, b, y\n1, 2.5, 0\n-3, 4e3, 1\n", "t.txt"),
        ('"a";"b";"y"\n"1";"2.5";"0"\n"-3";"4e3";"1"\n', "t.csv"),
        ("\ufeffa,b,y\n1,2.5,0\n-3,4e3,1\n", "t.csv"),
        ("\n\na,b,y\n\n1,2.5,0\n\r\n-3,4e3,1\n\n\n", "t.csv"),
        ("y,a,b\n0,+1,2.5\n1,-3,4000.\n", "t.csv"),
    ],
)
def test_one_table_however_it_is_written(save, content, name):
    table = read(save(content, name), "y")
    assert table.columns == ("a", "b")
    assert table.X.tolist() == TABLE
    assert table.X.dtype == np.float32
    assert table.X.flags.c_contiguous
    assert (table.target, table.y.tolist(), table.y.dtype) == ("y", [0, 1], np.int64)
    assert table.name == name
    assert table.image_shape is None


@pytest.mark.parametrize(
    ("cells", "expected", "kind"),
    [
        (["1", "2"], [1, 2], "i"),
        (["1", "2.5"], [1.0, 2.5], "f"),
        (["99999999999999999999", "1"], [1e20, 1.0], "f"),
        ([" >50K", "<=50K "], [">50K", "<=50K"], "U"),
        (["1", "b"], ["1", "b"], "U"),
        (["True", "False"], ["True", "False"], "U"),
        (['"New York, NY"', '"a ""b"""'], ["New York, NY", 'a "b"'], "U"),
    ],
)
def test_targets_are_numbers_if_all_are_else_labels(save, cells, expected, kind):
    table = read(save("x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))), "y")
    assert table.y.tolist() == expected
    assert table.y.dtype.kind == kind


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv: the file is empty"),
        (b"\n\n", "t.csv: the file is empty"),
        (b"a,y\n", "t.csv: it has column names but no rows"),
        (
            b"a,y\n1,2\n4,5\nabc,3\n",
            "t.csv, line 4, column 'a': 'abc' is not a number, but most of the col",
        ),
        (b'a,b,y\n1,"2",3\n4,"5\n6",7\n8,9,0\n7,1,2\n', "t.csv, line 3, column 'b': '5\\n6' is not a number, but most"),
        (b"a,b,y\n1,inf,3\n", "t.csv, line 2, column 'b': 'inf' is not a finite number"),
        (b"a,b,y\n1,1e39,3\n", "t.csv, line 2, column 'b': '1e39' is too large for float32"),
        (b"a,y\n1,2\n3,\n", "t.csv, line 3, column 'y': the value is missing"),
        (b"a,y\n1,2\n3,inf\n", "t.csv, line 3, column 'y': 'inf' is not a finite number"),
        (b"a,b,y\n1,2,3\n1,2\n", "t.csv, line 3: 2 fields where the first line has 3"),
        (b"a,y\n1,2\n\n1,2,3\n", "t.csv, line 4: 3 fields where the first line has 2"),
        (b"a,b,a,y\n1,2,3,4\n", "t.csv, line 1: the column name 'a' occurs 2 times"),
        (b"a,y\n1,2\n\xff,2\n", "t.csv, line 3: byte 0xff is not UTF-8 text"),
        (b"a\xe9,y\n1,2\n", "t.csv, line 1: byte 0xe9 is not UTF-8 text"),
        ("a,y\n1,2\n".encode("utf-16"), "t.csv, line 1: a NUL byte, it looks like UTF-16; save it as UTF-8"),
        ("a,y\n1,2\n".encode("utf-16-le"), "t.csv, line 1: a NUL byte, it looks like UTF-16; save it as UTF-8"),
        (b'a,y\n1,2\n"3,4\n5,6\n', "t.csv, line 3: a stray quote mark"),
        (b'a,y\n1,2\n"3"x,4\n5,6\n', "t.csv, line 3: a stray quote mark"),
        (b'a,y\n1,2\n5" x,2\n3,4\n', "t.csv, line 3: a stray quote mark"),
        (b'x,size"\n1,a\n2,6"\n3,c\n', "t.csv, line 1: a stray quote mark; quote the whole field and double each"),
        (b'x,y\n1,a\n2,6"\n3,"c"\n4,d"\n', "t.csv, line 3: a stray quote mark"),
        (b'0,"a,b",5"\n1,"","q" r\n2,p "q","ok"\n3,"q" r,5"', "t.csv, line 1: a stray quote mark"),
        (b'y,a\n"p\nq",1\nr,2"\n', "t.csv, line 4: a stray quote mark"),
        (b'a"a\nb"\n1\r\n\r\n" "\n', "t.csv, line 1: a stray quote mark"),
        (b"a\r\r\n\n1\n2\n", "t.csv, line 1: mixed line ends"),
        (b"a,y\r\n1,2\r3,4\r\n", "t.csv, line 2: mixed line ends"),
        (b"a,y\r\r\n1,2\r\r\n\r\r\n", "t.csv, line 1: mixed line ends"),
        (b"a,y\n1_000,2\n1,2\n1,2\n", "t.csv, line 2, column 'a': '1_000' is not a number, but most"),
        ("a,y\n\u0663,2\n1,2\n1,2\n".encode(), "t.csv, line 2, column 'a': '\u0663' is not a number, but most"),
        ("a,y\n\uff13,2\n1,2\n1,2\n".encode(), "t.csv, line 2, column 'a': '\uff13' is not a number, but most"),
        (b"a,y\r1,2\r3,4\r", "t.csv, line 1: old Mac line ends"),
        (b"y\n1\n2\n", "t.csv: no input column is left"),
    ],
)
def test_a_broken_file_gives_one_line(save, capfd, content, message):
    path = save(content)
    with pytest.raises(DataError) as caught:
        read(path, "y")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (["1", "2.5", ""], "number", [1, 2.5, np.nan]),
        (["1", "NA", "?", "nan", " "], "number", [1, np.nan, np.nan, np.nan, np.nan]),
        (["", "", ""], "number", [np.nan] * 3),
        (['"1,5"', '"2,25"', '"3"'], "number", [1.5, 2.25, 3]),
        (['"1,500"', '"2,250"'], "category", [0, 1]),  # thousands, or not: nobody knows
        (["true", "false", "true"], "category", [1, 0, 1]),
        (["b", "a", "", "b"], "category", [1, 0, np.nan, 1]),
        (["1", "x", "y"], "category", [0, 1, 2]),
        (["2000-01-01", "2000-01-03", ""], "date", [0, 2, np.nan]),
        (["1999-12-31 12:00:00", "2000-01-01 06:00:00"], "date", [-0.5, 0.25]),
        (["31.12.1999", "02.01.2000"], "date", [-1, 1]),
        (["12/31/1999", "01/02/2000"], "date", [-1, 1]),
        (["2000-01-01", "soon"], "category", [0, 1]),
    ],
)
def test_columns_are_guessed(save, cells, kind, expected):
    table = read(save("x,y\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells))), "y")
    assert table.kind("x") == kind
    np.testing.assert_array_equal(table.X[:, 0], np.array(expected, np.float32))


def test_what_a_column_holds_can_be_said(save):
    path = save("zip,when,y\n10115,1,0\n80331,2,1\n10115,3,0\n")
    table = read(path, "y", kinds={"zip": "category"})
    assert (table.kind("zip"), table.labels["zip"]) == ("category", ("10115", "80331"))
    with pytest.raises(DataError, match=r"^t.csv, line 2, column 'when': '1' is not a date, such as 2024-12-31$"):
        read(path, "y", kinds={"when": "date"})
    with pytest.raises(DataError, match=r"^t.csv: no column 'zap', did you mean 'zip'\?"):
        read(path, "y", kinds={"zap": "category"})
    with pytest.raises(DataError, match=r"^t.csv, line 3, column 'x': 'two' is not a number$"):
        read(save("x,y\n1,0\ntwo,1\n"), "y", kinds={"x": "number"})


def test_the_line_is_right_far_down_a_file(save):
    lines = ["a,b,y", *("1,2,3" for _ in range(50_000)), "1,oops,3", *("1,2,3" for _ in range(50_000))]
    with pytest.raises(DataError, match="line 50002, column 'b': 'oops' is not a number"):
        read(save("\n".join(lines)), "y")


@pytest.mark.parametrize(
    ("target", "drop", "message"),
    [
        (None, (), "t.csv: say which column is the target (columns: 'rooms', 'price')"),
        ("prise", (), "t.csv: no column 'prise', did you mean 'price'? (columns: 'rooms', 'price')"),
        ("PRICE", (), "t.csv: no column 'PRICE', did you mean 'price'? (columns: 'rooms', 'price')"),
        ("zzz", (), "t.csv: no column 'zzz' (columns: 'rooms', 'price')"),
        ("price", ("room",), "t.csv: no column 'room', did you mean 'rooms'? (columns: 'rooms', 'price')"),
        ("price", ("rooms",), "t.csv: no input column is left (columns: 'rooms', 'price')"),
    ],
)
def test_columns_that_are_not_there(save, target, drop, message):
    with pytest.raises(DataError) as caught:
        read(save("rooms,price\n1,2\n"), target, drop=drop)
    assert str(caught.value) == message


def test_long_lists_of_columns_are_cut(save):
    with pytest.raises(DataError, match=r"'c19' and 6 more\)$"):
        read(save(",".join(f"c{i}" for i in range(26)) + "\n"))


def test_dropped_columns_may_hold_anything(save):
    table = read(save("id,a,y\nx7,1,2\n,5,3\n"), "y", drop=["id"])
    assert (table.columns, table.X.tolist()) == (("a",), [[1.0], [5.0]])


def test_names_with_underscores_and_without_any(save):
    table = read(save(",_a_b,y\n0,1,2\n"), "y")
    assert table.columns == ("column_1", "_a_b")


class TestForPrediction:
    def test_columns_come_in_the_order_asked_for(self, save):
        path = save("c,y,a,b\nx,1,2,3\n")
        table = read(path, columns=["b", "a"])
        assert (table.columns, table.X.tolist(), table.y, table.target) == (("b", "a"), [[3.0, 2.0]], None, None)

    def test_target_is_used_where_it_is(self, save):
        path = save("y,a\n7,2\n")
        assert read(path, "y", ["a"]).y.tolist() == [7]
        assert read(path, "z", ["a"]).y is None

    def test_the_target_is_not_looked_at_unless_asked_for(self, save):
        path = save("y,a\n,1\n5,2\n")
        assert read(path, None, ["a"]).X.tolist() == [[1.0], [2.0]]
        with pytest.raises(DataError, match="line 2, column 'y': the value is missing"):
            read(path, "y", ["a"])

    def test_all_missing_columns_are_named(self, save):
        wanted = ["a", *(f"m{i}" for i in range(25))]
        with pytest.raises(DataError, match=r"t.csv: missing 25 columns 'm0', .*'m24' \(columns: 'y', 'a'\)"):
            read(save("y,a\n7,2\n"), columns=wanted)
        with pytest.raises(DataError, match=r"t.csv: missing column 'm0' \("):
            read(save("y,a\n7,2\n"), columns=wanted[:2])


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,y\n1,2\nz,4\n5,6\n")))
    with pytest.raises(DataError, match=r"^standard input, line 3, column 'a': 'z' is not a number"):
        read("-", "y")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,y\n1,2\n")))
    assert read("-", "y").X.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.csv", "no file 'nowhere.csv' (bundled sets: 'digits', 'iris', "),
        ("irsi", "no file 'irsi', did you mean 'iris'?"),
        ("folder", "folder: a folder without IDX images"),
        ("note.doc", "note.doc: unknown kind of file (known: .csv, "),
    ],
)
def test_sources_that_cannot_be_read(save, source, message):
    Path("folder").mkdir()
    save("", "note.doc")
    with pytest.raises(DataError) as caught:
        read(source, "y")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_that_are_well_placed(save, end):
    lines = ['\ufeff"a,b";"5"" pipe";y', '"1";"";"x ""y"""', "", '2;3;"p', 'q;"', '4;"5";""""']
    table = read(save(end.join(lines)), "y", columns=["a,b"])
    assert table.columns == ("a,b",)
    assert table.X.tolist() == [[1.0], [2.0], [4.0]]
    assert table.y.tolist() == ['x "y"', f"p{end}q;", '"']


FIELDS = st.text(st.sampled_from('a, ;"\n'), max_size=5).map(lambda text: f"x{text}x")


@AS_FUNCTION
@given(labels=st.lists(FIELDS, min_size=1, max_size=6))
def test_what_python_writes_is_read_back(save, labels):
    text = io.StringIO()
    csv.writer(text).writerows([("a", "y"), *enumerate(labels)])
    assert read(save(text.getvalue()), "y").y.tolist() == labels


def test_a_very_long_header(save):
    names = [f"a_rather_long_name_{j}" for j in range(20_000)]
    table = read(save(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n"), names[-1])
    assert table.columns == tuple(names[:-1])
    with pytest.raises(DataError, match=r"line 1: not valid CSV \(field larger"):
        read(save("a" * 140_000 + ",y\n1,2\n"), "y")


@AS_FUNCTION
@given(X=MATRICES)
def test_numbers_survive_a_round_trip(save, X):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(f"c{j}" for j in range(X.shape[1])), "y"])
    writer.writerows([*map(repr, row), i] for i, row in enumerate(X.tolist()))
    table = read(save(text.getvalue()), "y")
    np.testing.assert_array_equal(table.X, X)
    assert table.y.tolist() == list(range(len(X)))


@AS_FUNCTION
@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.text(st.sampled_from('a1,;\t"\n\r .-\x00é'), max_size=60).map(str.encode),
    )
)
def test_any_bytes_give_a_table_or_one_line(save, content):
    path = save(b"a,y\n" + content)
    try:
        table = read(path, "y")
    except DataError:
        with pytest.raises(DataError, match=r"^[^\n]+$"):
            read(path, "y")
    else:
        assert not np.isinf(table.X).any()
        assert table.y.shape == (table.n_rows,)

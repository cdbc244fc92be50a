"""Many files as one table, and any of its rows."""

import datetime as dt
import os

import numpy as np
import polars as pl
import pytest

from fallline.errors import DataError
from fallline.table import Source, read, read_blocks


def frame(n, first=0):
    rows = range(first, first + n)
    return pl.DataFrame(
        {
            "number": [float(i) for i in rows],
            "label": [None if i % 7 == 0 else "abc"[i % 3] for i in rows],
            "day": [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in rows],
            "text day": [f"{1 + i % 28:02}.01.2024" for i in rows],
            "not used": ["x"] * n,
            "y": list(rows),
        }
    )


@pytest.fixture
def folder(tmp_path):
    frame(10).write_parquet(tmp_path / "a.parquet")
    frame(5, 10).select("y", "label", "number", "day", "not used", "text day").write_ipc(tmp_path / "b.arrow")
    frame(8, 15).write_parquet(tmp_path / "c.parquet")
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def same(found, wanted):
    np.testing.assert_array_equal(found.X, wanted.X)
    np.testing.assert_array_equal(found.y, wanted.y)
    assert (found.columns, found.dates) == (wanted.columns, wanted.dates)


@pytest.mark.parametrize("pattern", ["", "*.[ap]*", "[abc].*"])
def test_a_folder_or_a_pattern_is_one_table(folder, tmp_path_factory, pattern):
    path = tmp_path_factory.mktemp("whole") / "whole.parquet"
    frame(23).write_parquet(path)
    wanted = read(path, "y")
    same(read(folder / pattern, "y"), wanted)
    kinds = {name: wanted.kind(name) for name in wanted.columns}
    blocks = [block.table for block in read_blocks(folder / pattern, kinds, "y", block_bytes=8 * 6 * 4)]
    assert [block.n_rows for block in blocks] == [4] * 5 + [3]
    np.testing.assert_array_equal(np.concatenate([block.X[:, 0] for block in blocks]), wanted.X[:, 0])


def test_a_source_reads_any_rows_across_files(folder):
    whole, source = read(folder, "y", drop=["not used"]), Source.of(folder, "y", drop=["not used"])
    assert source.n_rows == 23
    for first, last in ((0, 23), (3, 4), (8, 17), (10, 15), (22, 23)):
        part = source.rows(first, last)
        assert part.first_row == first
        wanted = whole.rows(np.arange(first, last))
        for name in part.columns:
            j = part.columns.index(name)
            if name in part.labels:
                assert words(part, j) == words(wanted, j)
            else:
                np.testing.assert_array_equal(part.X[:, j], wanted.X[:, j])
        np.testing.assert_array_equal(part.y, wanted.y)


def words(table, j):
    labels = table.labels[table.columns[j]]
    return [None if np.isnan(code) else labels[int(code)] for code in table.X[:, j]]


def test_what_columns_hold_does_not_depend_on_the_rows(tmp_path):
    pl.DataFrame({"text": [None, None, "12"], "x": [1, 2, 3], "y": ["1", "2", "b"]}).write_parquet(
        tmp_path / "a.parquet"
    )
    source = Source.of(tmp_path, "y")
    assert source.kinds == {"text": "category", "x": "number", "y": "category"}
    assert source.rows(0, 2).y.tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: f.drop("label"), "b.parquet: missing column 'label', which a.parquet has"),
        (lambda f: f.with_columns(z=1), "b.parquet: column 'z' is not in a.parquet"),
        (lambda f: f.with_columns(number=pl.lit("x")), "b.parquet, column 'number': it holds text, but numbers in"),
        (lambda f: f.with_columns(day=pl.lit(1)), "b.parquet, column 'day': it holds numbers, but dates in a.parquet"),
    ],
)
def test_files_that_differ_are_refused_with_the_difference(tmp_path, change, complaint):
    frame(3).write_parquet(tmp_path / "a.parquet")
    change(frame(3)).write_parquet(tmp_path / "b.parquet")
    for reading in (lambda: read(tmp_path, "y"), lambda: Source.of(tmp_path, "y")):
        with pytest.raises(DataError) as error:
            reading()
        assert complaint in str(error.value)
        assert "\n" not in str(error.value)


def test_a_cell_is_named_by_file_and_row(tmp_path):
    frame(3).write_parquet(tmp_path / "a.parquet")
    frame(3).with_columns(number=pl.Series([1.0, 2.0, float("inf")])).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet row 3, column 'number': 'inf' is not a finite number"):
        Source.of(tmp_path, "y", kinds={"label": "category"}).rows(4, 6)


def test_a_missing_target_is_refused_with_its_place(tmp_path):
    frame(20).with_columns(y=pl.when(pl.col("y") != 11).then(pl.col("y"))).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"row 12, column 'y': the value is missing"):
        Source.of(tmp_path, "y").rows(10, 20)


def test_what_cannot_be_streamed_says_what_to_do(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"t.csv: only files that end in .parquet.*write the table as Parquet"):
        Source.of(path, "y")
    with pytest.raises(DataError, match="no file fits"):
        Source.of(tmp_path / "*.parquet", "y")
    with pytest.raises(DataError, match=r"files that are one table must end in .parquet"):
        read(tmp_path / "t.*", "y")
    for data in ("", "-", "digits"):
        with pytest.raises(DataError, match=f"DATA is {data!r}, which cannot be streamed"):
            Source.of(data, "y")


def test_a_column_of_nothing_agrees_with_one_other_kind(tmp_path):
    frame(3).with_columns(number=None).write_parquet(tmp_path / "a.parquet")
    frame(3).write_parquet(tmp_path / "b.parquet")
    assert Source.of(tmp_path, "y").kinds["number"] == "number"
    for other, what in ((pl.lit("x"), "text"), (pl.lit(dt.date(2024, 1, 1)), "dates"), (pl.lit([1]), "List")):
        frame(3).with_columns(number=other).write_parquet(tmp_path / "c.parquet")
        with pytest.raises(DataError, match=rf"c.parquet, .*: it holds {what}.*, but numbers in b.parquet"):
            Source.of(tmp_path, "y")


@pytest.mark.parametrize("blank", ["", "NA", None])
def test_text_that_begins_with_blanks_is_no_date(tmp_path, blank):
    text = pl.Series("text", [blank] * 10_000 + ["red"], pl.String)
    pl.DataFrame({"text": text, "y": range(10_001)}).write_parquet(tmp_path / "a.parquet")
    assert Source.of(tmp_path, "y").rows(9_999, 10_001).labels == {"text": ("red",)}


def test_files_that_change_or_are_not_there_are_named(folder):
    source, path = Source.of(folder, "y"), folder / "c.parquet"
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))  # as of a file of the same size in its place
    with pytest.raises(DataError, match=r"c.parquet: it has changed since it was first read; leave it alone, or"):
        source.rows(12, 23)
    assert source.rows(0, 15).n_rows == 15
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert source.rows(12, 23).n_rows == 11
    frame(3).write_parquet(path)
    with pytest.raises(DataError, match=r"c.parquet: it has changed"):
        source.rows(12, 23)
    path.unlink()
    with pytest.raises(DataError, match=r"c.parquet: cannot be read as Parquet .*No such file"):
        source.rows(12, 23)
    (folder / ".c.parquet").write_bytes(b"whoever copies it is not done")
    assert Source.of(folder, "y").n_rows == 15
    (folder / "d.parquet").symlink_to(folder / "nowhere")
    for place in (folder, folder / "*.[ap]*"):
        with pytest.raises(DataError, match=r"d.parquet: cannot be read \(No such file or directory\)"):
            Source.of(place, "y")


def test_a_fingerprint_is_of_names_sizes_and_columns(folder):
    before = Source.of(folder, "y").fingerprint
    assert Source.of(folder, "y").fingerprint == before
    assert Source.of(folder, "y", drop=["label"]).fingerprint != before
    frame(9, 15).write_parquet(folder / "c.parquet")
    assert Source.of(folder, "y").fingerprint != before


def test_a_thousand_columns_are_looked_up_together(tmp_path, monkeypatch):
    """Polars makes their list anew each time it is asked for: once for each column takes seconds of every block."""
    n = 300
    pl.DataFrame({"y": [1, 2]} | {f"x{j}": [0.5, j] for j in range(n)}).write_parquet(tmp_path / "a.parquet")
    source, asked, columns = Source.of(tmp_path, "y"), [], pl.DataFrame.columns
    monkeypatch.setattr(pl.DataFrame, "columns", property(lambda frame: asked.append(1) or columns.fget(frame)))
    assert source.rows(0, 2).X.shape == (2, n)
    assert len(asked) < 30

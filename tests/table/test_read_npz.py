"""NPZ files that are hostile, and labels that would not come back from a model file."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fallline.errors import DataError
from fallline.table import read


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def npy(header):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile("t.npz", "w", compression) as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("X_txt", b"1,2", "t.npz: it needs a matrix 'X'"),
        ("X", b"1,2", "t.npz: it needs a matrix 'X'"),
        ("X_npy", npy(HEADER % f"({2**70}, 2)"), "t.npz: cannot be read as NPZ ("),
        ("X_npy", npy(HEADER % "(True, 3)"), "t.npz: cannot be read as NPZ ("),
        ("X_npy", npy("{'descr': ("), "t.npz: cannot be read as NPZ ("),
        ("X_npy", npy("((((" * 20), "t.npz: cannot be read as NPZ ("),
        ("X_npy", saved(np.array([[None]])), "t.npz: cannot be read as NPZ (plain arrays of numbers or text are"),
    ],
)
def test_members_that_are_no_arrays(name, content, message):
    archive(**{name: content})
    with pytest.raises(DataError) as caught:
        read("t.npz")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert "pickle" not in str(caught.value)


def test_a_damaged_lzma_member():
    archive(zipfile.ZIP_LZMA, X_npy=saved(np.arange(3000.0).reshape(-1, 1)), y_npy=saved(np.arange(3000)))
    assert read("t.npz").n_rows == 3000
    content = bytearray(Path("t.npz").read_bytes())
    content[60:200] = b"\xff" * 140
    Path("t.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"^t.npz: cannot be read as NPZ \([^\n]+\)$"):
        read("t.npz")


def test_an_error_without_a_message(monkeypatch):
    def fail(*_, **__):
        raise AssertionError

    np.savez("t.npz", X=np.eye(2))
    monkeypatch.setattr(np, "load", fail)
    with pytest.raises(DataError, match=r"^t.npz: cannot be read as NPZ \(AssertionError\)$"):
        read("t.npz")


def test_other_members_are_left_alone():
    archive(X_npy=saved(np.eye(2)), y_npy=saved(np.arange(2)), z_npy=npy("broken"), readme_txt=b"hello")
    assert read("t.npz").X.tolist() == np.eye(2).tolist()


def test_targets_are_not_looked_at_unless_asked_for():
    np.savez("t.npz", X=np.eye(2), y=np.array([1, np.nan]))
    assert read("t.npz", None, columns=["x0", "x1"]).y is None
    for columns in (None, ["x0"]):
        with pytest.raises(DataError, match=r"^t.npz, y\[1\]: nan"):
            read("t.npz", "y", columns=columns)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([1, 2**63 + 5], np.uint64), "t.npz, y[1]: 9223372036854775813 does not fit into 64 bits with a sign"),
        (np.array(["a", "x\0y"]), "t.npz, y[1]: the label has a character that no text file can hold"),
        (np.array(["a", "\ud800"]), "t.npz, y[1]: the label has a character that no text file can hold"),
    ],
)
def test_npz_labels_that_would_be_altered(y, message):
    np.savez("t.npz", X=np.eye(2), y=y)
    with pytest.raises(DataError) as caught:
        read("t.npz")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            pl.Series([2**53, 2**63 + 5], dtype=pl.UInt64),
            "t.parquet, row 2, column 'y': 9223372036854775813 does not fit",
        ),
        (pl.Series(["x", "x\0"]), r"t.parquet, row 2, column 'y': the label 'x\x00' has a NUL character"),
    ],
)
def test_parquet_labels_that_would_be_altered(y, message):
    pl.DataFrame({"x": [1, 2], "y": y}).write_parquet("t.parquet")
    assert read("t.parquet", None, columns=["x"]).y is None
    with pytest.raises(DataError) as caught:
        read("t.parquet", "y")
    assert str(caught.value).startswith(message)


def test_large_whole_numbers_stay_what_they_are():
    whole = [2**53, 2**53 + 1, 2**63 - 1]
    pl.DataFrame({"x": [1, 2, 3], "y": pl.Series(whole, dtype=pl.UInt64)}).write_parquet("t.parquet")
    np.savez("t.npz", X=np.eye(3), y=np.array(whole, np.uint64))
    assert read("t.parquet", "y").y.tolist() == read("t.npz").y.tolist() == whole

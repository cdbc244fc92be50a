"""Parquet, NPZ, IDX and the bundled sets."""

import datetime
import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fallline.errors import DataError
from fallline.table import BUNDLED, load_bundled, read, table_from_any

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
MATRICES = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=FINITE)
AS_FUNCTION = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MNIST = Path(__file__).parents[2].parent / "shared/data/mnist"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class TestParquet:
    @AS_FUNCTION
    @given(X=MATRICES)
    def test_numbers_survive_a_round_trip(self, X):
        names = [f"c{j}" for j in range(X.shape[1])]
        frame = pl.DataFrame(X, schema=names).with_columns(y=pl.Series(range(len(X))))
        frame.write_parquet("t.parquet")
        table = read("t.parquet", "y")
        np.testing.assert_array_equal(table.X, X)
        assert table.X.flags.c_contiguous
        assert table.columns == tuple(names)
        assert table.y.tolist() == list(range(len(X)))

    @pytest.mark.parametrize(
        ("series", "expected", "kind"),
        [
            (pl.Series([3, 1], dtype=pl.UInt8), [3, 1], "i"),
            (pl.Series([3.5, 1.0]), [3.5, 1.0], "f"),
            (pl.Series([2.0, 1.0]), [2.0, 1.0], "f"),
            (pl.Series(["2.5", "1"]).cast(pl.Decimal(10, 2)), [2.5, 1.0], "f"),
            (pl.Series([True, False]), [True, False], "b"),
            (pl.Series(["b", "a"]), ["b", "a"], "U"),
            (pl.Series(["b", "a"], dtype=pl.Categorical), ["b", "a"], "U"),
        ],
    )
    def test_types_of_targets(self, series, expected, kind):
        pl.DataFrame({"x": [1, 2], "y": series}).write_parquet("t.parquet")
        y = read("t.parquet", "y").y
        assert y.tolist() == expected
        assert y.dtype.kind == kind

    def test_types_of_inputs(self):
        columns = {
            "whole": pl.Series([1, 2], dtype=pl.Int8),
            "bool": pl.Series([True, False]),
            "text": pl.Series(["1.5", " 2"]),
            "category": pl.Series(["7", "8"], dtype=pl.Categorical),
            "y": pl.Series([0, 1]),
        }
        pl.DataFrame(columns).write_parquet("t.parquet")
        table = read("t.parquet", "y")
        assert table.X.tolist() == [[1, 1, 0, 0], [2, 0, 1, 1]]
        assert table.labels == {"text": ("1.5", "2"), "category": ("7", "8")}

    def test_dates_and_missing_values(self):
        days = [datetime.date(2000, 1, 3), None, datetime.date(1999, 12, 31)]
        noon = [datetime.datetime(2000, 1, 1, 12, tzinfo=datetime.timezone.utc)] * 3
        columns = {"d": days, "t": noon, "n": [1.5, None, np.nan], "w": ["b", None, "a"], "y": [0, 1, 0]}
        pl.DataFrame(columns, strict=False).write_parquet("t.parquet")
        table = read("t.parquet", "y")
        assert [table.kind(name) for name in table.columns] == ["date", "date", "number", "category"]
        np.testing.assert_array_equal(table.X, [[2, 0.5, 1.5, 1], [np.nan, 0.5, np.nan, np.nan], [-1, 0.5, np.nan, 0]])

    @pytest.mark.parametrize(
        ("series", "message"),
        [
            (pl.Series("x", [-np.inf, 1.0]), "t.parquet, row 1, column 'x': '-inf' is not a finite number"),
            (pl.Series("x", [1.0, 1e300]), "t.parquet, row 2, column 'x': '1e+300' is too large for float32"),
            (pl.Series("x", [[1], [2]]), "t.parquet, column 'x': it holds List(Int64) values; numbers,"),
            (pl.Series("y", [1, None]), "t.parquet, row 2, column 'y': the value is missing"),
            (pl.Series("y", [1.0, np.nan]), "t.parquet, row 2, column 'y': the value is missing"),
            (pl.Series("y", ["a", None]), "t.parquet, row 2, column 'y': the value is missing"),
            (pl.Series("y", [datetime.date(2020, 1, 1)] * 2), "t.parquet, column 'y': Date values cannot be a target"),
        ],
    )
    def test_cells_that_are_no_numbers(self, series, message):
        pl.DataFrame({"x": [1, 2], "y": [1, 2]}).with_columns(series).write_parquet("t.parquet")
        with pytest.raises(DataError) as caught:
            read("t.parquet", "y")
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize("name", ["t.arrow", "t.feather", "t.jsonl", "t.ndjson"])
    def test_other_files_of_typed_columns(self, name):
        frame = pl.DataFrame({"n": [1.5, None], "w": ["b", "a"], "y": [0, 1]})
        frame.write_ndjson(name) if "json" in name else frame.write_ipc(name)
        table = read(name, "y")
        assert (table.labels, table.y.tolist()) == ({"w": ("a", "b")}, [0, 1])
        np.testing.assert_array_equal(table.X, [[1.5, 1], [np.nan, 0]])
        Path(name).write_bytes(b"nonsense")
        with pytest.raises(DataError, match=rf"^{name}: cannot be read as (Arrow|Feather|JSON lines) "):
            read(name, "y")

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"nonsense" * 10, b"PAR1" + b"\0" * 40 + b"PAR1"])
    def test_broken_files(self, content, capfd):
        Path("t.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"^t.parquet: cannot be read as Parquet \([^\n]*\)$"):
            read("t.parquet", "y")
        assert capfd.readouterr().err == ""

    def test_target_must_be_named(self):
        pl.DataFrame({"x": [1], "y": [1]}).write_parquet("t.parquet")
        with pytest.raises(DataError, match="say which column is the target"):
            read("t.parquet")


class TestNpz:
    @AS_FUNCTION
    @given(X=MATRICES, name=st.sampled_from(["X", "inputs"]))
    def test_numbers_survive_a_round_trip(self, X, name):
        np.savez("t.npz", **{name: X}, y=np.arange(len(X)))
        table = read("t.npz")
        np.testing.assert_array_equal(table.X, X)
        assert table.X.flags.c_contiguous
        assert table.columns == tuple(f"x{j}" for j in range(X.shape[1]))
        assert (table.target, table.y.tolist()) == ("y", list(range(len(X))))

    @pytest.mark.parametrize(
        ("y", "kind"),
        [
            (np.array([1, 0], np.uint8), "i"),
            (np.array([1, 0], np.float32), "f"),
            (np.array([True, False]), "b"),
            (np.array(["b", "a"]), "U"),
            (np.array([[1], [0]]), "i"),
        ],
    )
    def test_types_of_targets(self, y, kind):
        np.savez("t.npz", X=np.eye(2), y=y)
        table = read("t.npz")
        assert table.y.tolist() == y.ravel().tolist()
        assert table.y.dtype.kind == kind

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"X": np.eye(2)}, "t.npz: there is nothing to learn"),
            ({"y": np.ones(2)}, "t.npz: it needs a matrix 'X' and an array 'y' (arrays: 'y')"),
            ({"a": np.eye(2), "b": np.eye(2), "y": np.ones(2)}, "t.npz: it needs a matrix 'X'"),
            (
                {"X": np.ones(2), "y": np.ones(2)},
                "t.npz, array 'X': rows and columns of numbers are needed, not float64",
            ),
            ({"X": np.ones((0, 2)), "y": np.ones(0)}, "t.npz, array 'X': rows and columns"),
            (
                {"X": np.array([["a"]]), "y": np.ones(1)},
                "t.npz, array 'X': rows and columns of numbers are needed, not str",
            ),
            (
                {"X": np.eye(2), "y": np.ones(3)},
                "t.npz, array 'y': 2 numbers or labels are needed, not float64 of shape",
            ),
            ({"X": np.eye(2), "y": np.ones(2, complex)}, "t.npz, array 'y': 2 numbers or labels are needed"),
            ({"X": np.array([[1, -np.inf]]), "y": np.ones(1)}, "t.npz, X[0, 1]: -inf is not a finite float32"),
            ({"X": np.array([[1], [1e39]]), "y": np.ones(2)}, "t.npz, X[1, 0]: 1e+39 is not a finite float32"),
            ({"X": np.eye(2), "y": np.array([1, np.inf])}, "t.npz, y[1]: inf is not a finite number"),
            ({"X": np.array([[None]]), "y": np.ones(1)}, "t.npz: cannot be read as NPZ"),
        ],
    )
    def test_arrays_that_do_not_fit(self, arrays, message):
        np.savez("t.npz", **arrays)
        with pytest.raises(DataError) as caught:
            read("t.npz")
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04nonsense"])
    def test_broken_files(self, content):
        Path("t.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"^t.npz: cannot be read as NPZ \([^\n]*\)$"):
            read("t.npz")

    def test_a_lone_array_and_a_damaged_archive(self):
        np.save("t.npy", np.eye(2))
        Path("t.npy").rename("t.npz")
        with pytest.raises(DataError, match="there is nothing to learn: no array 'y'"):
            read("t.npz")
        np.savez_compressed("t.npz", X=np.arange(1000.0).reshape(-1, 1), y=np.arange(1000))
        content = bytearray(Path("t.npz").read_bytes())
        content[200:240] = b"\xff" * 40
        Path("t.npz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as NPZ"):
            read("t.npz")

    def test_without_targets_it_serves_prediction(self):
        np.savez("t.npz", X=np.array([[1, 2], [3, 4]]))
        table = read("t.npz", columns=["x1"])
        assert (table.X.tolist(), table.y, table.columns) == ([[2.0], [4.0]], None, ("x1",))

    def test_its_target_is_its_own(self):
        np.savez("t.npz", X=np.eye(2), y=np.array([5, 6]))
        assert read("t.npz", "y", drop=["x0"]).columns == ("x1",)
        assert read("t.npz", "price", columns=["x0"]).y is None
        with pytest.raises(DataError, match=r"^t.npz: its target is 'y', not 'price'"):
            read("t.npz", "price")


def idx(array, *, kind=8):
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def header(*shape):
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


MAX = 2**32 - 1
IMAGES = np.arange(12).reshape(2, 2, 3) * 20
LABELS = np.array([7, 3])


class TestIdx:
    @pytest.mark.parametrize("zipped", ["", "images", "labels", "images labels"])
    @pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
    def test_a_pair(self, zipped, name):
        for kind, array in {"images": IMAGES, "labels": LABELS}.items():
            path = name.replace("images", kind).replace("idx3", f"idx{array.ndim}")
            if kind in zipped:
                Path(path + ".gz").write_bytes(gzip.compress(idx(array)))
            else:
                Path(path).write_bytes(idx(array))
        table = read(name + (".gz" if "images" in zipped else ""))
        np.testing.assert_array_equal(table.X, (IMAGES.reshape(2, 6) / 255).astype(np.float32))
        assert table.X.flags.c_contiguous
        assert table.columns == ("r0c0", "r0c1", "r0c2", "r1c0", "r1c1", "r1c2")
        assert (table.target, table.y.tolist(), table.y.dtype, table.image_shape) == ("label", [7, 3], np.int64, (2, 3))

    def test_a_folder_prefers_the_training_set(self):
        for part, labels in {"t10k": [1, 2], "train": [3, 4]}.items():
            Path(f"{part}-images-idx3-ubyte").write_bytes(idx(IMAGES))
            Path(f"{part}-labels-idx1-ubyte").write_bytes(idx(np.array(labels)))
        assert read(".").y.tolist() == [3, 4]

    def test_without_labels_it_serves_prediction(self):
        Path("a-images-idx3-ubyte").write_bytes(idx(IMAGES))
        table = read("a-images-idx3-ubyte", columns=["r0c0", "r1c2"])
        assert (table.y, table.image_shape, table.X.shape) == (None, None, (2, 2))
        with pytest.raises(DataError, match=r"nothing to learn.*no labels file"):
            read("a-images-idx3-ubyte")

    @pytest.mark.parametrize(
        ("images", "labels", "message"),
        [
            (b"", idx(LABELS), "a-images-idx3-ubyte: not an IDX file of unsigned bytes"),
            (idx(IMAGES, kind=9), idx(LABELS), "a-images-idx3-ubyte: not an IDX file of unsigned bytes"),
            (idx(IMAGES)[:10], idx(LABELS), "a-images-idx3-ubyte: not an IDX file of unsigned bytes"),
            (
                idx(IMAGES)[:-1],
                idx(LABELS),
                "a-images-idx3-ubyte: 12 bytes are needed for shape (2, 2, 3), it has fewer",
            ),
            (
                idx(IMAGES) + b"x",
                idx(LABELS),
                "a-images-idx3-ubyte: 12 bytes are needed for shape (2, 2, 3), it has more",
            ),
            (
                idx(np.ones((1,) * 4)),
                idx(LABELS),
                "a-images-idx3-ubyte: an array of 3 axes (n, height, width) is needed",
            ),
            (bytes((0, 0, 8, 70)) + bytes(280), idx(LABELS), "a-images-idx3-ubyte: an array of 3 axes (n, height, wi"),
            (header(0, MAX, MAX), idx(LABELS), "a-images-idx3-ubyte: it is empty, its shape is (0, 4294967295, 42"),
            (header(1, MAX, MAX), idx(LABELS), "a-images-idx3-ubyte: 18446744065119617025 bytes are needed for"),
            (
                gzip.compress(header(1, MAX, MAX)),
                idx(LABELS),
                "a-images-idx3-ubyte: 18446744065119617025 bytes are needed for",
            ),
            (
                idx(LABELS),
                idx(LABELS),
                "a-images-idx3-ubyte: an array of 3 axes (n, height, width) is needed, not of 1",
            ),
            (gzip.compress(idx(IMAGES))[:-9], idx(LABELS), "a-images-idx3-ubyte: the gzip file is broken"),
            (idx(IMAGES), idx(np.ones(3)), "a-labels-idx1-ubyte: 2 labels are needed, one an image, not an array"),
        ],
    )
    def test_broken_files(self, images, labels, message):
        Path("a-images-idx3-ubyte").write_bytes(images)
        Path("a-labels-idx1-ubyte").write_bytes(labels)
        with pytest.raises(DataError) as caught:
            read("a-images-idx3-ubyte")
        assert str(caught.value).startswith(message)

    def test_a_gzip_bomb_is_not_unpacked(self):
        Path("a-images-idx3-ubyte.gz").write_bytes(gzip.compress(header(1, 2, 3) + bytes(100_000_000), 9))
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=r"6 bytes are needed for shape \(1, 2, 3\), it has more$"):
                read("a-images-idx3-ubyte.gz")
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.skipif(not MNIST.exists(), reason="needs ../shared/data/mnist")
    def test_mnist(self):
        table = read(MNIST / "t10k-images-idx3-ubyte.gz")
        assert (table.X.shape, table.image_shape) == ((10_000, 784), (28, 28))
        assert table.y[:5].tolist() == [7, 2, 1, 0, 4]
        assert (table.X.min(), table.X.max()) == (0.0, 1.0)


class TestBundled:
    @pytest.mark.parametrize("name", BUNDLED)
    def test_sets_are_what_their_description_says(self, name):
        about, table = BUNDLED[name], read(name)
        assert (table.X.shape, table.target) == ((about.rows, about.inputs), about.target)
        assert len(table.columns) == len(set(table.columns)) == about.inputs
        assert (table.X.dtype, table.X.flags.c_contiguous) == (np.float32, True)
        assert table.y.dtype.kind == {"digits": "i", "xor": "i", "diabetes": "f"}.get(name, "U")
        assert table.y.shape == (about.rows,)

    def test_digits_are_pictures(self):
        digits = read("digits")
        assert (digits.image_shape, digits.X.min(), digits.X.max()) == ((8, 8), 0.0, 1.0)
        assert np.unique(digits.y).tolist() == list(range(10))

    def test_classes_have_names(self):
        assert np.unique(read("iris").y).tolist() == ["setosa", "versicolor", "virginica"]

    def test_diabetes_is_raw(self):
        diabetes = read("diabetes", "progression", drop=["sex"])
        assert diabetes.X[0, 0] == 59.0
        assert "sex" not in diabetes.columns

    def test_xor_is_made_as_it_is_documented(self):
        xor = read("xor")
        i = np.arange(200)
        corner = np.stack([i // 2 % 2, i % 2], axis=1)
        assert (xor.y == (corner[:, 0] != corner[:, 1])).all()
        noise = (xor.X - corner) / 0.15
        assert abs(noise.mean()) < 0.1
        assert 0.93 < noise.std() < 1.07
        np.testing.assert_allclose(noise[0], [1.76405235, 0.40015721], rtol=1e-6)  # MT19937's first, seed 0
        assert ((xor.X > 0.5) == (corner == 1)).all(), "no row lies in another corner's quarter"

    def test_a_name_goes_before_a_file(self):
        Path("iris").mkdir()
        assert read("iris").n_rows == 150

    def test_unknown_name(self):
        with pytest.raises(DataError, match=r"^no bundled set 'Digit', did you mean 'digits'\? \(bundled: 'digits',"):
            load_bundled("Digit")


def test_a_pandas_frame_with_all_its_ways_to_say_missing():
    columns = {
        "whole": [1, 2, 3],
        "float": [1.5, None, 2.0],
        "text": ["x", None, "y"],
        "nan": ["x", np.nan, "y"],
        "date": pd.to_datetime(["2000-01-02", None, "2000-01-03"]),
        "category": pd.Categorical(["v", "u", None]),
        "bool": [True, False, True],
        "Int64": pd.array([1, None, 3], dtype="Int64"),
        "boolean": pd.array([True, None, False], dtype="boolean"),
    }
    table = table_from_any(pd.DataFrame(columns), list(columns), {})
    nan = np.nan
    expected = [
        [1, 1.5, 0, 0, 1, 1, 1, 1, 1],
        [2, nan, nan, nan, nan, 0, 0, nan, nan],
        [3, 2, 1, 1, 2, nan, 1, 3, 0],
    ]
    np.testing.assert_array_equal(table.X, np.array(expected, np.float32))
    assert table.labels == {"text": ("x", "y"), "nan": ("x", "y"), "category": ("u", "v")}
    assert table.dates == {"date"}

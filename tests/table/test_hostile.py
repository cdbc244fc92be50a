"""Tables that nobody would wish for: each gets one line, or the behaviour that the documentation promises."""

import numpy as np
import polars as pl
import pytest

from fallline.errors import DataError
from fallline.fit import fit
from fallline.table import read

QUICK = {"epochs": 2, "starts": 2}


@pytest.fixture
def save(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(content):
        (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return "t.csv"

    return write


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv: the file is empty"),
        ("x,y\n", "t.csv: it has column names but no rows"),
        ("x,y\n1,2.5\n", "t.csv: too few rows (1) to hold one back"),
        ("x,y\n1,a\n2,a\n3,a\n4,a\n", "t.csv: the target 'y' has one class only: 'a'"),
        ("x,y\n,1\n,2.5\n,3\n,4\n", "t.csv: no input column can be used ('x: all values are missing')"),
        ("x,y\n1,1\ninf,2.5\n3,3\n4,4\n", "t.csv, line 3, column 'x': 'inf' is not a finite number"),
        ("x,y\n1,1\n2,-inf\n3,3\n4,4\n", "t.csv, line 3, column 'y': '-inf' is not a finite number"),
        ("x,x,y\n1,2,3\n", "t.csv, line 1: the column name 'x' occurs 2 times"),
        (b"x,y\n1,2\n\xff,3\n", "t.csv, line 3: byte 0xff is not UTF-8 text, save it as UTF-8"),
        ("x,y\n1,2\n1,2,3\n", "t.csv, line 3: 3 fields where the first line has 2"),
        ("x,y\n1,2\n3,\n", "t.csv, line 3, column 'y': the value is missing; fill it in or leave out the row"),
    ],
)
def test_one_line(save, content, message):
    with pytest.raises(DataError) as caught:
        fit(read(save(content), "y"), QUICK)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_five_thousand_columns():
    """So many numbers are not embedded, which would make the first layer four times as large."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5000))
    frame = pl.DataFrame(X, schema=[f"c{j}" for j in range(5000)]).with_columns(y=pl.Series(X[:, 0] * 2))
    from fallline.table.frames import table_from_frame

    model = fit(table_from_frame(frame, "wide", str, "y"), QUICK | {"hidden": (8,)}).model
    assert (model.encoder.inputs.embedded, model.encoder.n_in) == (0, 5000)
    assert np.isfinite(model.predict(frame)).all()


def test_a_million_levels():
    """Those of single rows share a place; the commonest have one of their own."""
    from fallline.table.frames import table_from_frame

    n = 1_000_000
    codes = np.arange(n) // 2
    codes[: n // 4] = np.arange(n // 4) % 300
    frame = pl.DataFrame({"who": [f"user {code}" for code in codes], "x": np.arange(n) % 7, "y": codes % 2})
    model = fit(
        table_from_frame(frame, "many", str, "y"), {"epochs": 1, "starts": 2, "hidden": (), "batch_size": 4096}
    ).model
    (who, _) = model.encoder.encodings
    assert who.role == "category"
    assert len(who.labels) == 1000
    assert {f"user {code}" for code in range(300)} <= set(who.labels)
    assert model.encoder.inputs.tables == ((1001, 8),)


def test_new_categories_and_missing_columns_at_prediction(save):
    rows = "".join(f"{'red' if i % 2 else 'blue'},{i},{i * 1.5}\n" for i in range(30))
    model = fit(read(save("colour,n,y\n" + rows), "y"), QUICK).model
    kinds = model.encoder.kinds
    known = model.predict(read(save("colour,n\nred,3\n"), columns=list(kinds), kinds=kinds))
    new = model.predict(read(save("colour,n\npurple,3\n,3\nred,\n"), columns=list(kinds), kinds=kinds))
    assert np.isfinite(new).all()
    assert new[0] == new[1] != known[0]  # unseen and missing alike: neither one nor the other
    with pytest.raises(DataError, match=r"^t.csv: missing column 'n' \(columns: 'colour'\)$"):
        read(save("colour\nred\n"), columns=list(kinds), kinds=kinds)
    with pytest.raises(DataError, match=r"^t.csv, line 2, column 'n': 'many' is not a number$"):
        read(save("colour,n\nred,many\n"), columns=list(kinds), kinds=kinds)

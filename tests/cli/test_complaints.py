"""Whatever is wrong: exit status 2 and one line that says what, where, and what would be right."""

import numpy as np
import pytest

from fallline.cli import output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("trian", "no such command 'trian', did you mean 'train'? See 'fallline --help'"),
        ("train", "missing argument 'DATA'; see 'fallline train --help'"),
        ("train iris --epoch 3", "--epoch, did you mean '--epochs'? See 'fallline train --help'"),
        ("train iris wine", "extra argument"),
        ("train iris --epochs", "option '--epochs' needs a value; see 'fallline train --help'"),
        ("train iris --epochs many", "--epochs is 'many'; it must be a whole number, 1 or more, or 'auto'"),
        ("train iris --epochs 0", "--epochs is 0; it must be a whole number, 1 or more, or 'auto'"),
        ("train iris --batch-size 1.5", "--batch-size is '1.5'"),
        (
            "train iris --hidden 8,x",
            "--hidden is '8,x'; it must be whole numbers from 1 to 10,000,000, such as 256,256",
        ),
        ("train iris --hidden 8,0", "--hidden is (8, 0)"),
        ("train iris --learning-rate nan", "--learning-rate is nan; it must be a positive number"),
        ("train iris --dropout 1", "--dropout is 1.0; it must be at least 0 and below 1"),
        ("train iris --optimizer adm", "--optimizer 'adm' is unknown; did you mean 'adam'?"),
        ("train iris --activation rely", "did you mean 'relu'?"),
        ("train iris --schedule cosin", "did you mean 'cosine'?"),
        ("train iris --engine nativ", "did you mean 'native'?"),
        ("train iris --task classify", "choose from"),
        ("train iris --seed -1", "--seed is -1"),
        ("train iris --validation 1.5", "--validation is 1.5; it must be at least 0 and below 1"),
        ("train iris --validation nofile.csv", "no file 'nofile.csv'"),
        (
            "train iris --time 1week",
            "--time is '1week'; it must be a positive number of seconds, such as 60 or 60s, 5m",
        ),
        ("train iris --wait long", "invalid value for '--wait'; it must be a number; see 'fallline train --help'"),
        ("train iris --patience 3 --validation 0", "patience needs rows to measure on"),
        ("train iris --task regression", "regression needs numbers"),
        ("train iris --loss huber", "loss 'huber' is not for classification"),
        ("train diabetes --label-smoothing 0.1", "label_smoothing is 0.1"),
        (
            "train iris --out no/such/folder/m.fallline",
            "--out no/such/folder/m.fallline: there is no folder 'no/such/folder'",
        ),
        ("train iris --out .", "--out .: a directory"),
        ("train iris --history h.txt", "--history h.txt: the name must end in .csv or .json"),
        ("train iris --history no/h.csv", "--history no/h.csv: there is no folder 'no'"),
        ("train houses.csv --target price --out houses.csv", "DATA and --out are the same file 'houses.csv'"),
        ("train houses.csv", "say which column is the target (columns: 'area', 'rooms', 'price')"),
        ("train houses.csv --target prize", "no column 'prize', did you mean 'price'?"),
        ("train houses.csv --target price --drop room", "no column 'room'"),
        ("train irsi", "no file 'irsi', did you mean 'iris'?"),
        ("train broken.csv --target y", "broken.csv, line 3, column 'x': 'oops' is not a number"),
        ("train one.csv --target y", "one.csv"),
        (
            "train houses.csv --target price --column area",
            "--column is 'area'; it must be NAME=KIND, where KIND is",
        ),
        ("train houses.csv --target price --column area=text", "--column is 'area=text'; it must be NAME=KIND"),
        ("train houses.csv --target price --column aria=category", "no column 'aria', did you mean 'area'?"),
        ("train constant.csv --target y", "one class only"),
        ("predict nofile iris", "no file 'nofile'"),
        ("predict iris.falline iris", "no file 'iris.falline', did you mean 'iris.fallline'?"),
        ("predict houses.csv iris", "houses.csv: not a fallline model, or cut short"),
        ("predict . iris", ".: a directory"),
        ("predict iris.fallline houses.csv", "missing 4 columns"),
        ("predict iris.fallline nofile.csv", "no file 'nofile.csv'"),
        ("predict iris.fallline iris --out p.txt", "--out p.txt: the name must end in .csv or .parquet"),
        ("predict houses.fallline houses.csv --proba", "only classes have probabilities"),
        (
            "predict houses.fallline houses.csv --interval 90",
            "--interval is 90; it must be above 0 and below 1, such as 0.9",
        ),
        ("explain iris.fallline iris --row last", "invalid value for '--row'; it must be a whole number"),
        ("serve iris.fallline --port 80000", "invalid value for '--port'; it must be less than or equal to 65535"),
        ("evaluate iris.fallline iris-without.csv", "there is no target 'species' to compare with"),
        ("evaluate iris.fallline", "missing argument 'DATA'; see 'fallline evaluate --help'"),
        ("info nofile", "no file 'nofile'"),
        ("datasets now", "extra argument"),
    ],
)
def test_one_line(refused, folder, arguments, says):
    assert says in refused(*arguments.split())


@pytest.fixture
def folder(tmp_path, houses, models):
    (tmp_path / "broken.csv").write_text("x,y\n1,2\noops,3\n4,5\n")
    (tmp_path / "one.csv").write_text("x,y\n1,2.5\n")
    (tmp_path / "constant.csv").write_text("x,y\n1,a\n2,a\n3,a\n")
    header = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)"
    (tmp_path / "iris-without.csv").write_text(f"{header}\n1,2,3,4\n")
    for name, model in models.items():
        model.save(tmp_path / f"{name}.fallline")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    from fallline.fit import fit
    from fallline.table import Table, load_bundled

    X = np.arange(20, dtype=np.float32).reshape(10, 2)
    houses = Table("houses", X, np.linspace(0, 1, 10), ("area", "rooms"), "price")
    return {
        name: fit(table, {"epochs": 1}).model for name, table in (("iris", load_bundled("iris")), ("houses", houses))
    }


def test_nothing_is_left_behind_by_a_refusal(refused, tmp_path):
    refused("train", "iris", "--epochs", "0")
    refused("train", "nofile.csv", "--target", "y")
    assert list(tmp_path.iterdir()) == []


def test_a_column_whose_name_has_two_lines_is_still_one_line(refused, tmp_path):
    (tmp_path / "odd.csv").write_text('"x\ny",z\noops,3\n1,4\n2,5\n')
    assert "oops" in refused("train", "odd.csv", "--target", "z")


def test_out_of_memory(run, monkeypatch):
    import fallline.fit

    def fit(*_, **__):
        raise MemoryError("Unable to allocate 37 GiB")

    monkeypatch.setattr(fallline.fit, "fit", fit)
    status, out, err = run("train", "iris")
    assert (status, out) == (1, "")
    assert err == "fallline: out of memory (Unable to allocate 37 GiB); try a smaller network, or fewer rows\n"


def test_a_full_disk(run, monkeypatch):
    from fallline.model import Model

    def save(self, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Model, "save", save)
    assert run("train", "iris", "--epochs", 1) == (2, "", "fallline: model.fallline: No space left on device\n")


def test_complain_puts_everything_into_one_line(capsys):
    assert output.complain("two\n lines", 3) == 3
    assert capsys.readouterr() == ("", "fallline: two lines\n")

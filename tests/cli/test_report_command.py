"""`train --report` and `fallline report`: a file that can be looked at, and one line for what is wrong."""

import pytest


def test_train_and_report_write_a_page(run, tmp_path):
    trained = run("train", "iris", "--epochs", 3, "--starts", 2, "--hidden", 8, "--report", "train.html")
    assert trained.status == 0
    last = [line.split() for line in trained.out.splitlines()[-2:]]
    assert last == [["model", "model.fallline"], ["report", "train.html"]]
    assert "The way down" in (tmp_path / "train.html").read_text(encoding="utf-8")
    told = run("report", "model.fallline", "iris", "--out", "model.html")
    assert (told.status, told.out) == (0, "report  model.html\n")
    page = (tmp_path / "model.html").read_text(encoding="utf-8")
    assert "fallline train iris --epochs 3 --starts 2 --hidden 8 --report train.html" in page
    assert "The result" in page
    assert run("report", "model.fallline", "--out", "bare.html").status == 0
    assert "The result" not in (tmp_path / "bare.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "iris", "--report", "page.pdf"), "--report page.pdf: the name must end in .html or .htm"),
        (("train", "iris", "--report", "x.html", "--out", "x.html"), "the same file"),
        (("report", "nothing.fallline"), "nothing.fallline"),
        (("report", "nothing.fallline", "--out", "page.txt"), "--out page.txt: the name must end in .html or .htm"),
    ],
)
def test_what_is_wrong_is_said(run, arguments, message):
    done = run(*arguments)
    assert done.status == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_targets_that_the_model_cannot_be_compared_with_get_one_line(run, refused, houses, tmp_path):
    run("train", "houses.csv", "--target", "price", "--epochs", 1, "--starts", 1, "--hidden", 4)
    (tmp_path / "words.csv").write_text("area,rooms,price\n50,2,cheap\n")
    says = "words.csv, line 2, column 'price': 'cheap' is not a number"
    assert refused("report", "model.fallline", "words.csv") == says
    run("train", "iris", "--epochs", 1, "--starts", 1, "--hidden", 4)
    names = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),species"
    (tmp_path / "roses.csv").write_text(f"{names}\n5,3,1,0.2,rose\n6,3,1,0.2,7\n")
    unknown, known = "'rose', '7'", "'setosa', 'versicolor', 'virginica'"
    says = f"roses.csv: the model knows no label in 'species': {unknown} (it knows {known})"
    assert refused("report", "model.fallline", "roses.csv") == says
    assert not (tmp_path / "report.html").exists()

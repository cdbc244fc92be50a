"""`train --report` and `fallline report`: a file that can be looked at, and one line for what is wrong."""

import pytest


def test_train_and_report_write_a_page(run, tmp_path):
    trained = run("train", "iris", "--epochs", 3, "--starts", 2, "--hidden", 8, "--report", "train.html")
    assert trained.status == 0
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

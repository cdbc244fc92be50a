"""Reports: what is in them agrees with what was computed, and the same input gives the same bytes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fallline as fl
from fallline.diagnosis import Finding
from fallline.fit import Fit, fit
from fallline.report import Page, report_of_fit, report_of_model, report_of_run, write
from fallline.report.data import digest
from fallline.report.page import Code, Figure, Grid, Text
from fallline.table import Table, load_bundled
from fallline.wording import score

SMALL = {"hidden": (16,), "epochs": 12, "starts": 3}


def mixed(n: int = 240) -> Table:
    """Numbers with gaps, categories, a date; two classes."""
    rng = np.random.default_rng(3)
    X = np.stack([rng.normal(size=n), rng.integers(0, 3, n), rng.integers(0, 900, n), np.full(n, 7)], axis=1)
    y = np.where(X[:, 0] + (X[:, 1] == 2) + 0.3 * rng.normal(size=n) > 0.3, "yes", "no")
    X[rng.random(n) < 0.1, 0] = np.nan
    columns, labels = ("height <b>", "town", "day", "same"), {"town": ("Bath", "Ely", "York")}
    return Table("mixed.csv", X.astype(np.float32), y, columns, "sold", labels=labels, dates=frozenset({"day"}))


def fitted(table: Table, **settings: object) -> Fit:
    return fit(table, SMALL | settings, [fl.Recorder()])


@pytest.fixture(scope="module")
def sold() -> tuple[Fit, Table, Page]:
    table = mixed()
    result = fitted(table)
    return result, table, report_of_fit(result, table)


def grids(page: Page) -> dict[str, Grid]:
    found = {}
    for section in page.sections:
        for block in section.blocks:
            if isinstance(block, Grid):
                found[block.caption] = block
            elif isinstance(block, Figure) and block.numbers:
                found[block.numbers.caption] = block.numbers
    return found


def figures(page: Page) -> list[Figure]:
    return [block for section in page.sections for block in section.blocks if isinstance(block, Figure)]


def check_figures(html: str) -> None:
    """Every picture has words for whoever does not see it, a caption, and a table that agrees with its header."""
    found = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    assert len(found) == html.count("<img ") > 0
    for drawn in found:
        assert re.search(r'<img src="data:image/[^"]+" alt="[^"]{10,}">', drawn)
        assert re.search(r"<figcaption>[^<]{10,}</figcaption>", drawn)
        details = re.search(r"<details><summary>The numbers of this picture</summary>(.*)</details>", drawn, re.DOTALL)
        assert details, drawn[-300:]
        head, *rows = re.findall(r"<tr>.*?</tr>", details[1])
        width = head.count("</th>")
        assert width > 1
        assert rows
        for row in rows:
            assert row.count("</th>") + row.count("</td>") == width
            assert not re.search(r">(nan|-?inf)<", row)


def test_its_sections(sold: tuple[Fit, Table, Page]) -> None:
    page = sold[2]
    assert [section.name for section in page.sections if section.blocks] == [
        "data", "network", "descent", "result", "starts", "rows", "settings",
    ]  # fmt: skip
    assert len(figures(page)) >= 12
    for drawn in figures(page):
        assert re.search(r"[\w)]\.?$", drawn.alt)
        assert len(drawn.image) > 1000
    check_figures(page.html())


def test_scores_are_those_of_the_fit(sold: tuple[Fit, Table, Page]) -> None:
    result, _, page = sold
    rows = {row[0]: row for row in grids(page)["Scores"].rows}
    for name, label in (("accuracy", "accuracy"), ("log_loss", "log loss")):
        assert rows[label][1] == score(name, result.scores[name])
        assert rows[label][3] == score(name, result.beside["linear"][name])
    assert page.numbers[0][:2] == ("accuracy", score("accuracy", result.scores["accuracy"]))
    confusion = next(grid for caption, grid in grids(page).items() if caption.startswith("Rows of each class"))
    counts = np.array([[int(cell) for cell in row[1:]] for row in confusion.rows])
    assert counts.sum() == len(result.judgement.rows) == 90, "three folds of eight"
    assert np.trace(counts) == round(result.scores["accuracy"] * 90)


def test_columns_are_told_with_what_they_hold(sold: tuple[Fit, Table, Page]) -> None:
    _, table, page = sold
    rows = {row[0]: row for row in grids(page)["The columns, and what they were taken for"].rows}
    assert rows["height <b>"][1] == "number"
    assert rows["height <b>"][2] == f"{np.isnan(table.X[:, 0]).mean():.1%}"
    assert rows["town"][1] == "category"
    assert "3 labels" in rows["town"][3]
    assert rows["day"][3].startswith("2000-01-0")
    assert rows["same"][1] == "left out"
    assert "all values are 7" in rows["same"][3]
    assert "height &lt;b&gt;" in page.html()


def test_starts_and_settings(sold: tuple[Fit, Table, Page]) -> None:
    result, table, page = sold
    each = grids(page)["Each start alone, on the rows that it held back"]
    assert [row[1] for row in each.rows] == [str(epoch) for epoch in result.run.kept_epochs]
    assert each.rows[1][2] == score("accuracy", result.judgement.each[1]["accuracy"])
    settings = {row[0]: row[1] for row in grids(page)["What was set, or chosen by the recipe"].rows}
    assert settings["epochs"] == "12"
    assert settings["hidden"] == "16"
    assert digest(table) in grids(page)["Made with"].rows[0][1]


def test_the_same_input_gives_the_same_bytes(sold: tuple[Fit, Table, Page]) -> None:
    table = mixed()
    assert report_of_fit(fitted(table), table).html() == sold[2].html()


def test_any_cell_changes_the_digest() -> None:
    one, other = mixed(), mixed()
    assert digest(one) == digest(other)
    other.X[3, 1] = 1 - other.X[3, 1]
    assert digest(one) != digest(other)


@pytest.mark.parametrize("name", ["iris", "digits", "diabetes"])
def test_bundled_sets(name: str, tmp_path: Path) -> None:
    table = load_bundled(name)
    result = fitted(table, starts=1)
    write(report_of_fit(result, table), tmp_path / "fit.html")
    result.model.save(tmp_path / "model.fallline")
    model = fl.load(tmp_path / "model.fallline")
    write(report_of_model(model, table), tmp_path / "model.html")
    write(report_of_model(model), tmp_path / "bare.html")
    sizes = [(tmp_path / f"{what}.html").stat().st_size for what in ("fit", "model", "bare")]
    assert sizes[0] < 2_000_000
    for what in ("fit", "model", "bare"):
        check_figures((tmp_path / f"{what}.html").read_text(encoding="utf-8"))
    assert sizes[0] > sizes[1] > sizes[2] > 10_000
    page = report_of_model(model, table)
    rows = {row[0]: row for row in grids(page)["Scores"].rows}
    label, measure = ("accuracy", "accuracy") if model.task == "classification" else ("RMSE", "rmse")
    assert rows[label][1] == score(measure, model.evaluate(table)[measure])


def test_a_run() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    run = fl.descend(fl.Network([3, 8, 1], "tanh"), X, np.sin(X[:, 0]), epochs=6, starts=3, callbacks=fl.Recorder())
    page = report_of_run(run)
    assert page.title == "A descent of 3-8-1"
    assert len(figures(page)) == 8
    check_figures(page.html())
    assert page.html() == report_of_run(run).html()
    bare = fl.descend(fl.Network([3, 8, 1], "tanh"), X, np.sin(X[:, 0]), epochs=6)
    assert len(figures(report_of_run(bare))) == 4


@pytest.mark.filterwarnings("ignore::fallline.DivergenceWarning")
def test_a_run_that_diverged_has_a_report_too() -> None:
    X = np.random.default_rng(0).normal(size=(64, 3))
    run = fl.descend(fl.Network([3, 1]), X, X[:, 0], optimizer=fl.SGD(1e6), epochs=9, callbacks=fl.Recorder())
    assert run.stop_reason == "diverged"
    assert "no longer a finite number" in report_of_run(run).html()


def test_a_report_must_be_html(tmp_path: Path) -> None:
    with pytest.raises(fl.ParameterError, match=r"the name must end in \.html"):
        write(Page("a", "b", []), tmp_path / "report.pdf")


def test_nothing_held_back_still_makes_a_report() -> None:
    table = load_bundled("iris")
    page = report_of_fit(fitted(table, validation=0.0, starts=1), table)
    assert "result" not in [section.name for section in page.sections if section.blocks]


def test_rows_are_explained_as_the_model_explains_them(sold: tuple[Fit, Table, Page]) -> None:
    result, table, page = sold
    (section,) = (section for section in page.sections if section.name == "rows")
    texts = [block.words for block in section.blocks if isinstance(block, Text)]
    assert texts[0].startswith("Where it is surest, row ")
    row = int(re.findall(r"row (\d+)", texts[0])[0]) - 1
    assert row in result.held_back_rows
    explanation = result.model.explain(table, row)
    assert str(explanation) in [block.lines for block in section.blocks if isinstance(block, Code)]
    added = next(block.numbers for block in section.blocks if isinstance(block, Figure))
    assert added is not None
    columns = {cells[0]: float(cells[2]) for cells in added.rows}
    assert columns == pytest.approx(explanation.contributions.columns, rel=1e-4, abs=1e-9)


def test_findings_come_first() -> None:
    table = mixed(40)
    result = fitted(table)
    finding = Finding("few_rows", "there are <few> rows", "40", "find more")
    page = report_of_fit(result, table, [finding])
    assert page.sections[0].name == "findings"
    assert "There are &lt;few&gt; rows." in page.html()


def test_notebooks_show_the_loss_curve() -> None:
    table = mixed(60)
    result = fitted(table, starts=1)
    for shown in (result.model._repr_html_(), result.run._repr_html_()):
        assert shown.count("<img src=") == 1
        assert "12 epochs" in shown


def test_a_run_writes_its_report(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(64, 3))
    run = fl.descend(fl.Network([3, 4, 1]), X, X[:, 0], epochs=5)
    run.report(tmp_path / "run.html")
    assert (tmp_path / "run.html").read_text(encoding="utf-8") == report_of_run(run).html()


def test_rows_with_a_label_that_the_model_does_not_know_are_not_measured(sold: tuple[Fit, Table, Page]) -> None:
    model, table = sold[0].model, mixed()
    assert table.y is not None
    y = table.y.astype("<U5")
    y[::3] = "maybe"
    page = report_of_model(model, replace(table, y=y))
    known = model.evaluate(table.rows(np.flatnonzero(y != "maybe")))
    assert grids(page)["Scores"].rows[0][1] == score("accuracy", known["accuracy"])
    result = next(section for section in page.sections if section.name == "result").blocks[0]
    assert isinstance(result, Text)
    assert "the 160 rows of mixed.csv (80 more have a label that the model does not know);" in result.words
    rows = next(section for section in page.sections if section.name == "rows").blocks
    told = [int(match[1]) - 1 for block in rows if (match := re.search(r", row (\d+):", getattr(block, "words", "")))]
    assert told
    assert set(y[told]) <= {"yes", "no"}


def test_a_table_with_no_label_that_the_model_knows_is_refused(sold: tuple[Fit, Table, Page]) -> None:
    table = replace(mixed(), y=np.array([f"town {i}" for i in range(240)]))
    says = r"mixed.csv: the model knows no label in 'sold': .* 'town 4' and 235 more \(it knows 'no', 'yes'\)"
    with pytest.raises(fl.errors.DataError, match=says):
        report_of_model(sold[0].model, table)


def test_words_where_numbers_were_learned_are_refused() -> None:
    diabetes = load_bundled("diabetes")
    model = fit(diabetes, {"hidden": (), "epochs": 1, "starts": 1}).model
    words = replace(diabetes, y=np.full(diabetes.n_rows, "many"))
    with pytest.raises(fl.errors.DataError, match="row 1: regression needs numbers, not 'many'"):
        report_of_model(model, words)

/** How good it is now, which rows are taken for what, and what one can take along: model, report, history, journal. */

import { confusion } from "../answers.js";
import { h, panel, say, table, twin } from "../dom.js";
import { chance, counted, score } from "../format.js";
import { grey, part } from "../pictures.js";

export const title = "Results";

const FILES = [
  ["Model", "/model", "model.fallline"],
  ["Report", "/report", "report.html"],
  ["History", "/history.csv", "history.csv"],
  ["Journal", "/journal", "journal.json"], // only of a descent that is in hand here
];

export function mount(root, app) {
  const scores = scoresPanel();
  const cell = cellPanel(app);
  const matrix = matrixPanel(cell.open);
  const keep = keepPanel(app);
  const repeat = repeatPanel();
  root.append(h("h1", { class: "unseen" }, "Results"), h("div", { class: "columns results" }, scores.root, keep.root, matrix.root, cell.root, repeat.root));
  const end = app.watch("results", {}, ({ data, arrays }) => {
    if (data.error) return;
    scores.update(data);
    matrix.update(data, arrays);
    if (!data.classes) cell.close();
    repeat.update(data);
  });
  return () => {
    end();
    keep.end();
    cell.close();
  };
}

/** Scores, beside those of who knows nothing but the targets. */
function scoresPanel() {
  const holder = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores" });
  const { root, summary } = panel("How good it is", "scores", null, holder);
  return {
    root,
    update({ rows, held_back: held, metrics, guess, message }) {
      say(summary, message ? `${message[0].toUpperCase()}${message.slice(1)}.` : `On ${counted(rows, "row")} ${held ? "held back" : "learned from: none are held back"}.`);
      const lines = Object.entries(metrics).map(([key, { name, value }]) => [name, score(key, value), score(key, guess?.[key])]);
      const now = JSON.stringify(lines);
      if (holder.dataset.key === now) return;
      holder.dataset.key = now;
      holder.replaceChildren(...(lines.length ? [table("Scores of the network and of the simplest guess", ["score", "now", "simplest guess"], lines)] : []));
    },
  };
}

function matrixPanel(open) {
  const matrix = confusion(open);
  let shown = null;
  const numbers = twin("Rows of each true class by their answer", () => {
    const n = shown.classes.length;
    return { head: ["truth", ...shown.classes], rows: shown.classes.map((name, i) => [name, ...Array.from(shown.counts.slice(i * n, (i + 1) * n), String)]) };
  });
  const { root, summary } = panel("What is taken for what", "matrix", null, matrix.root, numbers.root);
  return {
    root,
    update({ classes, rows }, { confusion: counts }) {
      root.hidden = !classes;
      if (!classes) return;
      shown = { classes, counts };
      const { said } = matrix.update({ classes, rows }, { counts });
      say(summary, `${said} Open a cell to see its rows.`);
      numbers.update();
    },
  };
}

/** The rows of one cell, the surest answers first. */
function cellPanel(app) {
  const holder = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows of the cell" });
  const shut = h("button", { type: "button", onclick: () => (close(), opener?.focus()) }, "Close");
  const { root, summary } = panel("Rows of a cell", "cell", shut, holder);
  root.hidden = true;
  let end = () => {};
  let opener = null; // where the keyboard goes back to

  function close() {
    end();
    end = () => {};
    root.hidden = true;
  }
  function hear({ data, arrays }) {
    if (data.error) return close();
    say(summary, `${counted(data.count, "row")} of ${data.truth} taken for ${data.answer}${data.count > data.rows.length ? `; the ${data.rows.length} surest are listed` : ""}.`);
    const key = JSON.stringify(data);
    if (holder.dataset.key === key) return;
    holder.dataset.key = key;
    const lines = data.rows.map(({ number, values, chance: sure, chance_of_truth: right }, i) => [
      String(number),
      ...(arrays.pictures ? [picture(arrays.pictures, i)] : values),
      chance(sure, "softmax"),
      chance(right, "softmax"),
    ]);
    holder.replaceChildren(table("The surest answers first", ["row", ...(arrays.pictures ? ["picture"] : data.columns), "chance of the answer", "of the truth"], lines));
  }
  return {
    root,
    close,
    open(truth, answer) {
      end();
      end = app.watch("cell", { truth, answer }, hear);
      root.hidden = false;
      opener = document.activeElement;
      shut.focus({ preventScroll: true });
    },
  };
}

function picture(pictures, i) {
  const canvas = h("canvas", { class: "tile small", "aria-hidden": "true" });
  grey(canvas, part(pictures, i), ...pictures.shape.slice(1));
  return canvas;
}

/** Files of the descent as it is now; the token goes with the request, so no plain link would do. */
function keepPanel(app) {
  const told = h("p", { class: "reading", role: "status" });
  const take = async (path, name) => {
    try {
      const answer = await fetch(path, { headers: { Authorization: `Bearer ${app.token}` } });
      if (!answer.ok) throw new Error((await answer.json()).error);
      const url = URL.createObjectURL(await answer.blob());
      h("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      say(told, `${name} is downloaded.`);
    } catch (error) {
      say(told, error.message);
    }
  };
  const buttons = FILES.map(([label, path, name]) => h("button", { type: "button", onclick: () => take(path, name) }, label));
  const { root, summary } = panel("Take it along", "keep", null, h("div", { class: "buttons" }, buttons), told);
  const end = app.state.subscribe(({ own }) => {
    buttons.at(-1).hidden = !own;
    say(summary, `The network as it is now, a report on it, and the loss of each epoch${own ? "; the journal has all that was done" : ""}.`);
  });
  return { root, end };
}

function repeatPanel() {
  const line = h("pre", { class: "command", tabindex: "0" });
  const told = h("span", { role: "status" });
  const copy = h(
    "button",
    {
      type: "button",
      onclick: async () => {
        try {
          await navigator.clipboard.writeText(line.textContent);
          say(told, "Copied.");
        } catch {
          getSelection().selectAllChildren(line);
          say(told, "The browser does not copy by itself; the line is marked.");
        }
      },
    },
    "Copy",
  );
  const { root, summary } = panel("Do it again", "repeat", copy, line, told);
  root.classList.add("wide");
  return {
    root,
    update({ command, says }) {
      say(summary, says);
      say(line, command ?? "");
      line.hidden = copy.hidden = !command;
    },
  };
}

/** Rows that are pictures: what first neurons look for, what the network is most wrong about, and a picture of one's own. */

import { h, panel, say } from "../dom.js";
import { chance, number, told, whole } from "../format.js";
import { grey, part, weights } from "../pictures.js";
import { address } from "../router.js";

export const title = "Images";

export function mount(root, app) {
  const own = drawing(app);
  const mistakes = mistakesPanel();
  const first = weightsPanel();
  const columns = h("div", { class: "columns images" }, own.root, mistakes.root, first.root);
  const nothing = h("p", { class: "panel", hidden: true });
  root.append(h("h1", { class: "unseen" }, "Images"), nothing, columns);
  columns.hidden = true;
  const end = app.watch("images", {}, ({ data, arrays }) => {
    columns.hidden = Boolean(data.error);
    nothing.hidden = !data.error;
    if (data.error) {
      say(nothing, `Nothing is shown here: ${data.error}. Open digits on the page Data.`);
      return;
    }
    own.begin(data.shape);
    mistakes.update(data, arrays);
    first.update(data, arrays);
  });
  return () => {
    end();
    own.end();
  };
}

/** A grid to draw on, by mouse or keys, and what the network says of it. */
function drawing(app) {
  const canvas = h("canvas", { class: "pad", tabindex: "0", role: "application", "aria-label": "Draw here: arrow keys move, space draws" });
  const list = h("ul", { class: "bars chances" });
  const clear = h("button", { type: "button", onclick: () => wipe() }, "Wipe");
  const { root, summary } = panel("Draw a picture", "drawn", clear, h("div", { class: "own" }, canvas, list));
  let [height, width] = [0, 0];
  let pixels = [];
  let spot = null; // of the keyboard
  let end = () => {};
  let rows = [];

  const show = () => {
    grey(canvas, pixels.map((v) => Math.round(255 * v)), height, width);
    if (spot === null || document.activeElement !== canvas) return;
    const c = canvas.getContext("2d");
    c.fillStyle = "rgb(255 169 14 / 70%)";
    c.fillRect(spot % width, Math.floor(spot / width), 1, 1);
  };
  const tell = () => {
    app.ask("drawn", { pixels: pixels.map((v) => Math.round(v * 100) / 100) });
    show();
  };
  function wipe() {
    pixels = new Array(height * width).fill(0);
    tell();
  }
  /** A soft brush: full in the middle, less beside it. */
  function dab(x, y) {
    for (let i = 0; i < height; i++)
      for (let j = 0; j < width; j++) {
        const far = Math.hypot(j + 0.5 - x, i + 0.5 - y) / (width / 8);
        const at = i * width + j;
        pixels[at] = Math.max(pixels[at], Math.min(1, Math.max(0, 1.35 - far)));
      }
  }
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    dab(((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height);
    tell();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    point(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && point(event));
  canvas.addEventListener("focus", show);
  canvas.addEventListener("blur", show);
  canvas.addEventListener("keydown", (event) => {
    spot ??= Math.floor(height / 2) * width + Math.floor(width / 2);
    const [i, j] = [Math.floor(spot / width), spot % width];
    const to = { ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], ArrowUp: [i - 1, j], ArrowDown: [i + 1, j] }[event.key];
    if (!to && event.key !== " ") return;
    event.preventDefault();
    if (to) {
      spot = Math.max(0, Math.min(height - 1, to[0])) * width + Math.max(0, Math.min(width - 1, to[1]));
      show();
    } else {
      pixels[spot] = pixels[spot] > 0.5 ? 0 : 1;
      tell();
    }
  });

  function hear({ data, arrays }) {
    if (data.error) return;
    const names = data.classes ?? Array.from(arrays.chances, (_, i) => String(i));
    if (rows.length !== names.length) {
      rows = names.map((name) => ({ bar: h("i"), value: h("b"), name }));
      list.replaceChildren(...rows.map(({ bar, value, name }) => h("li", {}, h("span", {}, name), h("div", { class: "track" }, bar), value)));
    }
    rows.forEach(({ bar, value }, i) => {
      bar.style.setProperty("--length", `${100 * Math.max(0, Math.min(1, arrays.chances[i]))}%`);
      say(value, chance(arrays.chances[i], data.classes ? "softmax" : null));
    });
    const best = arrays.chances.indexOf(Math.max(...arrays.chances));
    const empty = pixels.every((v) => v === 0);
    say(summary, empty ? "Draw with the mouse, or with arrow keys and space; the network answers while you do." : `The network takes it for ${told(data.answer)}, with a chance of ${chance(arrays.chances[best], "softmax")}.`);
  }

  return {
    root,
    begin([rowsOf, columnsOf]) {
      if (rowsOf === height && columnsOf === width) return;
      [height, width] = [rowsOf, columnsOf];
      pixels = new Array(height * width).fill(0);
      show();
      end();
      end = app.watch("drawn", { pixels }, hear);
    },
    end: () => end(),
  };
}

/** The rows with the least chance of the truth; each opens the neuron of its answer. */
function mistakesPanel() {
  const list = h("div", { class: "gallery" });
  const { root, summary } = panel("Most mistaken", "mistakes", null, list);
  let tiles = [];
  return {
    root,
    update({ mistakes, rows, shape }, arrays) {
      if (tiles.length !== mistakes.length) {
        tiles = mistakes.map(() => ({ link: h("a", {}), canvas: h("canvas", { class: "tile", "aria-hidden": "true" }), text: h("span", {}) }));
        for (const { link, canvas, text } of tiles) link.append(canvas, text);
        list.replaceChildren(...tiles.map(({ link }) => link));
      }
      mistakes.forEach(({ row, truth, answer, chance: sure }, i) => {
        const { link, canvas, text } = tiles[i];
        grey(canvas, part(arrays.mistakes, i), ...shape);
        link.setAttribute("href", address("neuron", { layer: 0, neuron: 0, row }));
        say(text, `${told(truth)}, not ${told(answer)}`);
        link.title = sure === null ? "" : `row ${row}: ${chance(sure, "softmax")} sure of ${told(answer)}`;
      });
      say(summary, mistakes.length ? `The ${whole(mistakes.length)} worst of ${whole(rows)} rows, the worst first: what each is, and what it was taken for.` : `None of ${whole(rows)} rows is taken for something else.`);
    },
  };
}

/** What goes into each first neuron, as a picture of its weights. */
function weightsPanel() {
  const list = h("div", { class: "gallery" });
  const { root, summary } = panel("What the first neurons look for", "weights", null, list);
  root.classList.add("wide");
  let tiles = [];
  return {
    root,
    update({ neurons, shape, limit }, arrays) {
      const n = arrays.shown.length;
      if (tiles.length !== n) {
        tiles = Array.from({ length: n }, () => ({ link: h("a", {}), canvas: h("canvas", { class: "tile", "aria-hidden": "true" }), text: h("span", {}) }));
        for (const { link, canvas, text } of tiles) link.append(canvas, text);
        list.replaceChildren(...tiles.map(({ link }) => link));
      }
      tiles.forEach(({ link, canvas, text }, i) => {
        weights(canvas, part(arrays.weights, i), ...shape, limit);
        link.setAttribute("href", address("neuron", { layer: 0, neuron: arrays.shown[i], row: 0 }));
        say(text, `neuron ${arrays.shown[i]}`);
      });
      say(summary, `Weights of ${n < neurons ? `${whole(n)} of ` : ""}${whole(neurons)} neurons, pixel by pixel: blue is for light there, orange against it; full colour is ${number(limit, 2)}. Open one for its numbers.`);
    },
  };
}

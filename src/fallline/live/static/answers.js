/** How good the answers are: a confusion matrix, numbers beside the truth, or a map over two inputs. */

import { fit, h, picture, s, say } from "./dom.js";
import { counted, number, tick, ticks } from "./format.js";
import { CLASSES, css, mix, rgb, sized, theme } from "./theme.js";
import { reach, scale } from "./curve.js";

/** What the panel shows of a frame of the topic `answers`; `{root, summary(frame), rows(), update(frame), end}`. */
const KINDS = { confusion, scatter, map };

export function answers() {
  const root = h("div", { class: "answers" });
  let kind = null;
  let part = null;
  return {
    root,
    /** Draw, and give the sentence above it and the table of the same numbers, where the picture is none. */
    update({ data, arrays }) {
      if (data.error) return { said: data.error };
      if (kind !== data.kind) {
        part?.end();
        kind = data.kind;
        part = KINDS[kind]();
        root.replaceChildren(part.root);
      }
      return part.update(data, arrays);
    },
    end: () => part?.end(),
  };
}

/** Rows are the truth, columns the answers; a table is a table. `open(truth, answer)` makes its cells buttons. */
export function confusion(open = null) {
  const root = h("div", { class: "scroll" });
  let cells = null;
  let texts = null;
  return {
    root,
    end() {},
    update({ classes, rows }, { counts }) {
      const n = classes.length;
      if (!cells || root.dataset.classes !== classes.join("\n")) {
        root.dataset.classes = classes.join("\n");
        cells = Array.from(counts, (_, at) => h("td", { class: Math.floor(at / n) === at % n ? "right" : "wrong" }));
        texts = open ? cells.map((_, at) => h("button", { type: "button", onclick: () => open(Math.floor(at / n), at % n) })) : cells;
        if (open) cells.forEach((cell, at) => cell.append(texts[at]));
        const heads = classes.map((name) => h("th", { scope: "col", title: name }, h("span", {}, name)));
        const lines = classes.map((name, i) => h("tr", {}, h("th", { scope: "row", title: name }, h("span", {}, name)), cells.slice(i * n, (i + 1) * n)));
        root.replaceChildren(h("table", { class: "confusion" }, h("caption", {}, "Each row is a true class, each column an answer."), h("thead", {}, h("tr", {}, h("td", {}), heads)), h("tbody", {}, lines)));
      }
      let right = 0;
      for (let i = 0; i < n; i++) {
        let all = 0;
        for (let j = 0; j < n; j++) all += counts[i * n + j];
        right += counts[i * n + i];
        for (let j = 0; j < n; j++) {
          const cell = cells[i * n + j];
          const share = all ? counts[i * n + j] / all : 0;
          const text = texts[i * n + j];
          say(text, counts[i * n + j] ? String(counts[i * n + j]) : "·");
          if (open) {
            text.disabled = !counts[i * n + j];
            text.setAttribute("aria-label", `${counted(counts[i * n + j], "row")} of ${classes[i]} taken for ${classes[j]}`);
          }
          cell.style.setProperty("--share", share ? String(share > 0.5 ? 0.8 + 0.2 * share : 0.06 + 0.5 * share) : "0");
          cell.classList.toggle("strong", share > 0.5);
          cell.classList.toggle("none", !share);
        }
      }
      return { said: `${number((100 * right) / rows, 3)} % of ${counted(rows, "row")} are answered rightly: those on the diagonal.` };
    },
  };
}

const ROOM = { left: 56, right: 10, top: 8, bottom: 36 };

/** Axes of a square-ish picture with numbers on both sides. */
function axes(x, y, [x0, x1], [y0, y1], width, height, names) {
  const bottom = height - ROOM.bottom;
  return s(
    "g",
    { class: "axes" },
    ticks(y0, y1, 5).map((v) => s("text", { x: ROOM.left - 8, y: y(v) + 4, "text-anchor": "end" }, tick(v))),
    ticks(x0, x1, Math.max(3, width / 110)).map((v) => s("text", { x: x(v), y: bottom + 16, "text-anchor": "middle" }, tick(v))),
    s("line", { class: "base", x1: ROOM.left, x2: width - ROOM.right, y1: bottom, y2: bottom }),
    s("text", { class: "title", x: width - ROOM.right, y: height - 4, "text-anchor": "end" }, names[0]),
    s("text", { class: "title", x: ROOM.left, y: height - 4 }, `↑ ${names[1]}`),
  );
}

function scatter() {
  const height = 300;
  const root = s("svg", { class: "curve", role: "img", "aria-label": "Answers beside the truth", height });
  const holder = h("div", { class: "surface" }, root);
  const { update, end } = picture(holder, ({ name, said, truth, ends }, width) => {
    fit(root, width, height);
    const x = scale(...ends, ROOM.left, width - ROOM.right, false);
    const y = scale(...ends, height - ROOM.bottom, ROOM.top, false);
    const line = s("line", { class: "mark", x1: x(ends[0]), y1: y(ends[0]), x2: x(ends[1]), y2: y(ends[1]) });
    const dots = Array.from(said, (v, i) => (Number.isFinite(v) ? s("circle", { cx: x(truth[i]).toFixed(1), cy: y(v).toFixed(1), r: 3 }) : null));
    root.replaceChildren(axes(x, y, ends, ends, width, height, [`true ${name}`, "answer"]), line, s("g", { class: "dots" }, dots.filter(Boolean)));
  });
  return {
    root: holder,
    end,
    update({ name }, arrays) {
      const { said } = arrays;
      const truth = arrays.true;
      update({ name, said, truth, ends: reach([said, truth]) ?? [0, 1] });
      let off = 0;
      for (let i = 0; i < said.length; i++) off += Math.abs(said[i] - truth[i]) / said.length;
      return {
        said: `Each dot is a row; on the line the answer is the truth. They are ${number(off, 3)} off on average.`,
        head: [`true ${name}`, "answer"],
        rows: Array.from(said, (v, i) => [number(truth[i]), number(v)]),
      };
    },
  };
}

function map() {
  const height = 320;
  const canvas = h("canvas", {});
  const over = s("svg", { class: "curve", role: "img", "aria-label": "Answers over two inputs", height });
  const legend = h("ul", { class: "legend" });
  const root = h("div", {}, legend, h("div", { class: "surface map" }, canvas, over));
  const { update, end } = picture(root, ({ data, arrays }, width) => {
    const colours = theme();
    const [w, hgt] = [width - ROOM.left - ROOM.right, height - ROOM.top - ROOM.bottom];
    const c = sized(canvas, width, height);
    const { a, b } = arrays;
    c.imageSmoothingEnabled = data.classes === null;
    c.drawImage(ground(data, arrays, colours), ROOM.left, ROOM.top, w, hgt);
    fit(over, width, height);
    const [xEnds, yEnds] = [[a[0], a[a.length - 1]], [b[0], b[b.length - 1]]];
    const x = scale(...xEnds, ROOM.left, ROOM.left + w, false);
    const y = scale(...yEnds, ROOM.top + hgt, ROOM.top, false);
    const card = rgb(colours.card);
    const heights = data.classes ? null : reach([arrays.truth]);
    const dots = Array.from(arrays.x, (v, i) => {
      const fill = data.classes ? CLASSES[arrays.truth[i] % 10] : css(mix(card, rgb(colours.accent), share(arrays.truth[i], heights)));
      return s("circle", { cx: x(v).toFixed(1), cy: y(arrays.y[i]).toFixed(1), r: 3.6, fill });
    });
    over.replaceChildren(axes(x, y, xEnds, yEnds, width, height, data.names), s("g", { class: "points" }, dots));
  });
  return {
    root,
    end,
    update(data, arrays) {
      if (data.classes && legend.childElementCount !== data.classes.length)
        legend.replaceChildren(...data.classes.map((name, k) => h("li", {}, s("svg", { width: 12, height: 12, "aria-hidden": "true" }, s("circle", { cx: 6, cy: 6, r: 5, fill: CLASSES[k % 10] })), name)));
      update({ data, arrays });
      const said = data.classes
        ? "The ground is the answer, stronger where the network is surer; the dots are rows, in the colour of their true class."
        : `The ground is the answer for ${data.name}, stronger where it is higher; the dots are rows, in the colour of their truth.`;
      return {
        said,
        head: [data.names[0], data.names[1], "truth"],
        rows: Array.from(arrays.x, (v, i) => [number(v), number(arrays.y[i]), data.classes ? data.classes[arrays.truth[i]] : number(arrays.truth[i])]),
      };
    },
  };
}

const share = (v, ends) => (ends && ends[1] > ends[0] ? (v - ends[0]) / (ends[1] - ends[0]) : 0.5);

/** The ground of a map, one pixel a point; its last row is at the top. */
function ground({ classes }, arrays, colours) {
  const values = classes ? arrays.classes : arrays.heights;
  const [rows, columns] = values.shape;
  const image = new ImageData(columns, rows);
  const card = rgb(colours.card);
  const accent = rgb(colours.accent);
  const ends = classes ? null : reach([values, arrays.truth]);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const at = i * columns + j;
      const colour = classes ? mix(card, rgb(CLASSES[values[at] % 10]), 0.12 + 0.5 * arrays.chances[at] ** 2) : mix(card, accent, share(values[at], ends));
      image.data.set([...colour, 255], 4 * ((rows - 1 - i) * columns + j));
    }
  const small = document.createElement("canvas");
  Object.assign(small, { width: columns, height: rows });
  small.getContext("2d").putImageData(image, 0, 0);
  return small;
}

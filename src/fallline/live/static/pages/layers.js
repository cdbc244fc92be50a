/** Layer by layer how weights, values and gradients are spread, and what is wrong with the descent, if anything. */

import { h, panel, s, say, twin } from "../dom.js";
import { counted, number, tick } from "../format.js";

export const title = "Layers";

const PARTS = [
  ["weights", "Weights"],
  ["values", "Values"],
  ["gradients", "Gradients, log"],
];
const [WIDTH, HEIGHT] = [240, 84];

export function mount(root, app) {
  const findings = findingsPanel(app);
  const grid = h("div", { class: "spread" });
  let shown = null;
  const table = twin("Layers in numbers", () => ({
    head: ["layer", "neurons", "dead", "saturated", "size of the weights", "size of the gradient", "weights: mean ± deviation", "values", "gradients"],
    rows: shown.layers.map((layer, l) => [
      called(shown, l),
      String(layer.n),
      String(layer.dead),
      String(layer.saturated),
      number(layer.weight_norm),
      number(layer.gradient_norm),
      ...PARTS.map(([part]) => `${number(layer[part].mean, 3)} ± ${number(layer[part].deviation, 3)}`),
    ]),
  }));
  const { root: spread, summary } = panel("How they are spread", "spread", null, grid, table.root);
  root.append(h("h1", { class: "unseen" }, "Layers"), findings.root, spread);
  let rows = [];

  const end = app.watch("layers", {}, ({ data, arrays }) => {
    if (data.error) return;
    findings.update(data);
    spread.hidden = data.layers.length === 0;
    if (spread.hidden) return;
    shown = data;
    if (rows.length !== data.layers.length) {
      rows = data.layers.map(() => line());
      grid.replaceChildren(...rows.flatMap((row) => [row.head, ...row.parts.map((part) => part.root)]));
    }
    rows.forEach((row, l) => row.update(called(data, l), data.layers[l], (part) => [arrays[`${part}${l}_counts`], arrays[`${part}${l}_edges`]]));
    const dead = data.layers.reduce((sum, layer) => sum + layer.dead, 0);
    say(
      summary,
      `Asked with ${counted(data.rows, "row")} learned from: ` +
        (dead ? `${counted(dead, "neuron")} in hidden layers ${dead === 1 ? "is" : "are"} silent for every one of them.` : "every neuron says something for some of them."),
    );
    table.update();
  });
  return end;
}

const called = (data, l) => (l === data.layers.length - 1 ? "Outputs" : `Layer ${l + 1}`);

/** One layer: its name and state, and three histograms. */
function line() {
  const name = h("h3");
  const about = h("p", {});
  const parts = PARTS.map(([, label]) => histogram(label));
  return {
    head: h("div", { class: "layer" }, name, about),
    parts,
    update(called, layer, of) {
      say(name, called);
      const wrong = [layer.dead && `${layer.dead} silent`, layer.saturated && `${layer.saturated} saturated`].filter(Boolean).join(", ");
      say(about, `${counted(layer.n, "neuron")}, ${layer.activation}${wrong ? `; ${wrong}` : ""}`);
      PARTS.forEach(([part, label], i) => parts[i].update(`${label} of ${called}`, layer[part], ...of(part)));
    },
  };
}

function histogram(label) {
  const bars = s("path", { class: "fill" });
  const zero = s("line", { class: "base", y1: 4, y2: HEIGHT - 20 });
  const base = s("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 20, y2: HEIGHT - 20 });
  const [low, high] = ["start", "end"].map((anchor) => s("text", { x: anchor === "start" ? 0 : WIDTH, y: HEIGHT - 5, "text-anchor": anchor }));
  const svg = s("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, bars, s("g", { class: "axes" }, zero, base, low, high));
  const zeros = h("small", {});
  return {
    root: h("figure", { class: "part" }, h("figcaption", {}, label, zeros), svg),
    update(name, part, counts, edges) {
      svg.setAttribute("aria-label", `${name}: mean ${number(part.mean, 3)}, deviation ${number(part.deviation, 3)}, ${number(100 * part.zeros, 3)} % zeros`);
      bars.setAttribute("d", outline(counts, WIDTH, HEIGHT - 24, 4));
      const at = (-edges[0] / (edges.at(-1) - edges[0])) * WIDTH;
      zero.setAttribute("visibility", at > 0 && at < WIDTH ? "visible" : "hidden");
      for (const end of ["x1", "x2"]) zero.setAttribute(end, Number.isFinite(at) ? at : 0);
      const clear = (v) => (edges[0] > 0 && edges[1] / edges[0] < 2 ? v : Math.abs(v) < 1e-6 * edges.at(-1) ? 0 : v); // not of a logarithmic axis
      say(low, tick(Number(clear(edges[0]).toPrecision(2))));
      say(high, tick(Number(edges.at(-1).toPrecision(2))));
      say(zeros, part.zeros > 0.005 ? `${number(100 * part.zeros, 2)} % zeros` : "");
    },
  };
}

/** Steps of a histogram as a path, from the bottom up. */
export function outline(counts, width, bottom, top) {
  const most = Math.max(...counts, 1);
  const step = width / counts.length;
  let text = `M0,${bottom}`;
  counts.forEach((n, i) => {
    const y = (bottom - ((bottom - top) * n) / most).toFixed(1);
    text += `L${(i * step).toFixed(1)},${y}L${((i + 1) * step).toFixed(1)},${y}`;
  });
  return `${text}L${width},${bottom}Z`;
}

/** What a diagnosis says, with what would help. */
function findingsPanel(app) {
  const list = h("ul", { class: "findings" });
  const { root, summary } = panel("Diagnosis", "diagnosis", null, list);
  return {
    root,
    update({ findings, message }) {
      const n = findings.length;
      say(summary, message ? `${message[0].toUpperCase()}${message.slice(1)}.` : n ? `${counted(n, "thing")} to look at:` : "Nothing is wrong with this descent as far as can be told.");
      const key = JSON.stringify(findings);
      if (list.dataset.key === key) return; // a button must not vanish under the pointer
      list.dataset.key = key;
      list.replaceChildren(
        ...findings.map(({ says, evidence, advice, mends }) =>
          h(
            "li",
            {},
            h("div", {}, h("p", {}, h("strong", {}, `${says[0].toUpperCase()}${says.slice(1)}.`)), h("p", { class: "evidence" }, evidence), h("p", {}, `What helps: ${advice}.`)),
            mends === "back" && app.state.value?.own && h("button", { type: "button", class: "primary", onclick: () => app.do("back") }, "Halve the step size and go back"),
          ),
        ),
      );
    },
  };
}

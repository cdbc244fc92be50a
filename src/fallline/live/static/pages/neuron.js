/** One neuron's arithmetic for one row, forward and backward, with every number. */

import { choice, field, h, offer, panel, say } from "../dom.js";
import { number, told, whole } from "../format.js";
import { forwardPanel, Numbers } from "../panels.js";
import { address } from "../router.js";

export const title = "Neuron";

const FEW = 12; // products that are listed before one asks for all

export function mount(root, app, query) {
  const asked = { layer: Number(query.layer) || 0, neuron: Number(query.neuron) || 0, row: Number(query.row) || 0 };
  const layer = choice([], { onchange: () => go({ layer: Number(layer.value), neuron: 0 }) });
  const neuron = choice([], { onchange: () => go({ neuron: Number(neuron.value) }) });
  const row = h("input", { type: "number", min: "0", step: "1", onchange: () => go({ row: Math.max(0, Math.round(Number(row.value) || 0)) }) });
  const stepper = (name, by, label) => h("button", { type: "button", "aria-label": label, class: "narrow", onclick: () => go({ [name]: asked[name] + by }) }, by < 0 ? "‹" : "›");
  const previous = { neuron: stepper("neuron", -1, "Previous neuron"), row: stepper("row", -1, "Previous row") };
  const next = { neuron: stepper("neuron", 1, "Next neuron"), row: stepper("row", 1, "Next row") };
  const choosers = h(
    "section",
    { class: "settings", "aria-label": "Which neuron and row" },
    h("div", { class: "fields" }, field("Layer", layer)),
    h("div", { class: "fields" }, previous.neuron, field("Neuron", neuron), next.neuron),
    h("div", { class: "fields" }, previous.row, field("Row", row), next.row),
    h("p", { class: "about" }),
  );
  const about = choosers.lastChild;
  const numbers = new Numbers();
  const forward = forwardPanel(numbers);
  const backward = backwardPanel(numbers);
  const products = productsPanel(numbers);
  root.append(h("h1", { class: "unseen" }, "Neuron"), choosers, h("div", { class: "columns neuron" }, forward.root, backward.root, products.root));

  function go(change) {
    Object.assign(asked, change);
    history.replaceState(null, "", address("neuron", asked));
    numbers.forget();
    app.ask("neuron", asked);
  }

  const end = app.watch("neuron", asked, ({ step, data, arrays }) => {
    if (data.error) {
      if (asked.layer || asked.neuron || asked.row) go({ layer: 0, neuron: 0, row: 0 }); // another network, or other rows
      return;
    }
    if (data.layer !== asked.layer || data.neuron !== asked.neuron || data.row !== asked.row) return; // asked before
    const { n_layers: nLayers, n_neurons: nNeurons, n_rows: nRows } = data;
    offer(layer, Array.from({ length: nLayers }, (_, l) => [l, l === nLayers - 1 ? "Outputs" : `Layer ${l + 1}`]));
    offer(neuron, Array.from({ length: nNeurons }, (_, j) => [j, j === data.neuron && data.name !== null && data.name !== String(j) ? `${j}: ${data.name}` : String(j)]));
    layer.value = data.layer;
    neuron.value = data.neuron;
    if (document.activeElement !== row) row.value = data.row;
    row.max = nRows - 1;
    previous.neuron.disabled = data.neuron === 0;
    next.neuron.disabled = data.neuron >= nNeurons - 1;
    previous.row.disabled = data.row === 0;
    next.row.disabled = data.row >= nRows - 1;
    say(about, `For row ${whole(data.row)} of ${whole(nRows)} the network answers ${told(data.answer)}; the truth is ${told(data.truth)}, the row's loss ${number(data.loss)}.`);
    numbers.begin(step, app.state.value?.running ?? false);
    forward.update(data, arrays);
    backward.update(data);
    products.update(data, arrays);
  });
  return () => {
    end();
    forward.end();
  };
}

/** From the loss back to this neuron: delta, and what becomes of the bias. */
function backwardPanel(numbers) {
  const names = ["dA", "slope", "delta", "learning_rate", "new_bias", "bias"];
  const n = Object.fromEntries(names.map((name) => [name, h("b", { class: `n-back-${name}` })]));
  const item = (label, ...parts) => h("div", {}, h("dt", {}, label), h("dd", {}, parts));
  const chain = h("dd", {}, n.dA, " × ", n.slope);
  const chained = h("div", {}, h("dt", {}, "what the next layer sends back × slope of the activation"), chain);
  const list = h(
    "dl",
    { class: "steps" },
    chained,
    item("delta = dL/dz", n.delta),
    item("step size η", n.learning_rate),
    item("new bias = bias − η · delta", n.new_bias),
  );
  const { root, summary } = panel("Backward", "backward", null, list, h("p", { class: "reading" }, "These are the numbers of a step on this row alone. A batch takes the mean over its rows, so the step that is really taken is another one."));
  return {
    root,
    update(data) {
      for (const name of names) numbers.put(n[name], data[name]);
      chained.hidden = data.slope === null || data.dA === null;
      say(
        summary,
        Math.abs(data.delta) < 1e-12
          ? "No part of the loss comes back to this neuron, so its weights stay as they are."
          : `If z grew a little, the loss would ${data.delta > 0 ? "grow" : "fall"} ${number(Math.abs(data.delta), 3)} times as much.`,
      );
    },
  };
}

/** Every weight times its input as a bar and as numbers, with its gradient and its new value. */
function productsPanel(numbers) {
  let all = false;
  let order = "largest";
  let shown = null;
  const sorting = choice([["largest", "Largest products first"], ["given", "In their order"]], { "aria-label": "Order of the products", onchange: () => ((order = sorting.value), rebuild()) });
  const more = h("button", { type: "button", onclick: () => ((all = !all), rebuild()) });
  const body = h("tbody");
  const head = ["from", "input x", "weight w", "product x · w", "", "gradient delta · x", "new w = w − η · gradient"];
  const caption = h("caption", { class: "unseen" }, "Every weight times its input");
  const foot = { rest: h("span"), sum: h("span") };
  const rest = h("tr", {}, h("th", { scope: "row", colspan: "3" }), h("td", { class: "number" }, foot.rest), h("td", { colspan: "3" }));
  const total = h("tr", {}, h("th", { scope: "row", colspan: "3" }, "Sum"), h("td", { class: "number" }, foot.sum), h("td", { colspan: "3" }));
  const columns = ["", "number", "number", "number", "bar", "number", "number"];
  const heads = head.map((text, i) => (text ? h("th", { scope: "col", class: columns[i] }, text) : h("td")));
  const table = h("table", { class: "products" }, caption, h("thead", {}, h("tr", {}, heads)), body, h("tfoot", {}, rest, total));
  const holder = h("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Products" }, table);
  const { root, summary } = panel("Every weight times its input", "products", h("div", { class: "buttons" }, sorting, more), holder);
  let lines = [];

  function rebuild() {
    const { data, arrays } = shown;
    const n = data.names.length;
    const list = Array.from({ length: n }, (_, i) => i);
    if (order === "largest") list.sort((i, j) => Math.abs(arrays.products[j]) - Math.abs(arrays.products[i]));
    const some = all ? list : list.slice(0, FEW);
    lines = some.map((i) => {
      const cell = (name) => h("td", { class: `number c-${name}` }, h("span"));
      const made = { i, x: cell("x"), w: cell("w"), product: cell("product"), bar: h("i"), gradient: cell("gradient"), newW: cell("new") };
      made.row = h("tr", { "data-i": i }, h("th", { scope: "row" }, data.names[i]), made.x, made.w, made.product, h("td", { class: "bar", "aria-hidden": "true" }, made.bar), made.gradient, made.newW);
      return made;
    });
    body.replaceChildren(...lines.map((line) => line.row));
    more.hidden = n <= FEW;
    say(more, all ? `Show ${FEW} alone` : `Show all ${whole(n)}`);
    rest.hidden = some.length === n;
    say(rest.firstChild, `${whole(n - some.length)} more together`);
    fill();
  }

  function fill() {
    const { data, arrays } = shown;
    let most = 1e-300;
    for (const v of arrays.products) most = Math.max(most, Math.abs(v));
    let listed = 0;
    for (const { i, x, w, product, bar, gradient, newW } of lines) {
      numbers.put(x.firstChild, arrays.x[i]);
      numbers.put(w.firstChild, arrays.w[i]);
      numbers.put(product.firstChild, arrays.products[i]);
      numbers.put(gradient.firstChild, arrays.gradient[i]);
      numbers.put(newW.firstChild, arrays.new_w[i]);
      bar.className = arrays.products[i] < 0 ? "minus" : "plus";
      bar.style.setProperty("--length", `${(50 * Math.abs(arrays.products[i])) / most}%`);
      listed += arrays.products[i];
    }
    numbers.put(foot.rest, data.sum - listed);
    numbers.put(foot.sum, data.sum);
    const positive = arrays.products.reduce((sum, v) => sum + Math.max(0, v), 0);
    say(summary, `${whole(data.names.length)} products: ${number(positive, 3)} upwards less ${number(positive - data.sum, 3)} downwards make ${number(data.sum)}.`);
  }

  let key = null;
  return {
    root,
    update(data, arrays) {
      shown = { data, arrays };
      // While one looks at the same neuron and row, lines stay where they are, so that numbers can be seen to change.
      const now = `${data.layer},${data.neuron},${data.row},${data.names.length}`;
      if (key !== now) {
        key = now;
        rebuild();
      } else fill();
    },
  };
}

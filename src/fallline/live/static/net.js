/** The network on a canvas: weights as lines, neurons as circles that can be pointed at, focused and opened. */

import { h, picture, say } from "./dom.js";
import { chance, number, shortened, whole } from "./format.js";
import { css, signed, sized, theme } from "./theme.js";

const WIDTHS = [0.5, 1, 1.7, 2.6, 3.8]; // pixels, of the weakest to the strongest weights of a layer
const DASH = [5, 3.5]; // of negative weights
const PLAIN = "12px system-ui, sans-serif";
const BOLD = "600 12px system-ui, sans-serif";
const TOP = 46; // pixels for the names of the layers
const LEAST_ROOM = 44; // beside the first and the last layer
const MOST_ROOM = 150; // for their names

/** Which of the widths each weight has: 0 for those that are too weak to draw. */
export function strengths(W) {
  let most = 0;
  for (const w of W) most = Math.max(most, Math.abs(w));
  return Uint8Array.from(W, (w) => (most > 0 ? Math.ceil((Math.abs(w) / most) * WIDTHS.length - 0.15) : 0));
}

/** Where neurons stand: x of each layer, y of each neuron in it, between so much room on both sides. */
export function places(counts, width, height, left, right) {
  const xs = counts.map((_, l) => left + ((width - left - right) * l) / (counts.length - 1));
  const step = Math.min(34, (height - TOP - 14) / Math.max(...counts));
  const middle = TOP + (height - TOP - 8) / 2;
  return counts.map((n, l) => ({ x: xs[l], step, y: Array.from({ length: n }, (_, i) => middle + (i - (n - 1) / 2) * step) }));
}

/** `open(layer, neuron)` is called for a neuron that is clicked; layers count from 0 after the inputs. */
export function drawing(open, height) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const layer = h("div", { class: "neurons", role: "group", "aria-label": "Neurons: arrow keys move, Enter opens one" });
  const root = h("div", { class: "net" }, canvas, layer);
  root.style.setProperty("height", `${height}px`);
  const reading = h("p", { class: "reading" }, "Point at a neuron to see its weights alone; click it, or press Enter, to see its arithmetic.");
  let net = null; // what is drawn
  let spots = null;
  let buttons = []; // by layer after the inputs
  let hot = null; // [layer, i] of the neuron that is pointed at

  function draw(_, width) {
    const colours = theme();
    const c = sized(canvas, width, height);
    c.font = BOLD;
    const [left, right] = ["inputs", "outputs"].map((end) => Math.min(MOST_ROOM, Math.max(LEAST_ROOM, ...net[end].map((text) => c.measureText(text).width + 24))));
    spots = places(net.shown.map((list) => list.length), width, height, left, right);
    for (let l = 0; l < net.W.length; l++) edges(c, l, colours);
    const r = Math.max(3, Math.min(10, spots[0].step * 0.36));
    for (let l = 0; l < spots.length; l++) circles(c, l, r, colours);
    for (let l = 0; l < spots.length; l++) heading(c, l, colours);
    place();
  }

  function edges(c, l, colours) {
    const [from, to] = [spots[l], spots[l + 1]];
    const n = to.y.length;
    const groups = Array.from({ length: 2 * (WIDTHS.length + 1) }, () => new Path2D());
    const bend = (to.x - from.x) * 0.42;
    const faint = hot !== null;
    net.strength[l].forEach((k, at) => {
      if (!k) return;
      const i = Math.floor(at / n);
      const j = at % n;
      if (faint && !((hot[0] === l && hot[1] === j) || (hot[0] === l - 1 && hot[1] === i))) return;
      const path = groups[2 * k + (net.W[l][at] < 0 ? 1 : 0)];
      path.moveTo(from.x, from.y[i]);
      path.bezierCurveTo(from.x + bend, from.y[i], to.x - bend, to.y[j], to.x, to.y[j]);
    });
    WIDTHS.forEach((width, k) => {
      c.lineWidth = width;
      c.globalAlpha = faint ? 0.35 + 0.13 * (k + 1) : 0.1 + 0.15 * (k + 1);
      for (const negative of [0, 1]) {
        c.strokeStyle = negative ? colours.negative : colours.positive;
        c.setLineDash(negative ? DASH : []);
        c.stroke(groups[2 * (k + 1) + negative]);
      }
    });
    c.globalAlpha = 1;
    c.setLineDash([]);
  }

  function circles(c, l, r, colours) {
    const spot = spots[l];
    const most = Math.max(...Array.from(net.A[l], Math.abs), 1e-9);
    const last = l === spots.length - 1;
    c.textBaseline = "middle";
    spot.y.forEach((y, i) => {
      const isHot = hot && hot[0] === l - 1 && hot[1] === i;
      c.beginPath();
      c.arc(spot.x, y, isHot ? r + 2 : r, 0, 7);
      c.fillStyle = css(signed(net.A[l][i] / most, colours));
      c.fill();
      c.lineWidth = isHot ? 2.5 : 1.2;
      c.strokeStyle = isHot ? colours.accent : colours.soft;
      c.stroke();
      const text = l === 0 ? net.inputs[i] : last ? net.outputs[i] : null;
      if (text === null || spot.step < 11) return;
      const best = last && i === net.best;
      c.textAlign = last ? "left" : "right";
      c.fillStyle = best ? colours.ink : colours.soft;
      c.font = best ? BOLD : PLAIN;
      c.fillText(text, spot.x + (last ? r + 7 : -r - 7), y);
    });
  }

  function heading(c, l, colours) {
    const { n, activation } = net.layers[l];
    const shown = net.shown[l].length;
    c.textAlign = "center";
    c.textBaseline = "alphabetic";
    c.fillStyle = colours.ink;
    c.font = BOLD;
    c.fillText(l === 0 ? "Inputs" : l === net.layers.length - 1 ? "Outputs" : `Layer ${l}`, spots[l].x, 15);
    c.fillStyle = colours.soft;
    c.font = PLAIN;
    c.fillText((shown < n ? `${shown} of ${whole(n)}` : whole(n)) + (activation ? ` ${activation}` : ""), spots[l].x, 32);
  }

  /** One button a neuron, over its circle; one of them is in the tab order. */
  function place() {
    const wanted = net.shown.slice(1);
    const key = wanted.map((list) => list.length).join();
    if (layer.dataset.key !== key) {
      layer.dataset.key = key;
      buttons = wanted.map((list, l) => Array.from(list, (_, i) => h("button", { type: "button", tabindex: l || i ? "-1" : "0", "data-l": l, "data-i": i })));
      layer.replaceChildren(...buttons.flat());
    }
    buttons.forEach((list, l) =>
      list.forEach((button, i) => {
        const { x, y, step } = spots[l + 1];
        button.style.setProperty("left", `${x - 16}px`);
        button.style.setProperty("top", `${y[i] - step / 2}px`);
        button.style.setProperty("height", `${step}px`);
        const label = title(l, i);
        if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
      }),
    );
  }

  const title = (l, i) => {
    const { names } = net.layers[l + 1];
    const called = names ? `Output ${names[i]}` : `Layer ${l + 1}, neuron ${net.shown[l + 1][i]}`;
    return `${called}: value ${number(net.A[l + 1][i])}, bias ${number(net.b[l][i])}`;
  };

  function heat(to) {
    hot = to;
    if (to) say(reading, `${title(...to)}.`);
    again();
  }

  const target = (event) => {
    const button = event.target.closest("button");
    return button && [Number(button.dataset.l), Number(button.dataset.i)];
  };
  layer.addEventListener("pointerover", (event) => target(event) && heat(target(event)));
  layer.addEventListener("pointerout", () => heat(null));
  layer.addEventListener("focusin", (event) => heat(target(event)));
  layer.addEventListener("focusout", () => heat(null));
  layer.addEventListener("click", (event) => {
    const found = target(event);
    if (found) open(found[0], net.shown[found[0] + 1][found[1]]);
  });
  layer.addEventListener("keydown", (event) => {
    const found = target(event);
    const way = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!found || !way) return;
    event.preventDefault();
    const list = buttons[found[0] + way[0]];
    if (!list) return;
    const next = list[Math.max(0, Math.min(list.length - 1, found[1] + way[1]))];
    for (const button of buttons.flat()) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  });

  const { update, again, end } = picture(root, draw, 100);
  return {
    root,
    reading,
    update({ data, arrays }) {
      const count = data.layers.length - 1;
      const each = (name, from, n) => Array.from({ length: n }, (_, l) => arrays[`${name}${l + from}`]);
      const W = each("W", 0, count);
      const A = each("A", 0, count + 1);
      const out = A[count];
      const [first, last] = [data.layers[0], data.layers[count]];
      net = {
        layers: data.layers,
        W,
        A,
        b: each("b", 0, count),
        shown: each("shown", 0, count + 1),
        strength: W.map(strengths),
        best: out.length > 1 ? out.indexOf(Math.max(...out)) : -1,
        inputs: first.names.map((name) => shortened(name, 16)),
        outputs: last.names.map((name, i) => `${shortened(name, 12)}  ${chance(out[i], last.activation)}`),
      };
      update(net);
    },
    /** Neurons with their values, and the strongest of what goes into each. */
    rows() {
      if (!net) return [];
      return net.shown.slice(1).flatMap((list, l) =>
        Array.from(list, (neuron, i) => {
          const n = list.length;
          let strongest = 0;
          for (let k = 1; k < net.shown[l].length; k++) if (Math.abs(net.W[l][k * n + i]) > Math.abs(net.W[l][strongest * n + i])) strongest = k;
          const names = net.layers[l].names;
          const from = names ? names[strongest] : `neuron ${net.shown[l][strongest]}`;
          return [`Layer ${l + 1}, ${net.layers[l + 1].names?.[i] ?? `neuron ${neuron}`}`, number(net.A[l + 1][i]), number(net.b[l][i]), `${number(net.W[l][strongest * n + i])} from ${from}`];
        }),
      );
    },
    end,
  };
}

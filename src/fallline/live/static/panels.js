/** Panels that several pages show; each is updated with the frames of a topic. */

import { answers } from "./answers.js";
import { curve } from "./curve.js";
import { h, panel, say, twin } from "./dom.js";
import { dotOnCurve } from "./dot.js";
import { counted, number, score, told, whole } from "./format.js";
import { drawing } from "./net.js";
import { part } from "./pictures.js";
import { address } from "./router.js";
import { surface } from "./surface.js";

const MOST = 16; // neurons of a layer that are drawn

/** The loss by epoch, of the topic `curve`. */
export function lossPanel() {
  const chart = curve({ label: "Loss by epoch", xName: "epoch", yName: "loss" });
  let shown = null;
  const table = twin("Loss after each epoch", () => {
    const { data, arrays } = shown;
    const names = Object.keys(data.metrics);
    const held = arrays.validation_loss;
    const head = ["epoch", "loss", ...(held ? ["held-back loss"] : []), ...names.map((name) => data.metrics[name])];
    const rows = Array.from(arrays.epoch, (epoch, i) => [
      number(epoch),
      number(arrays.loss[i]),
      ...(held ? [number(held[i])] : []),
      ...names.map((name) => score(name, arrays[name][i])),
    ]).reverse();
    return { head, rows };
  });
  const { root, summary } = panel("Loss", "loss", null, chart.root, table.root);
  say(summary, "No epoch is over yet: press Run, or step one epoch.");
  const update = (frame) => {
    shown = frame;
    const { data, arrays } = frame;
    const held = arrays.validation_loss;
    const n = arrays.epoch.length;
    const lines = [{ name: "rows learned from", y: arrays.loss, kind: "learned" }];
    if (held) lines.push({ name: "rows held back", y: held, kind: "held" });
    chart.update({ x: arrays.epoch, lines, mark: data.best_epoch });
    const [metric] = Object.keys(data.metrics);
    say(
      summary,
      n
        ? `Epoch ${number(arrays.epoch[n - 1])}: loss ${number(arrays.loss[n - 1], 3)}` +
            (held ? `, on rows held back ${number(held[n - 1], 3)}` : "") +
            (metric ? `, ${data.metrics[metric]} ${score(metric, arrays[metric][n - 1])}` : "") +
            `. Lowest ${held ? "held-back " : ""}loss at epoch ${number(data.best_epoch)}.`
        : "No epoch is over yet: press Run, or step one epoch.",
    );
    table.update();
  };
  return { root, update, end: chart.end };
}

/** How good the answers are, of the topic `answers`. */
export function answerPanel() {
  const picture = answers();
  let shown = { head: [], rows: [] };
  const table = twin("The same rows as numbers", () => shown);
  table.root.hidden = true;
  const { root, summary } = panel("Answers", "answers", null, picture.root, table.root);
  const update = (frame) => {
    const { said, head, rows } = picture.update(frame);
    say(summary, said);
    table.root.hidden = !rows;
    if (rows) {
      shown = { head, rows };
      table.update();
    }
  };
  return { root, update, end: picture.end };
}

/** A row on its way through the network, of the topic `network`, which is asked `asked`. */
export function netPanel(app, height = 480) {
  const asked = { row: 0, most: MOST };
  const net = drawing((layer, neuron) => (location.hash = address("neuron", { layer, neuron, row: asked.row })), height);
  const table = twin("Neurons, what they say for this row, and the strongest weight into each", () => ({ head: ["neuron", "value", "bias", "strongest weight"], rows: net.rows() }));
  const key = h("p", { class: "key" }, h("span", { class: "plus" }, "positive"), h("span", { class: "minus" }, "negative"), " weights and values; wider is stronger.");
  const go = (row) => {
    asked.row = Math.max(0, row);
    app.ask("network", asked);
  };
  const step = (by) => h("button", { type: "button", onclick: () => go(asked.row + by) }, by < 0 ? "Previous row" : "Next row");
  const [previous, next] = [step(-1), step(1)];
  const { root, summary } = panel("Network", "network", h("div", { class: "buttons" }, previous, next), net.root, net.reading, key, table.root);
  const update = (frame) => {
    const { data } = frame;
    if (data.error) return go(0); // other rows, fewer of them
    if (data.row !== asked.row) return;
    previous.disabled = data.row === 0;
    next.disabled = data.row >= data.n_rows - 1;
    net.update(frame);
    const n = data.layers.reduce((sum, layer) => sum + layer.n, 0) - data.layers[0].n;
    say(summary, `Row ${whole(data.row)} on its way through ${whole(n)} neurons: the answer is ${told(data.answer)}, the truth ${told(data.truth)}.`);
    table.update();
  };
  return { root, asked, update, end: net.end };
}

/** Puts numbers into elements, and marks those that changed with the last step while the descent rests. */
export class Numbers {
  forget() {
    this.step = null;
  }

  begin(step, running) {
    this.isNew = this.step !== null && this.step !== undefined && step !== this.step;
    this.marks = this.isNew && !running;
    this.step = step;
  }

  put(node, value) {
    const text = number(value);
    const before = node.textContent;
    const changed = say(node, text);
    if (this.isNew || !this.marks) node.classList.toggle("changed", Boolean(this.marks && changed && before));
    if (changed) node.title = this.marks && before ? `${before} before` : "";
    return node;
  }
}

/** Sum, bias, activation: one line of arithmetic and the curve with its dot. */
export function forwardPanel(numbers) {
  const n = Object.fromEntries(["sum", "bias", "z", "a"].map((name) => [name, h("b", { class: `n-${name}` })]));
  const name = h("span", {}, "");
  const curve = dotOnCurve();
  const term = (node, label) => h("span", { class: "term" }, node, h("small", {}, label));
  const line = h("p", { class: "sum" }, term(n.sum, "sum of products"), " + ", term(n.bias, "bias"), " = ", term(n.z, "z"), " → ", term(n.a, name));
  const { root, summary } = panel("Forward", "forward", null, line, curve.root);
  return {
    root,
    end: curve.end,
    update(data, arrays) {
      const { z, a, activation } = data;
      curve.update({ label: `${activation} of z: at z = ${number(z)} it is ${number(a)}`, xs: arrays.curve_z, ys: arrays.curve_a, x: z, y: a });
      for (const key of ["sum", "bias", "z", "a"]) numbers.put(n[key], data[key]);
      say(name, data.activation === "identity" ? "a = z" : `a = ${data.activation}(z)`);
      const small = Math.abs(data.a) < 1e-6;
      say(
        summary,
        data.name !== null
          ? `Output ${data.name} adds up what the last layer says, and its bias; ${data.activation} makes ${number(data.a)} of it.`
          : small && data.activation === "relu"
            ? `z is below zero, so ${data.activation} makes nothing of it: for this row the neuron is silent.`
            : `The products and the bias make z = ${number(data.z)}; ${data.activation} makes ${number(data.a)} of it, which goes on.`,
      );
    },
  };
}

/** The path over the loss surface, of the topic `descent` once there is a path. */
export function pathPanel(height) {
  let arrays = null;
  const map = surface("The loss around the path, and the path", height, "along the way from start to end", "across it");
  const table = twin("Points of the path", () => ({
    head: ["batch", "along", "across", "true loss", "drawn height", "off the plane"],
    rows: Array.from(arrays.path_steps, (step, i) => [whole(step), ...[arrays.path[2 * i], arrays.path[2 * i + 1], arrays.path_losses[i], arrays.path_drawn[i], arrays.off_plane[i]].map((v) => number(v))]),
  }));
  const { root, summary } = panel("The path over the loss surface", "surface", null, map.root, table.root);
  return {
    root,
    end: map.end,
    update(frame) {
      const { data } = frame;
      arrays = frame.arrays;
      const spot = (i, kind, text) => ({ a: arrays.path[2 * i], b: arrays.path[2 * i + 1], kind, text });
      map.update({ ...arrays, spots: [spot(0, "from", "start"), spot(arrays.path_steps.length - 1, "to", "now")] });
      const of = data.rows < data.all_rows ? `${whole(data.rows)} of ${whole(data.all_rows)} rows` : counted(data.rows, "row");
      say(
        summary,
        `A plane through start, end and what the path does most beside it holds ${number(100 * data.explained, 3)} % of the way. ` +
          `It is ${number(data.length, 3)} from start to here in a straight line, ${number(data.walked, 3)} were walked. Losses of ${of}.`,
      );
      table.update();
    },
  };
}

/** The losses of the starts of a race on their way down, of the topic `starts`. */
export function raceChart() {
  const chart = curve({ label: "Loss of each start by epoch", xName: "epoch", yName: "loss, mean over the epoch", height: 300 });
  let shown = null;
  const table = twin("Loss of each start after each epoch", () => {
    const { data, arrays } = shown;
    const each = data.seeds.map((_, k) => part(arrays.losses, k));
    return { head: ["epoch", ...data.seeds.map((seed) => `seed ${seed}`)], rows: Array.from(arrays.epoch, (epoch, i) => [whole(epoch), ...each.map((losses) => number(losses[i]))]).reverse() };
  });
  const root = h("div", {}, chart.root, table.root);
  return {
    root,
    end: chart.end,
    update(data, arrays) {
      root.hidden = !arrays.epoch?.length;
      if (root.hidden) return;
      shown = { data, arrays };
      const lines = data.seeds.map((seed, k) => ({ y: part(arrays.losses, k), kind: "thin", seed }));
      const last = (line) => line.y.at(-1);
      const sorted = lines.filter((line) => Number.isFinite(last(line))).sort((one, other) => last(one) - last(other));
      const named = [[sorted.at(-1), "highest", "held"], [sorted[0], "lowest", "learned"]].filter(([line]) => line);
      chart.update({ x: arrays.epoch, lines: [...lines, ...named.map(([line, which, kind]) => ({ ...line, kind, name: `${which} (seed ${line.seed})` }))] });
      table.update();
    },
  };
}

/** How far a race is, in words. */
export function raceTold({ phase, epoch, epochs, seeds, message, each }, own) {
  if (phase === "none" && !own) return "The descent belongs to a program; a race needs one of the page's own: fallline studio.";
  if (phase === "none") return "Only the seed of their random start differs, yet they end in different valleys. The descent pauses while they race.";
  if (phase === "failed") return `The race failed: ${message}.`;
  const who = counted(seeds.length, "start");
  if (phase === "racing") return `${who} on their way down: epoch ${whole(epoch)} of ${whole(epochs)}.`;
  if (phase === "measuring") return `${who} are down; what lies between them is being measured.`;
  const lost = each?.filter(({ diverged }) => diverged).length ?? 0;
  const how = phase === "stopped" ? `stopped after epoch ${whole(epoch)} of ${whole(epochs)}` : `down after ${counted(epochs, "epoch")}`;
  return `${who}, ${how}${lost ? `; ${whole(lost)} diverged and ${lost === 1 ? "is" : "are"} shown at the last good point` : ""}. Each thin line is one of them.`;
}

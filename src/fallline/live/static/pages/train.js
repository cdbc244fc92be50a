/** The loss, the answers and the network while they change, and the settings that change them. */

import { answers } from "../answers.js";
import { curve } from "../curve.js";
import { h, panel, say, twin } from "../dom.js";
import { number, score, told, whole } from "../format.js";
import { drawing } from "../net.js";
import { address } from "../router.js";
import { settings } from "../settings.js";

export const title = "Train";

const MOST = 16; // neurons of a layer that are drawn

export function mount(root, app) {
  const controls = settings(app);
  const loss = lossPanel(app);
  const said = answerPanel(app);
  const net = netPanel(app);
  root.append(h("h1", { class: "unseen" }, "Train"), controls.root, h("div", { class: "columns train" }, loss.root, net.root, said.root));
  return () => [controls, loss, said, net].forEach((part) => part.end());
}

function lossPanel(app) {
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
  const end = app.watch("curve", {}, (frame) => {
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
  });
  return {
    root,
    end() {
      end();
      chart.end();
    },
  };
}

function answerPanel(app) {
  const picture = answers();
  let shown = { head: [], rows: [] };
  const table = twin("The same rows as numbers", () => shown);
  table.root.hidden = true;
  const { root, summary } = panel("Answers", "answers", null, picture.root, table.root);
  const end = app.watch("answers", {}, (frame) => {
    const { said, head, rows } = picture.update(frame);
    say(summary, said);
    table.root.hidden = !rows;
    if (rows) {
      shown = { head, rows };
      table.update();
    }
  });
  return {
    root,
    end() {
      end();
      picture.end();
    },
  };
}

function netPanel(app) {
  let row = 0;
  const net = drawing((layer, neuron) => (location.hash = address("neuron", { layer, neuron, row })), 480);
  const table = twin("Neurons, what they say for this row, and the strongest weight into each", () => ({ head: ["neuron", "value", "bias", "strongest weight"], rows: net.rows() }));
  const key = h("p", { class: "key" }, h("span", { class: "plus" }, "positive"), h("span", { class: "minus" }, "negative"), " weights and values; wider is stronger.");
  const step = (by) =>
    h("button", { type: "button", onclick: () => app.ask("network", { row: (row = Math.max(0, row + by)), most: MOST }) }, by < 0 ? "Previous row" : "Next row");
  const [previous, next] = [step(-1), step(1)];
  const { root, summary } = panel("Network", "network", h("div", { class: "buttons" }, previous, next), net.root, net.reading, key, table.root);
  const end = app.watch("network", { row, most: MOST }, (frame) => {
    const { data } = frame;
    if (data.error) {
      row = 0; // other rows, fewer of them
      app.ask("network", { row, most: MOST });
      return;
    }
    if (data.row !== row) return;
    previous.disabled = row === 0;
    next.disabled = row >= data.n_rows - 1;
    net.update(frame);
    const n = data.layers.reduce((sum, layer) => sum + layer.n, 0) - data.layers[0].n;
    say(summary, `Row ${whole(row)} on its way through ${whole(n)} neurons: the answer is ${told(data.answer)}, the truth ${told(data.truth)}.`);
    table.update();
  });
  return {
    root,
    end() {
      end();
      net.end();
    },
  };
}

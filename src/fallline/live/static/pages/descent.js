/** The way down: the path over the loss surface, the true loss beside the drawn height, and what a larger step would do. */

import { curve } from "../curve.js";
import { h, panel, say, twin } from "../dom.js";
import { number } from "../format.js";
import { pathPanel } from "../panels.js";

export const title = "Descent";

export function mount(root, app) {
  let arrays = null;
  const map = pathPanel(460);
  const heights = curve({ label: "True loss and drawn height along the path", xName: "batch", yName: "loss", height: 200 });
  const larger = curve({ label: "Loss after a larger or smaller step", xName: "doublings of the step size", yName: "loss", height: 200 });
  const largerTwin = twin("Loss after one step, by its size", () => ({
    head: ["times the step size", "loss"],
    rows: Array.from(arrays.factors, (factor, i) => [number(factor), number(arrays.line[i])]),
  }));
  const heightPanel = panel("True loss and drawn height", "heights", null, heights.root);
  const largerPanel = panel("What a larger step would do", "larger", null, larger.root, largerTwin.root);
  const columns = h("div", { class: "columns descent" }, map.root, heightPanel.root, largerPanel.root);
  const nothing = h("p", { class: "panel" }, "The way down is drawn as soon as there is one: press Run, or step one batch.");
  root.append(h("h1", { class: "unseen" }, "Descent"), nothing, columns);
  columns.hidden = true;

  const end = app.watch("descent", {}, (frame) => {
    const { data } = frame;
    const drawn = !data.error && !data.message;
    columns.hidden = !drawn;
    nothing.hidden = drawn;
    if (!drawn) return;
    arrays = frame.arrays;
    map.update(frame);
    heights.update({
      x: Float64Array.from(arrays.path_steps),
      lines: [
        { name: "true loss", y: arrays.path_losses, kind: "learned" },
        { name: "height of the map below it", y: arrays.path_drawn, kind: "held" },
      ],
    });
    let gap = 0;
    arrays.path_losses.forEach((loss, i) => (gap = Math.max(gap, Math.abs(arrays.path_drawn[i] - loss) / loss)));
    say(heightPanel.summary, `The map is flat paper through many dimensions: beside the plane the true loss differs from it, here by up to ${number(100 * gap, 2)} %.`);
    const told = data.larger;
    largerPanel.root.hidden = !told;
    if (told) {
      const start = arrays.factors.findIndex((factor) => factor > 0);
      larger.update({ x: arrays.factors.slice(start).map(Math.log2), lines: [{ name: "loss after one step against the gradient", y: arrays.line.slice(start), kind: "learned" }], mark: 0 });
      const best = arrays.factors[told.best];
      say(
        largerPanel.summary,
        (best > 0 ? `From here a step ${number(best, 2)} times as long as now (size ${number(told.learning_rate)}, the dotted line at 0) would go down most, to ${number(arrays.line[told.best], 3)}.` : "From here no step of any of these lengths would go down.") +
          (told.optimizer === "sgd" ? "" : ` ${told.optimizer} takes steps of another direction than the gradient's.`),
      );
    }
    largerTwin.update();
  });
  return () => {
    end();
    for (const part of [map, heights, larger]) part.end();
  };
}

/** The steps of the page Learn: what each says, the set it is made for, what it shows of the descent, what there is to do. */

import { curve } from "./curve.js";
import { h, panel, say, twin } from "./dom.js";
import { dotOnCurve } from "./dot.js";
import { chance, counted, number, told, whole } from "./format.js";
import { answerPanel, forwardPanel, lossPanel, netPanel, Numbers, pathPanel, raceChart, raceTold } from "./panels.js";

const START = { optimizer: "sgd", learning_rate: 0.1, batch_size: 32, l2: 0, dropout: 0, seed: 0 };
const FLOWERS = { set: "iris", start: { ...START, hidden: [3], activation: "tanh" } };
const PATIENTS = { set: "diabetes", start: { ...START, hidden: [8], activation: "relu" } };
const MANY = { set: "diabetes", start: { ...START, hidden: [64, 64], activation: "relu", batch_size: 512 } }; // all rows in one
const CROSSWISE = { set: "xor", start: { ...START, task: "regression", hidden: [2], activation: "tanh", learning_rate: 0.3, batch_size: 512 } }; // 2–2–1
const DOWN = 1000; // epochs, by which its starts have come to rest
const LARGE = 2 * START.learning_rate; // where steps are too large for the fifth lesson

const formula = (...parts) => h("p", { class: "formula" }, parts.map((part) => h("span", {}, part)));
const sub = (text) => h("sub", {}, text);
const several = (values, most, write) => `${Array.from(values.slice(0, most), write).join(", ")}${values.length > most ? ", …" : ""}`;
const held = (data) => (data.held_back ? "held back" : "learned from");

/** `x × w + x × w + …` with the numbers of the first few. */
function products(xs, ws, most = 4) {
  const text = Array.from(xs.slice(0, most), (x, i) => `${number(x, 3)} × ${ws[i] < 0 ? `(${number(ws[i], 3)})` : number(ws[i], 3)}`).join(" + ");
  return xs.length > most ? `${text} + …` : text;
}

/** Watch the arithmetic of neuron 0 for one row after the other; `next` goes to the next row. */
function byRow(app, listener) {
  const asked = { layer: 0, neuron: 0, row: 0 };
  let rows = 1;
  const go = (row) => {
    asked.row = row;
    app.ask("neuron", asked);
  };
  const end = app.watch("neuron", asked, (frame) => {
    if (frame.data.error) return go(0); // other rows, fewer of them
    if (frame.data.row !== asked.row) return;
    rows = frame.data.n_rows;
    listener(frame);
  });
  return { end, next: () => go((asked.row + 1) % rows) };
}

const neuron = {
  name: "A neuron",
  heading: "A neuron weighs what goes in",
  scene: FLOWERS,
  says: () => [
    "A row is a list of numbers, here four measures of a flower, scaled so that 0 is their mean. A neuron has a weight for each. It multiplies, adds up, and adds a bias; that is z.",
    formula("z = x₁ w₁ + x₂ w₂ + … + b", "a = f(z)"),
    "The activation f bends the sum: tanh keeps it between −1 and 1. What it makes, a, goes on to the next layer.",
  ],
  show(app, tell) {
    const numbers = new Numbers();
    const forward = forwardPanel(numbers);
    const row = byRow(app, ({ step, data, arrays }) => {
      numbers.begin(step, app.state.value?.running ?? false);
      forward.update(data, arrays);
      tell(
        `Row ${whole(data.row)} in the first neuron: ${products(arrays.x, arrays.w)} = ${number(data.sum)}. ` +
          `With the bias ${number(data.bias)} that makes z = ${number(data.z)}, and a = ${data.activation}(z) = ${number(data.a)}.`,
      );
    });
    return {
      root: forward.root,
      end: () => [row.end, forward.end].forEach((end) => end()),
      deeds: [{ text: "Next row", about: () => "Shows another row. Nothing is changed.", does: row.next }],
    };
  },
};

const layer = {
  name: "A layer",
  heading: "A layer is many neurons at once",
  scene: FLOWERS,
  says: () => [
    "The neurons of a layer stand side by side. All of them take the same numbers, each with weights of its own: a column of W. So a whole layer is one product of matrices.",
    formula(["Z = A", sub("prev"), " W + b"], "A = f(Z)"),
    ["The next layer takes A as its A", sub("prev"), ". The last has an output for each class, and softmax makes shares of them that add up to 1."],
  ],
  show(app, tell) {
    const net = netPanel(app, 300);
    const end = app.watch("network", net.asked, (frame) => {
      net.update(frame);
      const { data, arrays } = frame;
      if (data.error || data.row !== net.asked.row) return;
      const last = data.layers.length - 1;
      const makes = data.layers.slice(1, last).map(({ n }, l) => `layer ${l + 1} makes ${n > 4 ? whole(n) : several(arrays[`A${l + 1}`], 4, (a) => number(a, 3))} of them`);
      const said = several(arrays[`A${last}`], 10, (a, i) => `${chance(a, data.layers[last].activation)} for ${data.layers[last].names[i]}`);
      tell(`Row ${whole(data.row)}: ${counted(data.layers[0].n, "number")} go in, ${[...makes, `the outputs say ${said}`].join(", ")}.`);
    });
    return {
      root: net.root,
      end: () => [end, net.end].forEach((each) => each()),
      deeds: [
        {
          text: "Take one epoch",
          about: (state) => `Takes the steps to the end of the epoch, ${whole(state.steps_per_epoch)} at most. Weights change, and with them what every neuron says.`,
          does: () => app.do("step", { unit: "epoch", n: 1 }),
        },
      ],
    };
  },
};

const SHARES = Float64Array.from({ length: 100 }, (_, i) => (i + 1) / 100);
const lossOf = (share) => -Math.log(share);

const loss = {
  name: "The loss",
  heading: "The loss says how wrong it is",
  scene: FLOWERS,
  says: () => [
    "The network gives each class a share p. The loss of a row is minus the logarithm of the share that the right class got: 0 where it got all, and more the less it got.",
    formula("loss of a row = −ln p(truth)"),
    "The loss of many rows is the mean of theirs. To learn is to make this one number small.",
  ],
  show(app, tell) {
    const dot = dotOnCurve();
    const table = twin("Loss of a row by the share of its true class", () => ({ head: ["share", "loss"], rows: Array.from(SHARES.filter((_, i) => i % 10 === 9), (p) => [number(p), number(lossOf(p))]) }));
    const { root, summary } = panel("Loss of one row", "row-loss", null, dot.root, table.root);
    let [ofRow, ofAll] = ["", ""];
    const tellAll = () => tell(`${ofRow} ${ofAll}`);
    const row = byRow(app, ({ data }) => {
      const isClass = app.state.value?.task === "classification";
      const share = Math.exp(-data.loss);
      dot.root.hidden = table.root.hidden = !isClass;
      if (isClass) dot.update({ label: `Loss of row ${data.row}: ${number(data.loss)} at a share of ${number(share, 3)}`, xs: SHARES, ys: SHARES.map(lossOf), x: share, y: data.loss });
      say(summary, isClass ? "Across the share p that the true class got, upwards the loss; the dot is this row." : "What is learned here is a number, and the loss of a row is the square of what its answer is off by.");
      ofRow = isClass
        ? `Row ${whole(data.row)} is ${told(data.truth)} in truth. The network gives that ${number(100 * share, 3)} %, so the row's loss is −ln ${number(share, 3)} = ${number(data.loss)}.`
        : `Row ${whole(data.row)} is ${told(data.truth)} in truth, the answer ${told(data.answer)}; the row's loss is ${number(data.loss)}.`;
      tellAll();
    });
    const end = app.watch("results", {}, ({ data }) => {
      const mean = data.metrics?.log_loss;
      ofAll = mean ? `The mean over the ${counted(data.rows, "row")} ${held(data)} is ${number(mean.value)}; the same answer for every row, each class's share, has ${number(data.guess.log_loss)}.` : "";
      tellAll();
    });
    return {
      root,
      end: () => [row.end, end, dot.end].forEach((each) => each()),
      deeds: [{ text: "Next row", about: () => "Shows another row. Nothing is changed.", does: row.next }],
    };
  },
};

const down = {
  name: "One step down",
  heading: "One step down the slope",
  scene: FLOWERS,
  says: () => [
    "How would the loss change if a weight grew a little? That slope, for all weights, is the gradient. A step takes each weight a bit against its own slope, all at the same time.",
    formula("w ← w − η · ∂loss / ∂w"),
    "η is the step size. The slope is that of one batch of rows, so the loss of all rows may rise with a step, yet it falls with many.",
  ],
  show(app, tell) {
    const nothing = h("p", { class: "panel" }, "The path is drawn as soon as there is one.");
    const map = pathPanel(380);
    let [ofWeight, ofLoss, seen] = ["", "", null];
    const tellBoth = () => tell([ofLoss, ofWeight].filter(Boolean).join(" "));
    const row = byRow(app, ({ step, data, arrays }) => {
      const w = arrays.w[0];
      if (seen?.step === step) return;
      const isNext = seen?.step === step - 1 && app.state.value?.optimizer === "sgd";
      const called = `The weight of ${data.names[0]} into the first neuron`;
      ofWeight = isNext
        ? `${called} was ${number(seen.w)} and is ${number(w)}: less η = ${number(data.learning_rate)} times a slope of ${number((seen.w - w) / data.learning_rate, 3)}.`
        : `${called} is ${number(w)}.`;
      seen = { step, w };
      tellBoth();
    });
    const end = app.watch("descent", {}, (frame) => {
      const { path_losses: losses, path_steps: steps } = frame.arrays;
      const drawn = Boolean(losses) && !frame.data.error;
      nothing.hidden = drawn;
      map.root.hidden = !drawn;
      ofLoss = drawn
        ? `Batch ${whole(steps.at(-1))}: the loss of ${counted(frame.data.rows, "row")} went from ${number(losses.at(-2))} ${steps.at(-1) - steps.at(-2) === 1 ? "" : `at batch ${whole(steps.at(-2))} `}to ${number(losses.at(-1))}.`
        : "No step is taken yet.";
      if (drawn) map.update(frame);
      tellBoth();
    });
    map.root.hidden = true;
    return {
      root: h("div", {}, nothing, map.root),
      end: () => [row.end, end, map.end].forEach((each) => each()),
      deeds: [
        {
          text: "Take one step",
          about: (state) => `Takes batch ${whole(state.step + 1)}: every weight moves once.`,
          async does() {
            await app.do("step", { unit: "batch", n: 1 });
            app.ask("descent", {});
          },
        },
      ],
    };
  },
};

const large = {
  name: "A step too large",
  heading: "A step too large",
  scene: PATIENTS,
  says: () => [
    "The gradient is the slope where one stands, and says nothing of what comes further on. A small step goes down. A large one lands beyond the valley, higher than before, where it is steeper still, and the next throws it further.",
    "So the loss rises, in the end past all numbers: the descent diverges. Then go back to the last good point, and take smaller steps from there.",
  ],
  show(app, tell) {
    const chart = curve({ label: "Loss of all rows by batch", xName: "batch", yName: "loss", height: 300 });
    let arrays = { path_steps: [], path_losses: [] };
    const table = twin("Loss of all rows by batch", () => ({ head: ["batch", "loss"], rows: Array.from(arrays.path_steps, (step, i) => [whole(step), number(arrays.path_losses[i])]).reverse() }));
    const { root, summary } = panel("The loss along the path", "path-loss", null, chart.root, table.root);
    say(summary, "No step is taken yet.");
    chart.root.hidden = table.root.hidden = true;
    const asked = { n: 5 }; // the path is shown, not the map around it
    const end = app.watch("descent", asked, (frame) => {
      const state = app.state.value;
      if (frame.step !== state.step && !state.running) return; // worked out before the last steps; another is on its way
      const drawn = Boolean(frame.arrays.path_losses) && !frame.data.error;
      chart.root.hidden = table.root.hidden = !drawn;
      if (!drawn) {
        say(summary, "No step is taken yet.");
        return tell("");
      }
      arrays = frame.arrays;
      const { path_steps: steps, path_losses: losses } = arrays;
      chart.update({ x: Float64Array.from(steps), lines: [{ name: "rows learned from", y: losses, kind: "learned" }] });
      say(summary, `The loss of ${counted(frame.data.rows, "row")} learned from, as far as it is below a million times that of the start.`);
      let low = 0;
      losses.forEach((loss, i) => (low = loss <= losses[low] ? i : low));
      const now = `${number(losses.at(-1), 3)} at batch ${whole(steps.at(-1))}`;
      tell(
        low === losses.length - 1
          ? `With steps of size ${number(state.learning_rate)} the loss is ${now}, the lowest so far.`
          : `The loss was ${number(losses[low], 3)} at batch ${whole(steps[low])}. With steps of size ${number(state.learning_rate)} it is ${now}${state.diverged ? `, and at batch ${whole(state.step)} no number any more` : ""}.`,
      );
      table.update();
    });
    const then = (...steps) => async () => {
      for (const step of steps) if (!(await step())) return;
      app.ask("descent", asked);
    };
    const epochs = (n) => () => app.do("step", { unit: "epoch", n });
    return {
      root,
      end: () => [end, chart.end].forEach((each) => each()),
      first: ({ step, diverged, learning_rate: rate }) => (diverged || rate > LARGE ? 2 : step === 0 || rate !== START.learning_rate ? 0 : 1),
      deeds: [
        { text: "Take five epochs", about: ({ learning_rate: rate }) => `Takes steps of size ${number(rate)}, as they are now.`, can: ({ diverged }) => !diverged, scene: true, does: then(epochs(5)) },
        {
          text: "Make steps ten times as large",
          about: ({ learning_rate: rate }) => `Sets the step size to ${number(10 * rate)} and takes one epoch.`,
          can: ({ diverged, learning_rate: rate }) => !diverged && rate <= LARGE,
          scene: true,
          own: true,
          does: then(() => app.do("set", { learning_rate: 10 * app.state.value.learning_rate }), epochs(1)),
        },
        {
          text: "Halve the step size and go back",
          about: ({ learning_rate: rate, good_step: good }) => `Sets it to ${number(rate / 2)}, goes back to batch ${whole(good)}, the last good point, and takes five epochs.`,
          can: ({ step }) => step > 0,
          scene: true,
          own: true,
          does: then(() => app.do("back"), epochs(5)),
        },
      ],
    };
  },
};

const FLOOR = 0.1; // a start of xor that ends above it is in a bad valley

const valleys = {
  name: "Bad valleys",
  heading: "Not every valley is the lowest",
  scene: CROSSWISE,
  says: () => [
    "xor is 1 where two inputs differ, and 0 where not. The answers lie crosswise, so no straight line parts them; two hidden neurons draw two lines, which are enough for the one output. Yet not every random start finds them.",
    "About one start in five ends where two corners of the square are right and the other two get one half each: the loss stays at half of what the best constant has, 0.5. From there every small step goes up. More steps do not help; another start does, or more neurons.",
  ],
  show(app, tell) {
    const chart = raceChart();
    const bar = h("progress", { max: 1, hidden: true, "aria-label": "Share of the race that is done" });
    const { root, summary } = panel("Ten starts", "ten-starts", null, bar, chart.root);
    const end = app.watch("starts", {}, ({ data, arrays }) => {
      if (data.error) return;
      bar.hidden = data.phase !== "racing";
      if (!bar.hidden) bar.value = data.done;
      say(summary, raceTold(data, app.state.value?.own));
      chart.update(data, arrays);
      tell(data.each ? ends(data.each) : "");
    });
    return {
      root,
      end: () => [end, chart.end].forEach((each) => each()),
      deeds: [
        {
          text: "Send ten starts down",
          about: (state) => `Ten networks of 2–2–1 neurons, seeds ${whole(state.seed)} to ${whole(state.seed + 9)}, go down for ${whole(DOWN)} epochs each. The descent at the top pauses and stays where it is.`,
          scene: true,
          own: true,
          does: () => app.do("race", { starts: 10, epochs: DOWN }),
        },
      ],
    };
  },
};

/** How many ended low and how many in a bad valley. */
function ends(each) {
  const losses = each.map(({ loss: value }) => value).filter((value) => value !== null);
  const [good, bad] = [losses.filter((value) => value <= FLOOR), losses.filter((value) => value > FLOOR)];
  const span = (list) => [...new Set([list[0], list.at(-1)].map((value) => number(value, 2)))].join(" to ");
  const groups = [good.length && `${whole(good.length)} ended low (a loss of ${span(good)})`, bad.length && `${whole(bad.length)} ended in a bad valley (${span(bad)})`];
  return `Of ${counted(losses.length, "start")} ${groups.filter(Boolean).join(" and ")}.`;
}

const EPOCHS = 1000;

const overfitting = {
  name: "Overfitting",
  heading: "Learning by heart",
  scene: MANY,
  says: () => [
    "A large network can fit few rows exactly, with all that is chance in them. Then the loss of the rows it learns from goes on falling, while that of rows it has never seen rises.",
    "This is why rows are held back: the lowest point of their loss is the place to stop. A smaller network, an L2 penalty or more rows help as well.",
  ],
  show(app, tell) {
    const chart = lossPanel();
    const end = app.watch("curve", {}, (frame) => {
      chart.update(frame);
      const { epoch, loss: learned, validation_loss: other } = frame.arrays;
      const { rows, n_parameters: n } = app.state.value;
      const size = `${counted(rows, "row")} and ${whole(n)} weights and biases to set.`;
      if (!other?.length) return tell(size);
      const best = epoch.indexOf(frame.data.best_epoch);
      tell(
        `${size} On rows held back the loss was lowest at epoch ${number(epoch[best])}, ${number(other[best], 3)}, and is ${number(other.at(-1), 3)} now; ` +
          `on rows learned from it was ${number(learned[best], 3)} then and is ${number(learned.at(-1), 3)} now.`,
      );
    });
    return {
      root: chart.root,
      end: () => [end, chart.end].forEach((each) => each()),
      deeds: [{ text: `Train ${whole(EPOCHS)} epochs`, about: () => "Goes on from here; it takes some seconds.", scene: true, does: () => app.do("step", { unit: "epoch", n: EPOCHS }) }],
    };
  },
};

const own = {
  name: "Your own data",
  heading: "Your own data",
  scene: null,
  says: () => [
    "All this works with a table of yours. Drop a CSV file on the page Data and name the column to learn; every page then shows its descent, step by step if you like.",
    "Numbers are scaled, labels become an input each, and a fifth of the rows is held back. The file goes to this machine's own server and no further.",
  ],
  show(app, tell) {
    const panel = answerPanel();
    const end = app.watch("answers", {}, (frame) => {
      panel.update(frame);
      const { name, rows, rows_held_back: others, layer_sizes: sizes } = app.state.value;
      tell(`Now it is ${name.split(/[\\/]/).pop()}: ${counted(rows, "row")} learned from, ${whole(others)} held back, a network of ${sizes.join("–")} neurons.`);
    });
    return {
      root: panel.root,
      end: () => [end, panel.end].forEach((each) => each()),
      deeds: [{ text: "Go to Data", about: () => "Opens the page Data. Rows change only when you choose others there.", link: "#/data" }],
    };
  },
};

export const LESSONS = [neuron, layer, loss, down, large, valleys, overfitting, own];

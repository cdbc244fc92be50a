/** Many random starts going down at once: where they end, and what lies between their valleys. */

import { curve } from "../curve.js";
import { choice, field, h, offer, panel, say, twin } from "../dom.js";
import { counted, number, score, whole } from "../format.js";
import { raceChart, raceTold } from "../panels.js";
import { part } from "../pictures.js";
import { surface } from "../surface.js";

export const title = "Starts";

export function mount(root, app) {
  const race = racePanel(app);
  const later = [endsPanel(), planePanel(), barrierPanel()];
  root.append(h("h1", { class: "unseen" }, "Starts"), h("div", { class: "columns starts" }, race.root, later.map((each) => each.root)));
  for (const each of later) each.root.hidden = true;
  const end = app.watch("starts", {}, ({ data, arrays }) => {
    if (data.error) return;
    race.update(data, arrays);
    for (const each of later) {
      each.root.hidden = !each.has(data);
      if (each.has(data)) each.update(data, arrays);
    }
  });
  return () => {
    end();
    for (const each of [race, ...later]) each.end();
  };
}

/** What sends them down, and their losses on the way. */
function racePanel(app) {
  const input = (value, min, max) => h("input", { type: "number", inputmode: "numeric", required: true, min, max, value });
  const [starts, epochs] = [input(10, 2, 50), input(30, 1, 1000)];
  const go = h("button", { type: "submit", class: "primary" }, "Race");
  const stop = h("button", { type: "button", onclick: () => app.do("stop_race") }, "Stop");
  const form = h(
    "form",
    {
      class: "fields",
      onsubmit: (event) => {
        event.preventDefault();
        app.do("race", { starts: Number(starts.value), epochs: Number(epochs.value) });
      },
    },
    field("Starts", starts),
    field("Epochs", epochs),
    go,
    stop,
  );
  const bar = h("progress", { max: 1, "aria-label": "Share of the race that is done" });
  const chart = raceChart();
  const { root, summary } = panel("Many starts", "race", form, bar, chart.root);
  root.classList.add("wide");
  let racing = false;
  const allow = () => {
    const own = Boolean(app.state.value?.own);
    for (const control of [starts, epochs]) control.disabled = !own;
    go.disabled = racing || !own;
    stop.disabled = !racing || !own;
  };
  const end = app.state.subscribe(allow);
  allow();

  return {
    root,
    update(data, arrays) {
      racing = data.phase === "racing" || data.phase === "measuring";
      allow();
      bar.hidden = !racing;
      say(summary, raceTold(data, app.state.value?.own));
      if (racing) bar.value = data.done;
      chart.update(data, arrays);
    },
    end() {
      end();
      chart.end();
    },
  };
}

/** Losses at the end, the best first. */
function endsPanel() {
  const chart = curve({ label: "Losses at the end, the lowest first", xName: "place", yName: "loss", height: 320 });
  let shown = null;
  const table = twin("Where each start ended", () => ({
    head: ["place", "seed", "loss", ...(shown.score_name ? [`held-back ${shown.score_name}`] : [])],
    rows: shown.each.map(({ seed, loss, score: value, diverged }, i) => [String(i + 1), diverged ? `${seed} (diverged)` : String(seed), number(loss), ...(shown.score_name ? [score(shown.score_name, value)] : [])]),
  }));
  table.root.classList.add("ends");
  const { root, summary } = panel("Where they ended", "ends", null, chart.root, table.root);
  return {
    root,
    has: (data) => Boolean(data.each),
    update(data) {
      shown = data;
      const { each, score_name: name, rows } = data;
      const found = each.filter(({ loss }) => loss !== null);
      const [best, worst] = [found[0], found.at(-1)];
      const scores = found.map(({ score: value }) => value).filter((value) => value !== null);
      say(
        summary,
        best
          ? `Seed ${best.seed} ended lowest, at ${number(best.loss, 3)}, seed ${worst.seed} highest, at ${number(worst.loss, 3)}` +
              (scores.length ? `; on rows held back their ${name} is ${score(name, Math.min(...scores))} to ${score(name, Math.max(...scores))}` : "") +
              `. Losses of ${counted(rows, "row")}, after the last step.`
          : "None of them has a loss that is a number: take a smaller step size.",
      );
      chart.update({ x: each.map((_, i) => i + 1), lines: [{ name: "loss at the end", y: each.map(({ loss }) => loss ?? NaN), kind: "learned", dots: true }] });
      table.update();
    },
    end: chart.end,
  };
}

/** The heights over the plane through the three best ends. */
function planePanel() {
  const map = surface("The loss over the plane through the three best ends", 420, "from the best towards the second", "towards the third");
  let rows = [];
  const table = twin("The three ends in their plane", () => ({ head: ["seed", "along", "across", "loss"], rows }));
  const { root, summary } = panel("Between three valleys", "plane", null, map.root, table.root);
  return {
    root,
    has: (data) => Boolean(data.minima),
    update({ seeds, minima, each }, { a, b, surface: losses, corners }) {
      const spots = minima.map((k, i) => ({ a: corners[2 * i], b: corners[2 * i + 1], kind: i ? "from" : "to", text: `seed ${seeds[k]}` }));
      map.update({ a, b, losses, spots });
      rows = spots.map((spot, i) => [String(seeds[minima[i]]), number(spot.a), number(spot.b), number(each[i].loss)]);
      const far = (i, j) => number(Math.hypot(spots[i].a - spots[j].a, spots[i].b - spots[j].b), 3);
      say(
        summary,
        `The plane through the ends of seeds ${seeds[minima[0]]}, ${seeds[minima[1]]} and ${seeds[minima[2]]}, the three lowest. ` +
          `From the best it is ${far(0, 1)} to the second and ${far(0, 2)} to the third, between these ${far(1, 2)}.`,
      );
      table.update();
    },
    end: map.end,
  };
}

/** The loss on the straight line between two ends, before and after their neurons are matched. */
function barrierPanel() {
  const chart = curve({ label: "Loss on the straight line between two ends", xName: "per cent of the way", yName: "loss", height: 280 });
  const pair = choice([], { onchange: () => draw() });
  let shown = null;
  const called = ({ from, to }) => `seed ${shown.data.seeds[from]} to seed ${shown.data.seeds[to]}`;
  const heights = twin("Barriers: how far the line rises over its ends", () => ({
    head: ["line", "as they are", "neurons matched"],
    rows: shown.data.barriers.map((each) => [called(each), number(each.raw), number(each.matched)]),
  }));
  heights.root.classList.add("barriers");
  const { root, summary } = panel("Barriers", "barriers", field("Line", pair), chart.root, heights.root);
  root.classList.add("wide");

  function draw() {
    const { data, arrays } = shown;
    const i = Number(pair.value);
    const { raw, matched } = data.barriers[i];
    chart.update({
      x: arrays.t.map((t) => 100 * t),
      lines: [
        { name: "as they are", y: part(arrays.raw, i), kind: "held" },
        { name: "neurons matched first", y: part(arrays.matched, i), kind: "learned" },
      ],
    });
    say(
      summary,
      `On the straight line from ${called(data.barriers[i])} the loss rises by ${number(raw, 3)} over its ends, and by ${number(matched, 3)} once the neurons of the second are put into the order that fits the first best: ` +
        "the order of neurons changes nothing in what a network says.",
    );
  }
  return {
    root,
    has: (data) => Boolean(data.barriers?.length),
    update(data, arrays) {
      shown = { data, arrays };
      offer(pair, data.barriers.map((each, i) => [i, called(each)]));
      draw();
      heights.update();
    },
    end: chart.end,
  };
}

/** The line at the top of every page: where the descent stands, and what sets it in motion. */

import { h, say } from "./dom.js";
import { number, whole } from "./format.js";

const READINGS = [
  ["batch", "Batch", (s) => whole(s.step)],
  ["epoch", "Epoch", (s) => (s.epoch < 1000 ? s.epoch.toFixed(s.epoch < 100 ? 2 : 1) : whole(s.epoch))],
  ["loss", "Loss", (s) => number(s.loss)],
  ["held", "Held-back loss", (s) => number(s.validation_loss)],
  ["rate", "Batches/s", (s) => (s.running ? whole(Number(s.steps_per_second.toPrecision(2))) : "0")],
];

export function mount(root, app) {
  const name = h("strong", { class: "name" });
  const status = h("span", { class: "status" });
  const readings = READINGS.map(([key, label, of]) => ({ of, node: h("dd", { class: key }), label }));
  const button = (text, does, kind = "") => h("button", { type: "button", class: kind, onclick: does }, text);
  const run = button("Run", () => app.do(app.state.value.running ? "pause" : "run"), "primary go");
  const batch = button("Step one batch", () => app.do("step", { unit: "batch", n: 1 }));
  const epoch = button("Step one epoch", () => app.do("step", { unit: "epoch", n: 1 }));
  const again = button("Start again", () => app.do("restart"));
  const back = button("Halve the step size and go back", async () => (await app.do("back")) && app.do("run"), "primary");
  const trouble = h("div", { class: "note trouble", role: "alert", hidden: true }, h("p", {}), back);
  const stopped = h("p", { class: "note", role: "alert", hidden: true });
  const message = h("div", { class: "note", role: "alert", hidden: true }, h("p", {}), button("Close", () => app.message.set(null), "quiet"));
  const link = h("p", { class: "note", role: "status", hidden: true });
  root.append(
    h(
      "div",
      { class: "line" },
      h("p", { class: "what" }, name, status),
      h("dl", {}, readings.map(({ label, node }) => h("div", {}, h("dt", {}, label), node))),
      h("div", { class: "buttons" }, run, batch, epoch, again),
    ),
    trouble,
    stopped,
    message,
    link,
  );
  const buttons = [run, batch, epoch, again];
  for (const each of buttons) each.disabled = true;

  app.state.subscribe((state) => {
    say(name, state.name.split(/[\\/]/).pop());
    name.title = state.name;
    say(status, state.diverged ? "diverged" : state.running ? "running" : state.ended || "paused");
    status.dataset.is = state.ended ? "paused" : status.textContent;
    for (const { node, of } of readings) say(node, of(state));
    say(run, state.running ? "Pause" : "Run");
    run.disabled = batch.disabled = epoch.disabled = state.diverged || Boolean(state.ended);
    again.disabled = !state.own;
    trouble.hidden = !state.diverged;
    back.hidden = !state.own;
    stopped.hidden = !state.message;
    say(stopped, state.message && `The last steps could not be taken: ${state.message}`);
    say(
      trouble.firstChild,
      `At batch ${whole(state.step)} the loss was no longer a number: the steps of size ${number(state.learning_rate)} were too large. ` +
        (state.own ? "Go back to the last good point with half the step size, or start again." : "The program that owns this descent must mend it."),
    );
  });
  app.message.subscribe((text) => {
    message.hidden = !text;
    say(message.firstChild, text ?? "");
  });
  app.link.subscribe((state) => {
    link.hidden = state !== "lost";
    say(link, state === "lost" ? "No connection. If the server still runs it comes back by itself; if not, start fallline studio once more." : "");
    document.body.classList.toggle("offline", state === "lost");
    if (state === "lost") for (const each of buttons) each.disabled = true;
  });
}

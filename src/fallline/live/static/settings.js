/** The controls of a descent: some hold from the next step on, the others from a new start. */

import { choice, field, h, say } from "./dom.js";
import { number, widths } from "./format.js";

export const ACTIVATIONS = ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus"];
export const OPTIMIZERS = ["sgd", "rmsprop", "adam", "adamw"];

const figure = (text, name) => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new Error(`${name} is a number, such as 0.1.`);
  return value;
};

/** `{root, end}` for an app. */
export function settings(app) {
  const input = (attributes) => h("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
  const live = {
    learning_rate: input({ inputmode: "decimal" }),
    batch_size: input({ inputmode: "numeric" }),
    l2: input({ inputmode: "decimal" }),
  };
  const start = {
    hidden: input({ class: "middling" }),
    activation: choice(["auto", ...ACTIVATIONS]),
    optimizer: choice(OPTIMIZERS),
    seed: input({ inputmode: "numeric" }),
  };
  const names = { learning_rate: "Step size", batch_size: "Batch size", l2: "L2 penalty", hidden: "Layers", activation: "Activation", optimizer: "Optimizer", seed: "Seed" };
  const wrong = h("p", { class: "wrong", role: "alert" });
  const button = h("button", { type: "submit" }, "New start with these");
  const dirty = new Set();

  /** Do what may be refused; what was wrong is said below the fields. */
  async function attempt(work) {
    try {
      await work();
      say(wrong, "");
      return true;
    } catch (error) {
      say(wrong, error.message);
      return false;
    }
  }

  for (const [name, control] of Object.entries(live))
    control.addEventListener("change", async () => {
      await attempt(() => app.connection.tell("set", { [name]: figure(control.value, names[name]) }));
      if (app.state.value) control.value = number(app.state.value[name]).replaceAll(",", "");
    });
  for (const [name, control] of Object.entries(start))
    control.addEventListener("input", () => {
      dirty.add(name);
      mark();
    });
  const mark = () => {
    for (const [name, control] of Object.entries(start)) control.classList.toggle("changed", dirty.has(name));
    button.classList.toggle("primary", dirty.size > 0);
  };

  const form = h(
    "form",
    {
      class: "fields",
      onsubmit: async (event) => {
        event.preventDefault();
        const good = await attempt(() =>
          app.connection.tell("restart", {
            ...Object.fromEntries(Object.keys(live).map((name) => [name, app.state.value[name]])), // as they are now
            hidden: widths(start.hidden.value),
            activation: start.activation.value,
            optimizer: start.optimizer.value,
            seed: figure(start.seed.value, names.seed),
          }),
        );
        if (good) {
          dirty.clear();
          mark();
          show(app.state.value);
        }
      },
    },
    ...Object.entries(start).map(([name, control]) => field(names[name], control)),
    button,
  );
  const root = h(
    "section",
    { class: "settings", "aria-label": "Settings" },
    group("From the next step on", h("div", { class: "fields" }, Object.entries(live).map(([name, control]) => field(names[name], control)))),
    group("From a new start", form),
    wrong,
  );

  function show(state) {
    for (const control of [...Object.values(live), ...Object.values(start), button]) control.disabled = !state.own;
    for (const [name, control] of Object.entries(live)) if (document.activeElement !== control) put(control, number(state[name]).replaceAll(",", ""));
    const now = { hidden: state.hidden.join(", "), activation: state.activation, optimizer: state.optimizer, seed: String(state.seed) };
    for (const [name, control] of Object.entries(start)) if (!dirty.has(name) && document.activeElement !== control) put(control, now[name]);
  }
  return { root, end: app.state.subscribe(show) };
}

const group = (label, fields) => h("div", { role: "group", "aria-label": label }, h("p", { class: "of" }, label), fields);

const put = (control, value) => {
  if (control.value !== value) control.value = value;
};

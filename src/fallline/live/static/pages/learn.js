/** A tour of eight short steps on the live descent. Nothing is begun anew unless a button is pressed that says so. */

import { h, say } from "../dom.js";
import { number, whole } from "../format.js";
import { LESSONS } from "../lessons.js";
import { address } from "../router.js";

export const title = "Learn";

const to = (step) => address("learn", { step });

export function mount(root, app, query) {
  const step = Math.min(LESSONS.length, Math.max(1, Math.round(Number(query.step)) || 1));
  const lesson = LESSONS[step - 1];
  const links = LESSONS.map(({ name }, i) => h("li", {}, h("a", { href: to(i + 1), "aria-current": i + 1 === step && "step" }, h("span", {}, i + 1), name)));
  const now = h("p", { class: "now" });
  const shown = lesson.show(app, (text) => say(now, text));
  const deeds = shown.deeds.map(deedOf);
  const scene = lesson.scene && sceneOf(app, lesson.scene);
  const heading = h("h2", { id: "lesson", tabindex: "-1" }, lesson.heading);
  const foreign = h("p", { class: "foreign", hidden: true }, "The tour needs a studio of your own: start ", h("code", {}, "fallline studio"), " in a terminal. This descent belongs to a program, so no other rows can be opened here; it can be watched, run, paused and stepped.");
  const turn = (by, text) => (step + by >= 1 && step + by <= LESSONS.length ? h("a", { class: by > 0 ? "turn next" : "turn", href: to(step + by) }, text) : h("span"));
  const article = h(
    "article",
    { class: "panel lesson", "aria-labelledby": "lesson" },
    h("p", { class: "of" }, `Step ${step} of ${LESSONS.length}`),
    heading,
    lesson.says().map((part) => (part instanceof Node ? part : h("p", {}, part))),
    foreign,
    scene?.root,
    h("div", { class: "deeds" }, deeds.map((deed) => deed.root)),
    now, // below the buttons: it grows as numbers come, and nothing may move from under a pointer
    h("div", { class: "turns" }, turn(-1, "Back"), turn(1, "Next")),
  );
  root.append(
    h("h1", { class: "unseen" }, "Learn"),
    h("div", { class: "columns learn" }, h("nav", { class: "steps-of", "aria-label": "Steps of the tour" }, h("ol", {}, links)), article, h("div", { class: "shown" }, shown.root)),
  );
  if (document.activeElement === document.body) {
    window.scrollTo(0, 0); // the link that led here is gone
    heading.focus({ preventScroll: true });
  }

  const end = app.state.subscribe((state) => {
    const set = !lesson.scene || isSet(lesson.scene, state);
    foreign.hidden = state.own;
    now.setAttribute("aria-live", state.running ? "off" : "polite");
    scene?.update(state, set);
    const first = shown.first?.(state) ?? 0;
    deeds.forEach((deed, i) => deed.update(state, set, i === first));
    if (scene?.hasOpened(set)) deeds.find(({ control }) => control.classList.contains("primary"))?.control.focus();
  });
  return () => {
    end();
    shown.end();
  };
}

/** Whether the live descent is the one that a step is made for. */
const isSet = ({ set, start }, { name, task, hidden, activation, optimizer }) => name === set && (!start.task || task === start.task) && String(hidden) === String(start.hidden) && activation === start.activation && optimizer === start.optimizer;

/** What opens the set that a step is made for and begins anew, and says what becomes of the present descent. */
function sceneOf(app, { set, start }) {
  const about = h("p", { class: "hint" });
  let opening = false;
  async function open() {
    opening = true;
    opening = (await app.do("open", { name: set })) && (await app.do("restart", start)) && opening;
  }
  const root = h("div", { class: "deed" }, h("button", { type: "button", class: "primary", onclick: open }, `Open ${set} and begin anew`), about);
  return {
    root,
    /** Whether the button's work is now done: once, with the first state that shows it, for its answer may come sooner or later. */
    hasOpened(isSet) {
      const done = opening && isSet;
      if (done) opening = false;
      return done;
    },
    update(state, isSet) {
      root.hidden = isSet || !state.own;
      say(
        about,
        `This step is made for the set ${set}, ${start.hidden.join(" and ")} hidden neurons (${start.activation}) and steps of size ${number(start.learning_rate)}. ` +
          `The descent on ${state.name.split(/[\\/]/).pop()} ends${state.step ? `; it is at batch ${whole(state.step)}` : ""}.`,
      );
    },
  };
}

/** A button, or a link, with what it changes. */
function deedOf({ text, about, does, can = () => true, scene = false, own = false, link = null }) {
  const hint = h("p", { class: "hint" });
  let busy = false;
  async function press() {
    if (busy) return;
    busy = true;
    await does();
    busy = false;
  }
  const control = link ? h("a", { class: "turn next", href: link }, text) : h("button", { type: "button", onclick: press }, text);
  return {
    root: h("div", { class: "deed" }, control, hint),
    control,
    update(state, isSet, isFirst) {
      if (!link) control.disabled = (scene && !isSet) || (own && !state.own) || !can(state);
      if (!link) control.classList.toggle("primary", isFirst && isSet && !control.disabled);
      say(hint, about(state));
    },
  };
}

/** Lines over one axis as SVG: losses over epochs. A cursor reads exact values, by mouse or arrow keys. */

import { fit, h, picture, s, say } from "./dom.js";
import { logTicks, number, tick, ticks } from "./format.js";

const WIDE = 20; // how many times the lowest value the highest has to be for a logarithmic scale
const ROOM = { left: 56, right: 12, top: 10, bottom: 38 };

/** From values to pixels; logarithmic where they differ by much. */
export function scale(low, high, from, to, log) {
  const f = log ? Math.log : (v) => v;
  const span = f(high) - f(low) || 1;
  return (v) => from + ((f(v) - f(low)) / span) * (to - from);
}

/** Lowest and highest of what is finite. */
export function reach(lists) {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists)
    for (const v of list)
      if (Number.isFinite(v)) {
        if (v < low) low = v;
        if (v > high) high = v;
      }
  return low <= high ? [low, high] : null;
}

/** "M..L.." through the points, with gaps where there is no number. */
export function path(xs, ys, x, y) {
  let text = "";
  let pen = "M";
  for (let i = 0; i < xs.length; i++) {
    if (!Number.isFinite(ys[i])) {
      pen = "M";
      continue;
    }
    text += `${pen}${x(xs[i]).toFixed(1)},${y(ys[i]).toFixed(1)}`;
    pen = "L";
  }
  return text;
}

const dots = (xs, { y: ys, kind }, x, y) => Array.from(ys, (v, i) => Number.isFinite(v) && s("circle", { class: `dot ${kind}`, cx: x(xs[i]), cy: y(v), r: 4 })).filter(Boolean);

/**
 * A chart; `update({x, lines: [{name, y, kind, dots}], mark})` draws it. `kind` is a class of the style sheet; lines without
 * a name are drawn and not read out; `dots` are points that no line joins.
 * Where y values are positive and far apart the scale is logarithmic.
 */
export function curve({ label, xName, yName, height = 250 }) {
  const lines = s("g");
  const axes = s("g", { class: "axes" });
  const cursor = s("g", { class: "cursor" });
  const root = s("svg", { class: "curve", role: "img", "aria-label": label, height }, axes, lines, cursor);
  const surface = h("div", { class: "surface", tabindex: "0", role: "slider", "aria-label": `${label}: cursor`, "aria-valuemin": "0", "aria-valuenow": "0" }, root);
  const legend = h("ul", { class: "legend" });
  const reading = h("p", { class: "reading" }, "Point at the curve, or use the arrow keys on it, to read exact values.");
  let shown = null;
  let at = null;
  let places = null;
  const named = () => shown.lines.filter((line) => line.name);

  function draw({ x: xs, lines: given, mark }, width) {
    const right = width - ROOM.right;
    const bottom = height - ROOM.bottom;
    let ends = reach(given.map((line) => line.y)) ?? [0, 1];
    const log = ends[0] > 0 && ends[1] / ends[0] > WIDE;
    if (!log) {
      const room = (ends[1] - ends[0]) * 0.06 || Math.abs(ends[1]) * 0.1 || 1;
      ends = [ends[0] >= 0 ? Math.max(0, ends[0] - room) : ends[0] - room, ends[1] + room];
    } else ends = [ends[0] / 1.15, ends[1] * 1.15];
    const last = xs.length ? xs[xs.length - 1] : 1;
    const first = xs.length > 1 ? Math.min(xs[0], 1) : 0;
    const x = scale(first, Math.max(last, first + 1), ROOM.left, right, false);
    const y = scale(ends[0], ends[1], bottom, ROOM.top, log);
    places = { x, y, right };
    fit(root, width, height);
    const yTicks = log ? logTicks(...ends) : ticks(...ends, 5);
    const xTicks = ticks(first, Math.max(last, first + 1), Math.max(3, width / 90)).filter(Number.isInteger);
    axes.replaceChildren(
      ...yTicks.flatMap((v) => [
        s("line", { x1: ROOM.left, x2: right, y1: y(v), y2: y(v) }),
        s("text", { x: ROOM.left - 8, y: y(v) + 4, "text-anchor": "end" }, tick(v)),
      ]),
      ...xTicks.map((v) => s("text", { x: Math.min(x(v), width - 3.6 * tick(v).length), y: bottom + 18, "text-anchor": "middle" }, tick(v))),
      s("line", { class: "base", x1: ROOM.left, x2: right, y1: bottom, y2: bottom }),
      s("text", { class: "title", x: right, y: height - 4, "text-anchor": "end" }, xName),
      ...(log ? [s("text", { class: "title", x: ROOM.left, y: height - 4 }, `${yName}, logarithmic scale`)] : [s("text", { class: "title", x: ROOM.left, y: height - 4 }, yName)]),
    );
    lines.replaceChildren(
      ...given.flatMap((line) => (line.dots ? dots(xs, line, x, y) : s("path", { class: `run ${line.kind}`, d: path(xs, line.y, x, y) }))),
      ...(mark === null || mark === undefined ? [] : [s("line", { class: "mark", x1: x(mark), x2: x(mark), y1: ROOM.top, y2: bottom })]),
    );
    drawCursor();
  }

  function drawCursor() {
    if (at === null || !places || !shown.x.length) {
      cursor.replaceChildren();
      return;
    }
    const i = Math.min(at, shown.x.length - 1);
    const px = places.x(shown.x[i]);
    cursor.replaceChildren(
      s("line", { x1: px, x2: px, y1: ROOM.top, y2: height - ROOM.bottom }),
      ...named().filter((line) => Number.isFinite(line.y[i])).map((line) => s("circle", { class: line.kind, cx: px, cy: places.y(line.y[i]), r: 4 })),
    );
    const text = `${xName} ${number(shown.x[i])}: ${named().map((line) => `${line.name} ${number(line.y[i])}`).join(", ")}`;
    say(reading, text);
    surface.setAttribute("aria-valuenow", i);
    surface.setAttribute("aria-valuemax", shown.x.length - 1);
    surface.setAttribute("aria-valuetext", text);
  }

  function move(to) {
    if (!shown?.x.length) return;
    at = Math.max(0, Math.min(shown.x.length - 1, to));
    drawCursor();
  }

  surface.addEventListener("pointermove", (event) => {
    if (!places || !shown.x.length) return;
    const px = event.clientX - surface.getBoundingClientRect().left;
    let best = 0;
    for (let i = 1; i < shown.x.length; i++) if (Math.abs(places.x(shown.x[i]) - px) < Math.abs(places.x(shown.x[best]) - px)) best = i;
    move(best);
  });
  surface.addEventListener("pointerleave", () => {
    at = null;
    drawCursor();
  });
  surface.addEventListener("keydown", (event) => {
    const here = at ?? (shown?.x.length ?? 1) - 1;
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, PageDown: here - 10, PageUp: here + 10, Home: 0, End: Infinity }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  });

  const { update, end } = picture(surface, draw);
  return {
    root: h("div", { class: "chart" }, legend, surface, reading),
    update(given) {
      shown = given;
      const names = named().map((line) => line.name).join();
      if (legend.dataset.names !== names) {
        legend.dataset.names = names;
        legend.replaceChildren(...named().map((line) => h("li", { class: line.kind }, s("svg", { width: 26, height: 10, "aria-hidden": "true" }, line.dots ? dots([13], { ...line, y: [5] }, Number, Number) : s("path", { class: `run ${line.kind}`, d: "M1,5L25,5" })), line.name)));
      }
      surface.setAttribute("aria-valuemax", Math.max(0, given.x.length - 1));
      if (at === null) {
        surface.setAttribute("aria-valuenow", Math.max(0, given.x.length - 1));
        surface.setAttribute("aria-valuetext", given.x.length ? "at the last epoch" : "no epoch is over yet");
      }
      update(given);
    },
    end,
  };
}

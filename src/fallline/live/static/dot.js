/** The curve of a function with the dot where one is on it: an activation, or a loss. */

import { fit, h, picture, s } from "./dom.js";
import { number, tick, ticks } from "./format.js";
import { path, reach, scale } from "./curve.js";

const HEIGHT = 190;
const ROOM = { left: 44, right: 14, top: 12, bottom: 24 };

/** `update({label, xs, ys, x, y})`: the curve through the points, and the dot at x, y. */
export function dotOnCurve() {
  const root = s("svg", { class: "curve", role: "img", height: HEIGHT });
  return picture(h("div", { class: "surface" }, root), ({ label, xs, ys, x: at, y: value }, width) => {
    const [low, high] = reach([ys, [value]]) ?? [0, 1];
    const room = (high - low) * 0.08 || 0.5;
    const bottom = HEIGHT - ROOM.bottom;
    const x = scale(xs[0], xs[xs.length - 1], ROOM.left, width - ROOM.right, false);
    const y = scale(low - room, high + room, bottom, ROOM.top, false);
    const [px, py] = [x(at), y(value)];
    const right = px > width * 0.6;
    fit(root, width, HEIGHT);
    root.setAttribute("aria-label", label);
    root.replaceChildren(
      s(
        "g",
        { class: "axes" },
        ticks(low - room, high + room, 4).map((v) => [
          s("line", { x1: ROOM.left, x2: width - ROOM.right, y1: y(v), y2: y(v) }),
          s("text", { x: ROOM.left - 8, y: y(v) + 4, "text-anchor": "end" }, tick(v)),
        ]),
        ticks(xs[0], xs[xs.length - 1], 6).map((v) => s("text", { x: x(v), y: HEIGHT - 6, "text-anchor": "middle" }, tick(v))),
        s("line", { class: "base", x1: x(0), x2: x(0), y1: ROOM.top, y2: bottom }),
      ),
      s("path", { class: "run learned", d: path(xs, ys, x, y) }),
      s("path", { class: "mark", d: `M${px},${bottom}L${px},${py}L${ROOM.left},${py}` }),
      s("circle", { class: "dot", cx: px, cy: py, r: 6 }),
      s("text", { class: "at", x: px + (right ? -12 : 12), y: Math.max(py - 10, 14), "text-anchor": right ? "end" : "start" }, `(${number(at, 3)}, ${number(value, 3)})`),
    );
  });
}

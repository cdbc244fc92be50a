/** A loss surface as bands of equal height, with a path or some spots over it. */

import { fit, h, picture, s } from "./dom.js";
import { number, tick, ticks } from "./format.js";
import { reach, scale } from "./curve.js";
import { mix, rgb, sized, theme } from "./theme.js";

const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"].map(rgb);
const BANDS = 14;
const FINE = 320; // pixels each way that are worked out
const WIDE = 20; // how many times the lowest loss the highest has to be for a logarithmic scale
const ROOM = { left: 52, right: 96, top: 8, bottom: 38 };

/** A share from 0 to 1 in viridis. */
export function viridis(t) {
  const at = Math.max(0, Math.min(1, t)) * (VIRIDIS.length - 1);
  const i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return mix(VIRIDIS[i], VIRIDIS[i + 1], at - i);
}

/** The height between four grid points; `at(i, j)` is that of a point, i and j need not be whole. */
export function between(values, [rows, columns], i, j) {
  const [i0, j0] = [Math.min(rows - 2, Math.floor(i)), Math.min(columns - 2, Math.floor(j))];
  const [u, v] = [i - i0, j - j0];
  const at = (a, b) => values[a * columns + b];
  return (1 - u) * ((1 - v) * at(i0, j0) + v * at(i0, j0 + 1)) + u * ((1 - v) * at(i0 + 1, j0) + v * at(i0 + 1, j0 + 1));
}

/**
 * `update({a, b, losses, path, path_losses, spots})`: losses by a and b; the path's points in the same plane;
 * spots: `{a, b, kind, text}`. Without a path the colours go up to the highest loss.
 */
export function surface(label, height, along, across) {
  const canvas = h("canvas", {});
  const over = s("svg", { class: "curve", role: "img", "aria-label": label, height });
  const root = h("div", { class: "surface map" }, canvas, over);

  function draw(shown, width) {
    const { a, b, losses, path = [], path_losses: onPath = [], spots } = shown;
    const [w, hgt] = [width - ROOM.left - ROOM.right, height - ROOM.top - ROOM.bottom];
    const [low, top] = reach([losses, onPath]) ?? [0, 1];
    const high = Math.min(top, Math.max(1.15 * (reach([onPath])?.[1] ?? top), low * 1.01)); // corners may be far higher than all that was walked over
    const log = low > 0 && high / low > WIDE;
    const share = scale(low, high, 0, 1, log);
    const c = sized(canvas, width, height);
    c.drawImage(ground(losses, share, rgb(theme().line)), ROOM.left, ROOM.top, w, hgt);
    const x = scale(a[0], a[a.length - 1], ROOM.left, ROOM.left + w, false);
    const y = scale(b[0], b[b.length - 1], ROOM.top + hgt, ROOM.top, false);
    const points = Array.from({ length: path.length / 2 }, (_, i) => `${x(path[2 * i]).toFixed(1)},${y(path[2 * i + 1]).toFixed(1)}`);
    fit(over, width, height);
    const bottom = ROOM.top + hgt;
    const levels = Array.from({ length: 5 }, (_, i) => i / 4);
    const value = (t) => (log ? low * (high / low) ** t : low + (high - low) * t);
    const bar = width - ROOM.right + 16;
    over.replaceChildren(
      s(
        "g",
        { class: "axes" },
        ticks(b[0], b[b.length - 1], 5).map((v) => s("text", { x: ROOM.left - 8, y: y(v) + 4, "text-anchor": "end" }, tick(v))),
        ticks(a[0], a[a.length - 1], 6).map((v) => s("text", { x: x(v), y: bottom + 17, "text-anchor": "middle" }, tick(v))),
        s("text", { class: "title", x: ROOM.left + w, y: height - 4, "text-anchor": "end" }, along),
        s("text", { class: "title", x: ROOM.left, y: height - 4 }, `↑ ${across}`),
      ),
      s("polyline", { class: "halo", points: points.join(" ") }),
      s("polyline", { class: "way", points: points.join(" ") }),
      ...spots.flatMap((spot) => [
        s("circle", { class: spot.kind, cx: x(spot.a), cy: y(spot.b), r: 6 }),
        s("text", { class: "place", x: x(spot.a) + 11, y: y(spot.b) + 4 }, spot.text),
      ]),
      s(
        "g",
        { class: "axes" },
        Array.from({ length: BANDS }, (_, i) => s("rect", { x: bar, y: bottom - ((i + 1) * hgt) / BANDS, width: 14, height: hgt / BANDS + 0.5, fill: `rgb(${viridis((i + 0.5) / BANDS).join(" ")})` })),
        levels.map((t) => s("text", { x: bar + 20, y: Math.min(bottom, Math.max(ROOM.top + 9, bottom - t * hgt + 4)) }, number(value(t), 2))),
      ),
    );
  }
  return picture(root, draw, 200);
}

/** The bands as a small canvas: a to the right, b upwards; where there is no loss the colour of nothing. */
function ground(losses, share, nothing) {
  const [rows, columns] = losses.shape;
  const image = new ImageData(FINE, FINE);
  const colours = Array.from({ length: BANDS }, (_, i) => viridis((i + 0.5) / BANDS));
  for (let py = 0; py < FINE; py++)
    for (let px = 0; px < FINE; px++) {
      const v = between(losses, losses.shape, (px / (FINE - 1)) * (rows - 1), (1 - py / (FINE - 1)) * (columns - 1));
      const band = Math.max(0, Math.min(BANDS - 1, Math.floor(share(v) * BANDS)));
      const [r, g, b] = Number.isFinite(v) ? colours[band] : nothing;
      const at = 4 * (py * FINE + px);
      image.data[at] = r;
      image.data[at + 1] = g;
      image.data[at + 2] = b;
      image.data[at + 3] = 255;
    }
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: FINE, height: FINE });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Numbers as small pictures, one pixel each. */

import { signed, theme } from "./theme.js";

/** The i-th of several arrays that lie one after another. */
export function part(array, i) {
  const n = array.length / array.shape[0];
  return array.subarray(i * n, (i + 1) * n);
}

function paint(canvas, values, height, width, colour) {
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  values.forEach((v, i) => image.data.set([...colour(v), 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Grey values from 0 to 255. */
export const grey = (canvas, values, height, width) => paint(canvas, Array.from(values), height, width, (v) => [v, v, v]);

/** Numbers of both signs, in their colours; `limit` has the full colour. */
export function weights(canvas, values, height, width, limit) {
  const colours = theme();
  paint(canvas, Array.from(values), height, width, (v) => signed(v / limit, colours));
}

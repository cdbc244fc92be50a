/** Numbers as people write them; the same as fallline.wording.number. */

const strip = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

export const NOTHING = "–";

/** So many digits that count, no exponent where it can be helped: 302,612 and 0.08123 and 2.5e-7. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent < -4) return `${strip(mantissa)}e${exponent}`;
  if (exponent < digits) return strip(value.toFixed(digits - 1 - exponent));
  return Math.abs(value) < 1e12 ? whole(value) : `${strip(mantissa)}e${exponent}`;
}

/** A whole number with commas. */
export function whole(value) {
  return value === null || value === undefined ? NOTHING : Math.round(value).toLocaleString("en-US");
}

/** A number beside an axis: few letters, so that it has room. */
export function tick(value) {
  const size = Math.abs(value);
  return size >= 1e5 || (size > 0 && size < 1e-3) ? value.toExponential(2).replace(/\.?0*e\+?/, "e") : number(value);
}

/** Shares of right answers in per cent, R2 to four places, a dash where there is none; the same as fallline.wording.score. */
export function score(name, value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
  if (name === "r2") return number(Number(value.toFixed(4)) + 0); // of the mean it is 0, but for rounding
  return name === "accuracy" || name === "balanced_accuracy" ? `${(100 * value).toFixed(2)} %` : number(value);
}

/** An output: of softmax and sigmoid in per cent, of others as a number. */
export function chance(value, activation) {
  return activation === "softmax" || activation === "sigmoid" ? `${(100 * value).toFixed(0)} %` : number(value, 3);
}

/** "1 row", "2 rows". */
export function counted(n, noun) {
  return `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** A text in so many letters at most. */
export function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}…`;
}

/** What people type for widths of layers: "32, 16" gives [32, 16], nothing gives []. */
export function widths(text) {
  const parts = text.split(/[\s,]+/).filter(Boolean);
  const found = parts.map(Number);
  const good = found.every((n) => Number.isInteger(n) && n >= 1 && n <= 4096);
  if (!good || found.length > 8) throw new Error("Layers are up to 8 whole numbers from 1 to 4096, such as 32,16.");
  return found;
}

/** Round numbers for an axis from low to high, about so many. */
export function ticks(low, high, about = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / about;
  const ten = 10 ** Math.floor(Math.log10(raw));
  const step = ten * [1, 2, 5, 10].find((k) => k * ten >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** The same for a logarithmic axis: 1, 2, 5 of each power of ten, fewer where that is too many. */
export function logTicks(low, high, most = 7) {
  const powers = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) powers.push(p);
  const between = (steps) =>
    powers.flatMap((p) => steps.map((s) => Number((s * 10 ** p).toPrecision(12)))).filter((v) => v >= low * 0.999 && v <= high * 1.001);
  const fine = [[1, 2, 5], [1, 3], [1]].map(between).find((found) => found.length <= most && found.length > 1) ?? between([1]);
  const every = Math.ceil(fine.length / most) || 1;
  return fine.length > 1 ? fine.filter((_, i) => i % every === 0) : ticks(low, high, 4);
}

/** A label or a number, or several. */
export const told = (value) => (Array.isArray(value) ? value.map(told).join(", ") : typeof value === "number" ? number(value) : String(value));

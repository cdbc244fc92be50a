/** Colours for canvas, from the style sheet, so that light and dark are said once. */

const dark = matchMedia("(prefers-color-scheme: dark)");
let known = null;
dark.addEventListener("change", () => (known = null));

/** `{ink, soft, line, card, accent, positive, negative}` as they are now. */
export function theme() {
  if (known) return known;
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "line", "card", "accent", "positive", "negative"];
  known = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  known.isDark = dark.matches;
  return known;
}

/** Draw again when light becomes dark; gives what ends it. */
export function onTheme(draw) {
  dark.addEventListener("change", draw);
  return () => dark.removeEventListener("change", draw);
}

// Classes side by side (Petroff 2021, Accessible color sequences for data visualization).
export const CLASSES = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"];

export const rgb = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

/** Between two colours [r, g, b]. */
export const mix = (a, b, t) => a.map((value, i) => Math.round(value + (b[i] - value) * t));

/** A number from -1 to 1 in the colours of the signs, the ground between them. */
export function signed(t, { card, positive, negative }) {
  const reach = Math.min(1, Math.abs(t || 0));
  return mix(rgb(card), rgb(t < 0 ? negative : positive), reach);
}

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

/** A canvas of so many CSS pixels, sharp on every screen; gives its context. */
export function sized(canvas, width, height) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const w = Math.round(width * ratio);
  const hgt = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== hgt) Object.assign(canvas, { width: w, height: hgt });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

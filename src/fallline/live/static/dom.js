/** Making elements. Text is only ever set as text, never as markup. */

import { onTheme } from "./theme.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element: `h("p", {class: "soft"}, "text")`; attributes that begin with "on" are listeners. */
export const h = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** The same of SVG. */
export const s = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Set a text where it is another one; says whether it was. */
export function say(node, text) {
  if (node.textContent === text) return false;
  node.textContent = text;
  return true;
}

/** A panel with a heading, what stands to the right of it, one sentence on what is to be seen, and the picture. */
export function panel(title, id, beside, ...children) {
  const summary = h("p", { class: "summary" });
  const head = h("div", { class: "head" }, h("h2", { id }, title), beside);
  return { root: h("section", { class: "panel", "aria-labelledby": id }, head, summary, children), summary };
}

/** A picture's numbers as a table, which is made only while it is open. */
export function twin(caption, make) {
  const body = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption });
  const root = h("details", { class: "twin" }, h("summary", {}, "Show as a table"), body);
  let last = 0;
  const update = (now = false) => {
    if (!root.open || (!now && performance.now() - last < 1000)) return;
    last = performance.now();
    const { head, rows } = make();
    body.replaceChildren(table(caption, head, rows));
  };
  root.addEventListener("toggle", () => update(true));
  return { root, update };
}

/** A table of texts; the first cell of each row is its heading. */
export function table(caption, head, rows) {
  return h(
    "table",
    {},
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((text) => h("td", {}, text))))),
  );
}

/** A labelled field. */
export function field(label, control, hint = null) {
  return h("label", { class: "field" }, h("span", {}, label), control, hint && h("small", {}, hint));
}

/** A select with options, given as texts or [value, text] pairs. */
export function choice(options, attributes = {}) {
  const node = h("select", attributes);
  offer(node, options);
  return node;
}

/** Put other options into a select, where they are others; what is chosen stays chosen. */
export function offer(node, options) {
  const pairs = options.map((option) => (Array.isArray(option) ? option.map(String) : [String(option), String(option)]));
  const key = JSON.stringify(pairs);
  if (node.dataset.options === key) return;
  const before = node.value;
  node.dataset.options = key;
  node.replaceChildren(...pairs.map(([value, text]) => h("option", { value }, text)));
  if (pairs.some(([value]) => value === before)) node.value = before;
}

/**
 * What keeps a picture drawn: `draw(shown, width)` is called with what `update` was given, and again when the width of the
 * root or the colours change; not below the least width. `{root, update, again, end}`.
 */
export function picture(root, draw, least = 60) {
  let shown = null;
  let width = 0;
  const again = () => {
    if (shown && width >= least) draw(shown, width);
  };
  const observer = new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    again();
  });
  observer.observe(root);
  const endTheme = onTheme(again);
  return {
    root,
    update(given) {
      shown = given;
      again();
    },
    again,
    end() {
      observer.disconnect();
      endTheme();
    },
  };
}

/** Have one unit of an SVG be one pixel of the page. */
export function fit(svg, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
}

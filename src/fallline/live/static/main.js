/** Puts the page together: the state at the top, and the page that the address names. */

import { App } from "./app.js";
import { h } from "./dom.js";
import { route } from "./router.js";
import { mount as mountBar } from "./bar.js";
import { takeToken } from "./socket.js";
import * as data from "./pages/data.js";
import * as descent from "./pages/descent.js";
import * as images from "./pages/images.js";
import * as layers from "./pages/layers.js";
import * as learn from "./pages/learn.js";
import * as neuron from "./pages/neuron.js";
import * as results from "./pages/results.js";
import * as starts from "./pages/starts.js";
import * as train from "./pages/train.js";

const PAGES = { data, train, neuron, descent, starts, layers, results, images, learn };
const main = document.getElementById("main");

function start(token) {
  const app = new App(token);
  mountBar(document.getElementById("state"), app);
  const links = Object.entries(PAGES).map(([name, page]) => [name, h("a", { href: `#/${name}` }, page.title)]);
  document.getElementById("nav").append(h("ul", {}, links.map(([, link]) => h("li", {}, link))));
  let unmount = () => {};
  let shown = null;
  const show = () => {
    const asked = route(location.hash);
    if (asked.name === "main") return; // the skip link
    const name = asked.name in PAGES ? asked.name : "train";
    const { title, mount } = PAGES[name];
    for (const [of, link] of links) {
      if (of === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    unmount();
    document.title = `${title} · fallline studio`;
    main.replaceChildren();
    unmount = mount(main, app, asked.query);
    if (shown !== null && shown !== name) {
      window.scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
    shown = name;
  };
  window.addEventListener("hashchange", show);
  show();
}

const token = takeToken();
if (token) start(token);
else
  main.replaceChildren(
    h("h1", {}, "The token is missing"),
    h("p", {}, "Only who has the address that the terminal shows may look at this descent. Open that one, or start ", h("code", {}, "fallline studio"), " once more."),
  );

/** The loss, the answers and the network while they change, and the settings that change them. */

import { h } from "../dom.js";
import { answerPanel, lossPanel, netPanel } from "../panels.js";
import { settings } from "../settings.js";

export const title = "Train";

export function mount(root, app) {
  const controls = settings(app);
  const [loss, net, said] = [lossPanel(), netPanel(app), answerPanel()];
  root.append(h("h1", { class: "unseen" }, "Train"), controls.root, h("div", { class: "columns train" }, loss.root, net.root, said.root));
  const ends = [app.watch("curve", {}, loss.update), app.watch("network", net.asked, net.update), app.watch("answers", {}, said.update)];
  return () => [controls.end, loss.end, net.end, said.end, ...ends].forEach((end) => end());
}

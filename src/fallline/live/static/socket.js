/** The one connection of this tab: frames of what is watched come in, commands go out and are answered. */

import { decode } from "./frames.js";

const FIRST_WAIT = 250; // milliseconds before the first try to connect again; doubled with each
const LONGEST_WAIT = 4000;

/** The token in the address, which moves to where only this tab sees it. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("t");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token");
}

export class Connection {
  /** `onFrame(frame)`, `onState(state)`, `onLink("open" | "lost")`. */
  constructor(token, { onFrame, onState, onLink }) {
    Object.assign(this, { token, onFrame, onState, onLink });
    this.waiting = new Map();
    this.watched = {};
    this.n = 0;
    this.tries = 0;
    document.addEventListener("visibilitychange", () => this.tellVisible());
    this.connect();
  }

  connect() {
    const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`;
    this.socket = new WebSocket(address, ["fallline", this.token]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.tries = 0;
      this.onLink("open");
      this.tellWatched();
      if (document.hidden) this.tellVisible();
    };
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.hear(JSON.parse(data)) : this.onFrame(decode(data)));
    this.socket.onclose = () => this.lost();
  }

  lost() {
    for (const { reject } of this.waiting.values()) reject(new Error("The connection was lost."));
    this.waiting.clear();
    this.onLink("lost");
    setTimeout(() => this.connect(), Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.tries++));
  }

  hear({ id, state, error }) {
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    if (state) this.onState(state);
    if (error) asked?.reject(new Error(error));
    else asked?.resolve(state);
  }

  /** Send a command; the promise has the state after it took effect. */
  tell(verb, args = {}) {
    if (this.socket.readyState !== WebSocket.OPEN) return Promise.reject(new Error("There is no connection."));
    const id = ++this.n;
    this.socket.send(JSON.stringify({ id, do: verb, ...args }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** Watch these topics, `{name: asked}`, and no others. */
  watch(topics) {
    this.watched = topics;
    this.tellWatched();
  }

  tellWatched() {
    this.tell("watch", { topics: { tick: {}, ...this.watched } }).catch(() => {}); // told once more when it is open
  }

  tellVisible() {
    this.tell("visible", { visible: !document.hidden }).catch(() => {});
  }
}

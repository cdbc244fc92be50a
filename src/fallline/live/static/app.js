/** What a page has to work with: the state, the topics that it watches, and commands. */

import { Connection } from "./socket.js";
import { Store } from "./store.js";

export class App {
  constructor(token) {
    this.state = new Store(null);
    this.link = new Store(null);
    this.message = new Store(null); // what went wrong with the last command
    this.listeners = new Map();
    this.asked = {};
    this.connection = new Connection(token, {
      onFrame: (frame) => this.take(frame),
      onState: (state) => this.state.set(state),
      onLink: (link) => this.link.set(link),
    });
    this.token = token;
  }

  take(frame) {
    if (frame.topic === "tick") this.state.set(frame.data);
    else this.listeners.get(frame.topic)?.(frame);
  }

  /** Watch a topic: `listener(frame)` is called with each frame; gives what ends it. */
  watch(topic, asked, listener) {
    this.listeners.set(topic, listener);
    this.ask(topic, asked);
    return () => {
      if (this.listeners.get(topic) !== listener) return;
      this.listeners.delete(topic);
      delete this.asked[topic];
      this.tellSoon();
    };
  }

  /** Ask something else of a topic that is watched. */
  ask(topic, asked) {
    this.asked[topic] = asked;
    this.tellSoon();
  }

  /** All that changes in one turn goes out as one command. */
  tellSoon() {
    if (this.told) return;
    this.told = true;
    queueMicrotask(() => {
      this.told = false;
      this.connection.watch({ ...this.asked });
    });
  }

  /** Have something done; what goes wrong is shown at the top. True where it went well. */
  async do(verb, args = {}) {
    try {
      await this.connection.tell(verb, args);
      this.message.set(null);
      return true;
    } catch (error) {
      this.message.set(error.message);
      return false;
    }
  }
}

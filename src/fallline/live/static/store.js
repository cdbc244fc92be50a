/** A value that others are told of when it changes. */
export class Store {
  constructor(value) {
    this.value = value;
    this.listeners = new Set();
  }

  set(value) {
    this.value = value;
    for (const listener of this.listeners) listener(value);
  }

  /** Call now, where there is a value, and with each new one; gives what ends it. */
  subscribe(listener) {
    this.listeners.add(listener);
    if (this.value !== null) listener(this.value);
    return () => this.listeners.delete(listener);
  }
}

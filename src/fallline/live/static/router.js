/** The address says which page: "#/neuron?layer=1&neuron=5" gives {name: "neuron", query: {layer: "1", neuron: "5"}}. */
export function route(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { name: path, query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The other way round. */
export function address(name, query = {}) {
  const text = new URLSearchParams(query).toString();
  return `#/${name}${text ? `?${text}` : ""}`;
}

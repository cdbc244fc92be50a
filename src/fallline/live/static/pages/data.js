/** The rows: bundled ones or a file of one's own; what their columns were taken for, what is learned, what is held back. */

import { choice, field, h, offer, panel, say, table } from "../dom.js";
import { counted, number, shortened, whole } from "../format.js";
import { grey, part } from "../pictures.js";

export const title = "Data";

const KINDS = ["number", "category", "date"];
const MOST_BYTES = 64 << 20; // the server takes no more

export function mount(root, app) {
  const choose = chooser(app);
  const now = rows(app, choose.offer);
  root.append(
    h("h1", {}, "Data"),
    h("p", { class: "lead" }, "What the network learns from. Choose rows that came with fallline, or drop a table of your own: it stays on this machine."),
    choose.root,
    now.root,
  );
  return () => {
    choose.end();
    now.end();
  };
}

/** Bundled sets, a place to drop a file, and what to make of that file. */
function chooser(app) {
  const bundled = choice([]);
  const wrong = h("p", { class: "wrong", role: "alert" });
  const file = h("input", { type: "file", class: "unseen", id: "file", accept: ".csv,.tsv,.txt,.parquet,.feather,.arrow,.jsonl,.ndjson", onchange: () => file.files[0] && send(file.files[0]) });
  const drop = h("label", { class: "drop", for: "file" }, file, h("strong", {}, "Drop a table here"), h("span", {}, "or press to choose one: CSV, Parquet, Arrow, JSON lines; up to 64 MB"));
  const about = h("div", {});
  const open = h("button", { type: "button", onclick: () => attempt(() => app.connection.tell("open", { name: bundled.value })) }, "Open");
  const root = h("section", { class: "panel choose", "aria-label": "Choose rows" }, h("div", { class: "fields" }, field("Rows that came with fallline", bundled), open), drop, wrong, about);

  async function attempt(work) {
    root.classList.add("busy");
    try {
      await work();
      say(wrong, "");
    } catch (error) {
      say(wrong, error.message);
    }
    root.classList.remove("busy");
  }

  const send = (given) =>
    attempt(async () => {
      if (given.size > MOST_BYTES) throw new Error("The file is larger than 64 MB; start with: fallline studio FILE");
      const answer = await fetch(`/data?name=${encodeURIComponent(given.name)}`, { method: "POST", body: given, headers: { Authorization: `Bearer ${app.token}` } });
      const said = await answer.json();
      if (!answer.ok) throw new Error(said.error);
      app.upload = said;
      file.value = "";
      ask();
    });

  /** What an upload's columns are, and which of them to learn. */
  function ask() {
    const { upload, name, rows: n, columns, kinds } = app.upload;
    const target = choice(columns, { onchange: () => mark() });
    target.value = app.upload.target ?? columns[columns.length - 1];
    const lines = columns.map((column) => {
      const kind = choice(KINDS, { "aria-label": `What ${column} holds` });
      kind.value = kinds[column];
      const use = h("input", { type: "checkbox", checked: true, "aria-label": `Use ${column}` });
      return { column, kind, use, role: h("td") };
    });
    const mark = () => {
      for (const { column, use, role } of lines) {
        const isTarget = column === target.value;
        use.disabled = isTarget;
        say(role, isTarget ? "what is learned" : "");
      }
    };
    const learn = () =>
      attempt(async () => {
        const others = lines.filter(({ column }) => column !== target.value);
        const changed = lines.filter(({ column, kind }) => kind.value !== kinds[column]);
        await app.connection.tell("open", {
          upload,
          target: target.value,
          drop: others.filter(({ use }) => !use.checked).map(({ column }) => column),
          kinds: Object.fromEntries(changed.map(({ column, kind }) => [column, kind.value])),
        });
        about.firstChild.open = false;
      });
    const body = lines.map(({ column, kind, use, role }) => h("tr", {}, h("th", { scope: "row" }, column), h("td", {}, kind), h("td", { class: "check" }, use), role));
    const heads = ["column", "holds", "use", ""].map((text) => (text ? h("th", { scope: "col" }, text) : h("td")));
    about.replaceChildren(
      h(
        "details",
        { class: "upload", open: true },
        h("summary", {}, name),
        h("p", { class: "summary" }, `${counted(n, "row")} and ${counted(columns.length, "column")}. Say which column to learn; mend what was guessed wrong.`),
        h("div", { class: "fields" }, field("Learn the column", target), h("button", { type: "button", class: "primary", onclick: learn }, "Learn from these rows")),
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Columns of the file" }, h("table", { class: "kinds" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body))),
      ),
    );
    mark();
  }
  if (app.upload) ask();

  const over = (event) => {
    event.preventDefault();
    drop.classList.toggle("over", event.type === "dragover");
  };
  const dropped = (event) => {
    over(event);
    if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
  };
  const listeners = [["dragover", over], ["dragleave", over], ["drop", dropped]];
  for (const [name, listener] of listeners) window.addEventListener(name, listener); // the whole page takes a file
  const ends = [
    app.state.subscribe(({ own }) => {
      for (const control of [bundled, open, file]) control.disabled = !own;
      drop.classList.toggle("off", !own);
    }),
    () => listeners.forEach(([name, listener]) => window.removeEventListener(name, listener)),
  ];
  return {
    root,
    offer(names) {
      offer(bundled, names);
      if (names.includes(app.state.value?.name)) bundled.value = app.state.value.name;
    },
    end: () => ends.forEach((end) => end()),
  };
}

/** What is learned from now. */
function rows(app, offerSets) {
  const root = h("div", { class: "columns data" });
  const end = app.watch("data", {}, ({ data, arrays }) => {
    if (data.error) return;
    offerSets(data.bundled);
    const key = JSON.stringify([data.name, data.rows, data.target, data.rows_trained]);
    if (root.dataset.key === key) return; // rows do not change while a descent goes on
    root.dataset.key = key;
    root.replaceChildren(targetPanel(data, arrays), splitPanel(data), arrays.pictures ? picturesPanel(data, arrays) : columnsPanel(data), ...(arrays.pictures ? [] : [previewPanel(data)]));
  });
  let name = app.state.value?.name;
  const endState = app.state.subscribe((state) => {
    if (name !== undefined && name !== state.name) app.ask("data", {}); // other rows: do not wait for the topic's next turn
    name = state.name;
  });
  return {
    root,
    end() {
      end();
      endState();
    },
  };
}

function targetPanel(data, { target_counts: counts }) {
  const most = Math.max(...counts, 1);
  const isClass = data.task === "classification";
  const labels = isClass ? data.target_labels : Array.from(counts, (_, i) => `${data.target_labels[i]} to ${data.target_labels[i + 1]}`);
  const list = Array.from(counts, (n, i) => {
    const bar = h("i", {});
    bar.style.setProperty("--length", `${(100 * n) / most}%`);
    return h("li", {}, h("span", { title: labels[i] }, shortened(labels[i], 24)), h("div", { class: "track" }, bar), h("b", {}, whole(n)));
  });
  const { root, summary } = panel(`What is learned: ${data.target ?? "the target"}`, "target", null, h("ul", { class: "bars" }, list));
  const share = (100 * most) / data.rows;
  say(summary, isClass ? `${whole(counts.length)} classes; the most frequent has ${number(share, 3)} % of the rows, which is what guessing would get right.` : `Numbers from ${data.target_labels[0]} to ${data.target_labels.at(-1)}; how many rows have each.`);
  return root;
}

function splitPanel(data) {
  const { rows_trained: learned, rows_held_back: held } = data;
  const stretch = (n, kind) => {
    const node = h("div", { class: kind });
    node.style.setProperty("flex-grow", n);
    return node;
  };
  const legend = h("ul", { class: "legend" }, h("li", { class: "learned" }, h("i"), `${whole(learned)} learned from`), h("li", { class: "held" }, h("i"), `${whole(held)} held back`));
  const { root, summary } = panel("Split", "split", null, h("div", { class: "split", "aria-hidden": "true" }, stretch(learned, "learned"), stretch(held, "held")), legend);
  const left = data.rows - learned - held;
  say(
    summary,
    (held ? `The network never sees the ${counted(held, "row")} held back, so their loss says how it does on new ones.` : "No rows are held back, so nothing says how it does on new ones.") +
      (left > 0 ? ` ${counted(left, "row")} without a target or with no place in either part are left out.` : ""),
  );
  return root;
}

function columnsPanel(data) {
  const lines = data.columns.map((column) => [column.name, column.role, column.holds, whole(column.missing), column.reason ?? ""]);
  const made = table("Columns", ["column", "taken for", "holds", "missing", "why"], lines);
  made.caption.className = "unseen";
  const { root, summary } = panel("Columns", "columns", null, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Columns" }, made));
  root.classList.add("wide");
  const more = data.n_columns - data.columns.length;
  say(summary, `${counted(data.n_columns, "column")} of inputs${more > 0 ? `; the first ${whole(data.columns.length)} are listed` : ""}.`);
  return root;
}

function previewPanel(data) {
  const names = data.columns.map((column) => column.name);
  const made = table("First rows", ["row", ...names], data.preview.map((cells, i) => [String(i), ...cells]));
  made.caption.className = "unseen";
  const { root, summary } = panel("First rows", "preview", null, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "First rows" }, made));
  root.classList.add("wide");
  say(summary, `The first ${whole(data.preview.length)} of ${counted(data.rows, "row")}, as they were read.`);
  return root;
}

function picturesPanel(data, { pictures }) {
  const [n, height, width] = pictures.shape;
  const tiles = Array.from({ length: n }, (_, i) => {
    const canvas = h("canvas", { class: "tile" });
    grey(canvas, part(pictures, i), height, width);
    return canvas;
  });
  const { root, summary } = panel("Pictures", "pictures", null, h("div", { class: "tiles", role: "img", "aria-label": `${n} pictures out of the rows` }, tiles));
  root.classList.add("wide");
  say(summary, `${n} of ${counted(data.rows, "picture")} of ${height} × ${width} pixels, evenly spread; each pixel is a number that goes in.`);
  return root;
}

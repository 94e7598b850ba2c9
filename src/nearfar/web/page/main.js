// The page: choices, the columns of models, and what keeps them together.

import { ask } from "./api.js";
import { Column } from "./column.js";
import { Connection } from "./connection.js";
import { announce, byId, debounced, el, keepingFocus, skeleton, trouble } from "./dom.js";
import { badge, label } from "./item.js";
import { can } from "./models.js";
import { Picker } from "./picker.js";
import { Similar } from "./similar.js";
import { MAX_PICKS, fromAddress, write } from "./state.js";
import { askForToken } from "./token.js";

const EXAMPLES = 8;
const WAIT = 150;

let state = fromAddress();
let served = [];
let columns = [];
/** Items by id, as far as any answer has shown them. */
const known = new Map();

const picker = new Picker({
  pick: (item) => add(item),
  picked: (id) => state.items.includes(id),
  model: () => columns[0]?.info.name,
});
const similar = new Similar({
  add: (item) => add(item),
  picked: (id) => state.items.includes(id),
  models: () => columns.map((column) => column.info),
  place: (info) => Math.max(0, columns.findIndex((column) => column.info === info)),
  home: () => picker.input,
});
const refreshSoon = debounced(() => refresh(), WAIT);

/** Names of the models on show: those asked for that are served, else the first two. */
function chosen() {
  const names = served.map((info) => info.name);
  const wanted = [...new Set(state.models)].filter((name) => names.includes(name));
  return wanted.length ? wanted : names.slice(0, 2);
}

function change(changes, options) {
  state = { ...state, ...changes };
  state.models = served.length > 1 ? chosen() : state.models;
  write(state, options);
  draw();
}

function learn(items) {
  const before = known.size;
  items.forEach((item) => known.set(String(item.item), item));
  if (known.size !== before) drawChips();
}

function add(item) {
  const id = String(item.item);
  if (state.items.includes(id)) return;
  if (state.items.length >= MAX_PICKS) {
    announce(`${MAX_PICKS} picks are as many as this page takes.`);
    return;
  }
  known.set(id, item);
  change({ items: [...state.items, id] });
  announce(`Added ${label(item)}.`);
}

function remove(id) {
  change({ items: state.items.filter((each) => each !== id) });
  announce(`Removed ${known.has(id) ? label(known.get(id)) : id}.`);
}

function draw() {
  drawChips();
  drawSlider();
  drawModels();
  const count = state.items.length;
  document.title = count ? `${count} ${count === 1 ? "pick" : "picks"} · nearfar` : "nearfar";
  const names = columns.map((column) => column.info.name);
  if (JSON.stringify(names) !== JSON.stringify(chosen())) drawColumns();
  byId("examples").hidden = count > 0;
  if (!count && served.length) loadExamples();
  if (count) refreshSoon();
  else refresh();
}

function drawChips() {
  const chip = (id) => {
    const item = known.get(id) ?? { item: id };
    const name = label(item);
    const button = {
      type: "button", "aria-label": `Remove ${name}`, "data-role": "remove", "data-item": id,
      onclick: () => remove(id),
    };
    return el("li", { class: "chip" }, el("span", {}, name, badge(item)), el("button", button, "×"));
  };
  const box = byId("chips");
  keepingFocus(box, () => box.replaceChildren(...state.items.map(chip)), picker.input);
  box.hidden = !state.items.length;
  const clear = byId("clear");
  const focused = document.activeElement === clear;
  clear.hidden = state.items.length < 2;
  if (focused && clear.hidden) picker.input.focus();
}

function drawSlider() {
  const slider = byId("surprise");
  const words = ["familiar", "rather familiar", "balanced", "rather surprising", "surprising"];
  const able = columns.filter((column) => can(column.info, "similar")).length;
  slider.value = String(state.surprise);
  slider.setAttribute("aria-valuetext", words[Math.round(4 * state.surprise)]);
  slider.disabled = columns.length > 0 && !able;
  const message = byId("surprise-message");
  message.hidden = able === columns.length;
  message.textContent = able
    ? "One of the models cannot tell how alike items are, and stays familiar."
    : "The model served cannot tell how alike items are.";
}

function drawModels() {
  const box = byId("models");
  box.hidden = served.length < 2;
  if (box.hidden) return;
  const names = chosen();
  const select = (text, at, none) => {
    const options = [...(none ? [["", "none"]] : []), ...served.map(({ name }) => [name, name])];
    const changed = (event) => {
      const next = [...names];
      next[at] = event.target.value;
      if (next[0] === next[1]) next[1 - at] = names[at] === next[at] ? "" : names[at];
      change({ models: next.filter(Boolean) });
    };
    const made = el(
      "select", { id: `model-${at}`, class: `accent-${at}`, "data-role": text, onchange: changed },
      options.map(([value, label]) => el("option", { value }, label)),
    );
    made.value = names[at] ?? "";
    return el("p", {}, el("label", { for: `model-${at}` }, text), made);
  };
  const focused = document.activeElement?.id;
  const missing = state.models.filter((name) => !served.some((info) => info.name === name));
  box.replaceChildren(
    select("Model", 0, false),
    select("Beside it", 1, true),
    ...(missing.length ? [el("p", { class: "message" }, `Not served here: ${missing.join(", ")}`)] : []),
  );
  if (focused?.startsWith("model-")) byId(focused)?.focus();
}

function drawColumns() {
  columns.forEach((column) => column.stop());
  const does = {
    add, learn,
    similar: (item, info) => similar.open(item, info),
    again: (column) => column.load(state).then(compare),
  };
  const infos = chosen().map((name) => served.find((info) => info.name === name));
  columns = infos.map((info, place) => new Column(info, place, does));
  const main = byId("lists");
  main.replaceChildren(...columns.map((column) => column.element));
  main.classList.toggle("single", columns.length === 1);
  drawSlider();
}

async function refresh() {
  refreshSoon.cancel();
  const loaded = await Promise.all(columns.map((column) => column.load(state)));
  compare();
  if (!loaded.some(Boolean)) return;
  const messages = columns.filter((column) => column.found).map(({ info, found }) => {
    const first = found.recommendations.slice(0, 3).map(label);
    return `${info.name}: ${first.join("; ")}.`;
  });
  announce(`New recommendations. ${messages.join(" ")}`);
  if (columns.some(({ info, found }) => found && found.version !== info.version)) start();
}

function compare() {
  const [one, other] = columns;
  columns.forEach((column) => column.compare(column === one ? other : one));
}

let examples = null;

async function loadExamples() {
  if (examples) return;
  const box = byId("examples");
  box.hidden = false;
  const heading = el("p", { class: "soft" }, "Nothing yet. Start with what many like:");
  const list = el("ul", { class: "chips" });
  box.replaceChildren(heading, list);
  list.replaceChildren(...skeleton(3));
  examples = ask("v1/recommend", { body: { k: EXAMPLES, model: chosen()[0] } });
  try {
    const { recommendations } = await examples;
    const button = (item) =>
      el("button", { type: "button", class: "example", onclick: () => pickExample(item) }, label(item));
    list.replaceChildren(...recommendations.map((item) => el("li", {}, button(item))));
  } catch (error) {
    examples = null;
    box.replaceChildren(error.kind === "offline" ? heading : trouble(error, loadExamples));
  }
}

function pickExample(item) {
  add(item);
  picker.input.focus();
}

/** Asks what is served, then draws all of it. */
async function start() {
  try {
    const answer = await ask("v1/model");
    served = answer.models;
    byId("report").hidden = !answer.report;
    if (answer.report) byId("report").href = "report";
  } catch (error) {
    if (error.kind !== "offline") byId("lists").replaceChildren(trouble(error, start));
    return;
  }
  if (!served.length) {
    const error = { title: "No model yet", detail: "Nothing is published to the registry so far." };
    byId("lists").replaceChildren(trouble(error, start));
    return;
  }
  const sizes = served.map((info) => info.n_items.toLocaleString("en"));
  byId("about").textContent = `${sizes[0]} items; nothing that you pick is stored.`;
  columns = [];
  examples = null;
  draw();
}

async function share() {
  const button = byId("share");
  byId("shared").hidden = true;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
    announce("The link to what you see is copied.");
    setTimeout(() => (button.textContent = "Copy link"), 2000);
  } catch {
    // Browsers lend the clipboard only to https and to this machine.
    byId("shared").hidden = false;
    byId("address").value = location.href;
    byId("address").select();
  }
}

window.addEventListener("popstate", () => {
  state = fromAddress();
  byId("shared").hidden = true;
  draw();
});
byId("surprise").addEventListener("input", (event) => {
  change({ surprise: Number(event.target.value) }, { replace: true });
});
byId("clear").addEventListener("click", () => {
  change({ items: [] });
  picker.input.focus();
  announce("All picks removed.");
});
byId("share").addEventListener("click", share);
new Connection(start);
askForToken(start);
byId("lists").replaceChildren(el("ul", { class: "card", "aria-label": "Loading" }, ...skeleton(6)));
start();

// The map of a model's items: a click adds one to the picks.

import { el, keepingFocus } from "./dom.js";
import { NEW, label } from "./item.js";
import { placeLabels } from "./labels.js";
import { MapFigure } from "./map-figure.js";
import { CONFIG, asWords, clip, coloursOf, key, layout, range, toPixels } from "./plot.js";

const COLOURS = 10;
const NEAR = 5;
const MANY = 500;
const NAMED = 4;

const idOf = (each) => String(each.item);

export class ItemMap {
  /** @param does {add(item)} */
  constructor(info, does) {
    this.info = info;
    this.does = does;
    this.items = [];
    this.near = el("ul", { class: "chips near" });
    this.figure = new MapFigure("v1/map/items", info, this, this.near);
    this.figure.read();
  }

  get element() {
    return this.figure.element;
  }

  /** Where among the colours an item's group is; the last stands for all others. */
  colour(each) {
    const at = this.figure.content.groups.indexOf(each.group);
    return at < 0 ? COLOURS : at;
  }

  /** Legend and notes. */
  tell() {
    const { items, groups, n_items: total, projection } = this.figure.content;
    const fresh = items.filter((each) => each.new).length;
    const others = groups.length && items.some((each) => this.colour(each) === COLOURS);
    this.figure.legend.replaceChildren(
      ...groups.map((name, at) => key(`group-${at}`, name)),
      ...(others ? [key(`group-${COLOURS}`, "other or none")] : []),
      ...(fresh ? [key("fresh", NEW)] : []),
      key("you", "your picks"),
    );
    const popular = (items.length - fresh).toLocaleString("en");
    const shown = items.length === total
      ? `All ${total.toLocaleString("en")} items`
      : `The ${popular} most popular of ${total.toLocaleString("en")} items` +
        (fresh ? ` and ${fresh.toLocaleString("en")} new ones` : "");
    this.figure.notes.textContent =
      `${shown}, in the plane of the two widest directions of what the model compares items by ` +
      `(${projection}): ${this.info.name} finds items alike that point the same way. ` +
      (groups.length ? "The colour is that of an item's first genre. " : "No genres are known here. ") +
      "A click on a point adds the item to your picks.";
  }

  /** Highlights these picks; called when the map is shown and when they change. */
  async place(items) {
    this.items = items;
    if (!this.figure.isReady) return;
    this.describe();
    await this.draw();
  }

  /** Draws anew for the room that there is now. */
  async show(items) {
    await this.figure.fit();
    await this.place(items);
  }

  /** The picks on the map, the latest first. */
  picks() {
    const at = new Map(this.items.map((id, place) => [id, place]));
    return this.figure.content.items
      .filter((each) => at.has(idOf(each)))
      .sort((a, b) => at.get(idOf(b)) - at.get(idOf(a)));
  }

  traces(colours) {
    const { items, groups } = this.figure.content;
    const rows = items.map((each, index) => ({ ...each, index }));
    const groupsOf = Array.from({ length: COLOURS + 1 }, () => []);
    rows.forEach((each) => groupsOf[this.colour(each)].push(each));
    const message = (each) =>
      asWords([label(each), each.group, each.new ? NEW : null].filter(Boolean).join(" · "));
    const trace = (each, more) => ({
      x: each.map((one) => one.x), y: each.map((one) => one.y), type: "scatter",
      customdata: each.map((one) => one.index), hovertext: each.map(message),
      hovertemplate: "%{hovertext}<extra></extra>", ...more,
    });
    const size = items.length > MANY ? 5 : 7;
    const drawn = groupsOf.map((each, at) => trace(each, {
      mode: "markers",
      marker: {
        color: colours[groups.length ? `group-${at}` : "cohort-1"], size: each.map((one) => (one.new ? 10 : size)),
        symbol: each.map((one) => (one.new ? "star" : "circle")), opacity: 0.85, line: { width: 0 },
      },
    }));
    const index = new Map(rows.map((each) => [idOf(each), each.index]));
    const picks = this.picks().map((each) => ({ ...each, index: index.get(idOf(each)), text: clip(label(each)) }));
    const frame = { width: this.figure.plot.clientWidth, height: this.figure.plot.clientHeight };
    const pixel = toPixels(this.ranges(), frame);
    const points = picks.slice(0, NAMED).map((each) => ({ ...pixel(each), text: each.text }));
    const places = placeLabels(points, [], frame);
    const halo = Array(4).fill(`0 0 3px ${colours.raised}`).join(", ");
    // What is drawn last lies on top: others below, groups above, picks above all.
    return [drawn[COLOURS], ...drawn.slice(0, COLOURS), trace(picks, {
      mode: "markers+text", text: picks.map((each, i) => (places[i] ? asWords(each.text) : "")),
      textposition: picks.map((_, i) => places[i] ?? "top center"),
      textfont: { size: 11, color: colours.ink, shadow: halo },
      marker: { color: colours.accent, size: 13, line: { color: colours.ink, width: 2 } },
    })];
  }

  ranges() {
    const { items } = this.figure.content;
    return ["x", "y"].map((axis) => range(items.map((each) => each[axis])));
  }

  async draw() {
    if (!this.figure.isShown) return;
    const { plot } = this.figure;
    const first = !plot.data;
    const groups = Array.from({ length: COLOURS + 1 }, (_, at) => `group-${at}`);
    const colours = coloursOf(this.element, [...groups, "cohort-1", "ink", "raised", "accent"]);
    await window.Plotly.react(
      plot, this.traces(colours), layout(this.ranges(), this.element, colours.ink), CONFIG,
    );
    if (!first) return;
    plot.on("plotly_click", ({ points }) => this.does.add(this.figure.content.items[points[0].customdata]));
    plot.on("plotly_hover", () => plot.classList.add("over"));
    plot.on("plotly_unhover", () => plot.classList.remove("over"));
  }

  /** In words what the map shows, and buttons for what lies near. */
  describe() {
    const picks = this.picks();
    const unseen = this.items.length - picks.length;
    const [latest] = picks;
    const fresh = this.figure.content.items.filter((each) => !this.items.includes(idOf(each)));
    let message = "Pick something, or one of the most popular items:";
    if (latest) {
      const far = (each) => Math.hypot(each.x - latest.x, each.y - latest.y);
      fresh.sort((a, b) => far(a) - far(b));
      message = `Nearest to ${label(latest)} on the map:`;
    } else if (unseen) {
      message = "None of your picks is on the map; the most popular items are:";
    }
    if (latest && unseen) message = `${unseen} of your picks ${unseen === 1 ? "is" : "are"} not on the map. ${message}`;
    const near = fresh.slice(0, NEAR);
    this.figure.where.textContent = message;
    const button = (each) => el("button", {
      type: "button", class: "example", "data-role": "near", "data-item": idOf(each),
      "aria-label": `Add ${label(each)} to your picks`, onclick: () => this.does.add(each),
    }, clip(label(each)));
    keepingFocus(this.near, () => {
      this.near.replaceChildren(...near.map((each) => el("li", {}, button(each))));
    });
    const names = near.map(label).join(", ");
    this.figure.plot.setAttribute("aria-label", `Map of the items of ${this.info.name}. ${message} ${names}.`);
  }
}

// The latent map of a model: cohorts of users, anchors of items, and the reader's own way.

import { ask } from "./api.js";
import { el } from "./dom.js";
import { label } from "./item.js";
import { placeLabels } from "./labels.js";
import { MapFigure } from "./map-figure.js";
import { CONFIG, asWords, clip, coloursOf, key, layout, range, toPixels } from "./plot.js";

const STEPS = 8;
const MOVE = 500;
const NAMED = 4;
const COHORT = /^about [\d,]+ interactions \((.+)\)$/;

const still = window.matchMedia("(prefers-reduced-motion: reduce)");

const cohortName = (name) => name.replace(COHORT, "$1");

export class LatentMap {
  constructor(info) {
    this.info = info;
    this.items = [];
    this.way = [];
    this.known = new Map();
    this.asking = null;
    this.figure = new MapFigure("v1/map", info, this);
    this.figure.read();
  }

  get element() {
    return this.figure.element;
  }

  /** Legend and notes. */
  tell() {
    const { cohorts, anchors, projection, notes } = this.figure.content;
    const total = cohorts.reduce((sum, each) => sum + each.n_users, 0);
    this.figure.legend.replaceChildren(
      el("li", {}, "Users by interactions:"),
      ...cohorts.map((each, at) => key(`cohort-${at % 3}`, cohortName(each.name))),
      ...(anchors.length ? [key("anchor", "item anchor")] : []),
      key("you", "you"),
    );
    this.figure.notes.textContent =
      `${total.toLocaleString("en")} users of the data, grouped by their number of interactions, ` +
      `in the plane of the latent space's widest directions (${projection}).` +
      (anchors.length ? ` Anchors are those of the ${anchors.length} most popular items.` : "") +
      notes.map((note) => ` ${note}.`).join("");
  }

  /** Moves the reader's point to where these items put it. */
  async place(items) {
    this.items = items;
    if (this.asking) this.asking.abort();
    if (!this.figure.isReady) return;
    this.asking = new AbortController();
    const { signal } = this.asking;
    const first = Math.max(1, items.length - STEPS + 1);
    const lengths = items.map((_, at) => at + 1).filter((length) => length >= first);
    try {
      const way = await Promise.all(lengths.map((n) => this.point(items.slice(0, n), signal)));
      if (signal.aborted) return;
      this.way = way.filter((point) => point.n_known > 0);
      await this.move();
    } catch (error) {
      if (signal.aborted) return;
      this.figure.where.textContent = "Your point could not be placed.";
    }
  }

  async point(items, signal) {
    const key = JSON.stringify(items);
    if (!this.known.has(key)) {
      const found = await ask("v1/map/point", { body: { items, model: this.info.name }, signal });
      this.known.set(key, found);
    }
    return this.known.get(key);
  }

  colours() {
    const names = ["cohort-0", "cohort-1", "cohort-2", "anchor", "ink", "raised", "accent"];
    const { raised: paper, ...found } = coloursOf(this.element, names);
    return { ...found, paper, cohorts: names.slice(0, 3).map((name) => found[name]) };
  }

  traces(colours) {
    const { cohorts, anchors } = this.figure.content;
    const users = cohorts.map((each, at) => ({
      x: each.x, y: each.y, mode: "markers", type: "scatter", name: asWords(each.name),
      marker: { color: colours.cohorts[at % 3], size: 5, opacity: 0.8 },
      hovertemplate: `a user: ${asWords(each.name)}<extra></extra>`,
    }));
    const near = {
      x: anchors.map((each) => each.x), y: anchors.map((each) => each.y), mode: "markers",
      type: "scatter", text: anchors.map((each) => asWords(label(each))),
      marker: { symbol: "x-thin", size: 6, line: { color: colours.anchor, width: 1.2 } },
      hovertemplate: "anchor of %{text}<extra></extra>",
    };
    return [...users, near, ...this.own(colours)];
  }

  /** The anchors of what is picked, the way, and where the reader is now. */
  own(colours) {
    const here = this.way.slice(-1);
    const mine = this.mine();
    const halo = Array(4).fill(`0 0 3px ${colours.paper}`).join(", ");
    return [
      {
        x: mine.map((each) => each.x), y: mine.map((each) => each.y), mode: "markers+text",
        type: "scatter", text: mine.map((each) => (each.place ? asWords(each.text) : "")),
        textposition: mine.map((each) => each.place ?? "top center"),
        textfont: { size: 11, color: colours.ink, shadow: halo },
        customdata: mine.map((each) => asWords(label(each))),
        marker: { symbol: "x-thin", size: 9, line: { color: colours.accent, width: 2.5 } },
        hovertemplate: "anchor of %{customdata}<extra></extra>",
      },
      {
        x: this.way.map((each) => each.x), y: this.way.map((each) => each.y),
        mode: "lines+markers", type: "scatter", hoverinfo: "skip",
        line: { color: colours.accent, width: 2, dash: "dot" },
        marker: { color: colours.accent, size: 5 },
      },
      {
        x: here.map((each) => each.x), y: here.map((each) => each.y), mode: "markers+text",
        type: "scatter", text: here.map(() => "<b>you</b>"), textposition: "top center",
        textfont: { size: 13, color: colours.ink, shadow: halo },
        marker: { color: colours.accent, size: 17, line: { color: colours.paper, width: 3 } },
        hovertemplate: "you<extra></extra>",
      },
    ];
  }

  /** The anchors of the latest picks, with their labels placed. */
  mine() {
    const at = new Map(this.items.map((id, place) => [id, place]));
    const mine = this.figure.content.anchors
      .filter((each) => at.has(String(each.item)))
      .sort((a, b) => at.get(String(b.item)) - at.get(String(a.item)))
      .map((each) => ({ ...each, text: clip(label(each)) }));
    const frame = { width: this.figure.plot.clientWidth, height: this.figure.plot.clientHeight };
    const pixel = toPixels(this.ranges(), frame);
    const here = this.way.slice(-1).map((each) => {
      const { x, y } = pixel(each);
      return { left: x - 16, right: x + 16, top: y - 30, bottom: y + 12 };
    });
    const points = mine.slice(0, NAMED).map((each) => ({ ...pixel(each), text: each.text }));
    const places = placeLabels(points, here, frame);
    return mine.map((each, i) => ({ ...each, place: places[i] ?? null }));
  }

  /** What has to be seen: all users and anchors, and the reader's way. */
  ranges() {
    const { cohorts, anchors } = this.figure.content;
    return ["x", "y"].map((axis) => {
      const all = [...cohorts.flatMap((each) => each[axis]), ...anchors.map((each) => each[axis]),
        ...this.way.map((each) => each[axis])];
      return range(all);
    });
  }

  /** Draws anew for the room that there is now. */
  async show(items) {
    await this.figure.fit();
    await this.place(items);
  }

  draw() {
    if (!this.figure.isShown) return undefined;
    const colours = this.colours();
    const drawn = layout(this.ranges(), this.element, colours.ink);
    return window.Plotly.react(this.figure.plot, this.traces(colours), drawn, CONFIG);
  }

  async move() {
    const { plot } = this.figure;
    const before = plot.data?.at(-1);
    const here = this.way.at(-1);
    this.describe(here);
    const from = before && before.x.length ? { x: before.x[0], y: before.y[0] } : null;
    const far = here && from && (from.x !== here.x || from.y !== here.y);
    await this.draw();
    if (!far || still.matches || document.hidden || !this.figure.isShown) return;
    const you = plot.data.length - 1;
    await window.Plotly.restyle(plot, { x: [[from.x]], y: [[from.y]] }, [you]);
    const moved = { data: [{ x: [here.x], y: [here.y] }], traces: [you] };
    const pace = { duration: MOVE, easing: "cubic-in-out" };
    const frame = { duration: MOVE, redraw: false };
    // A later move ends this one, which then is no error.
    await window.Plotly.animate(plot, moved, { transition: pace, frame, mode: "immediate" }).catch(() => {});
  }

  /** In words what the map shows. */
  describe(here) {
    const { cohorts, anchors } = this.figure.content;
    const distance = (x, y) => Math.hypot(x - here.x, y - here.y);
    let message = "Pick something, and your point appears among the users.";
    if (here) {
      const middles = cohorts
        .filter((each) => each.n_users)
        .map((each) => ({ name: cohortName(each.name), far: distance(mean(each.x), mean(each.y)) }));
      const nearest = middles.sort((a, b) => a.far - b.far)[0];
      const items = [...anchors]
        .sort((a, b) => distance(a.x, a.y) - distance(b.x, b.y))
        .slice(0, 2)
        .map(label);
      message = nearest ? `You are nearest the middle of users with ${nearest.name} interactions` : "You";
      if (items.length) message += `; the nearest anchors are those of ${items.join(" and ")}`;
      message += ".";
    }
    this.figure.where.textContent = message;
    this.figure.plot.setAttribute("aria-label", `Latent map of ${this.info.name}. ${message}`);
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

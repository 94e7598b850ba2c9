// The figure that a map is drawn in: its parts, and how its content is read.

import { ask } from "./api.js";
import { el } from "./dom.js";
import { plotly } from "./library.js";
import { dark, missing } from "./plot.js";

export class MapFigure {
  /**
   * @param route what the map's content is asked of
   * @param map {items, tell(), draw(), place(items)}: whose figure this is
   * @param more what stands between the words and the legend
   */
  constructor(route, info, map, ...more) {
    this.address = `${route}?${new URLSearchParams({ model: info.name })}`;
    this.map = map;
    this.content = null;
    this.plot = el("div", { class: "plot", role: "img", "aria-label": "The map is loading" });
    this.legend = el("ul", { class: "legend", "aria-label": "On the map" });
    this.where = el("p", { class: "where" });
    this.notes = el("p", { class: "soft" });
    const about = el("details", {}, el("summary", {}, "About this map"), this.notes);
    this.parts = [this.plot, el("figcaption", {}, this.where, ...more, this.legend, about)];
    this.element = el("figure", { class: "map" });
    dark.addEventListener("change", () => this.plot.data && map.draw());
  }

  async read() {
    try {
      this.element.replaceChildren(...this.parts);
      this.element.setAttribute("aria-busy", "true");
      [this.content] = await Promise.all([ask(this.address), plotly()]);
      this.map.tell();
      await this.map.draw();
      this.element.removeAttribute("aria-busy");
      await this.map.place(this.map.items);
    } catch (error) {
      this.content = null;
      this.element.removeAttribute("aria-busy");
      this.element.replaceChildren(missing(error, () => this.read()));
    }
  }

  get isShown() {
    return this.element.isConnected;
  }

  /** Whether there is something to draw, and a place to draw it in. */
  get isReady() {
    return this.content !== null && this.isShown;
  }

  /** Fits the plot to the room that there is now. */
  async fit() {
    if (this.plot.data) await window.Plotly.Plots.resize(this.plot);
  }
}

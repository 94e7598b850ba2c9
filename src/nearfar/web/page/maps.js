// The maps of a model, a tab each; tabs as in the ARIA Authoring Practices.

import { el } from "./dom.js";
import { ItemMap } from "./item-map.js";
import { LatentMap } from "./map.js";

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

/** What was chosen in a column, for when the column is drawn anew. */
const chosen = new Map();

export class Maps {
  /** @param does {add(item)} */
  constructor(info, id, does) {
    this.id = id;
    this.items = [];
    this.made = new Map();
    this.make = {
      ...(info.map ? { Users: () => new LatentMap(info) } : {}),
      ...(info.item_map ? { Items: () => new ItemMap(info, does) } : {}),
    };
    const names = Object.keys(this.make);
    this.tabs = names.map((name, at) =>
      el("button", {
        type: "button", role: "tab", id: `${id}-tab-${at}`, "aria-controls": `${id}-map`,
        onclick: () => this.choose(at), onkeydown: (event) => this.key(event, at),
      }, name),
    );
    this.panel = el("div", { role: "tabpanel", id: `${id}-map` });
    const list = el("div", { role: "tablist", class: "tabs", "aria-label": `Maps of ${info.name}` }, this.tabs);
    this.element = el("div", { class: "maps" }, list, this.panel);
    this.choose(Math.max(0, names.indexOf(chosen.get(id))));
  }

  key(event, at) {
    const last = this.tabs.length - 1;
    const next = { Home: 0, End: last }[event.key] ?? (at + STEPS[event.key] + last + 1) % (last + 1);
    if (Number.isNaN(next)) return;
    event.preventDefault();
    this.choose(next);
    this.tabs[next].focus();
  }

  choose(at) {
    const name = this.tabs[at].textContent;
    this.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
    });
    chosen.set(this.id, name);
    this.panel.setAttribute("aria-labelledby", this.tabs[at].id);
    const before = this.made.has(name);
    if (!before) this.made.set(name, this.make[name]());
    this.shown = this.made.get(name);
    this.panel.replaceChildren(this.shown.element);
    if (before) this.shown.show(this.items);
    else this.shown.items = this.items;
  }

  /** The picks are these now. */
  place(items) {
    this.items = items;
    this.shown.place(items);
  }
}

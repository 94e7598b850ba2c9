// Search by typing: the combobox of the ARIA Authoring Practices, with a list and one active option.

import { ask } from "./api.js";
import { announce, byId, debounced, el } from "./dom.js";
import { NEW, label } from "./item.js";

const SHOWN = 8;
const WAIT = 120;

export class Picker {
  /** @param choices {pick(item), picked(id), model()} */
  constructor(choices) {
    this.choices = choices;
    this.input = byId("search");
    this.list = byId("found");
    this.message = byId("search-message");
    this.options = [];
    this.active = -1;
    this.asking = null;
    this.later = debounced(() => this.search(), WAIT);
    this.input.addEventListener("input", () => this.later());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close());
    // The focus stays in the input while an option is pressed.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
  }

  async search() {
    const query = this.input.value.trim();
    this.stop();
    if (!query) return this.close();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const asked = new URLSearchParams({ query, limit: String(SHOWN * 2) });
    const model = this.choices.model();
    if (model) asked.set("model", model);
    this.input.setAttribute("aria-busy", "true");
    try {
      const { items } = await ask(`v1/items?${asked}`, { signal });
      if (signal.aborted || document.activeElement !== this.input) return undefined;
      this.show(items, query);
    } catch (error) {
      if (signal.aborted) return undefined;
      this.close();
      this.say(error.kind === "problem" ? `${error.title}: ${error.detail}` : error.title);
    } finally {
      if (!signal.aborted) this.input.removeAttribute("aria-busy");
    }
    return undefined;
  }

  show(items, query) {
    const fresh = items.filter((each) => !this.choices.picked(String(each.item))).slice(0, SHOWN);
    this.options = fresh;
    if (!fresh.length) {
      this.close();
      this.say(items.length ? "You have picked what is called so." : `Nothing is called “${query}”.`);
      return;
    }
    this.say("");
    this.list.replaceChildren(...fresh.map((item, at) => this.option(item, at)));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.activate(0);
    announce(`${fresh.length} found. Up and down to choose, Enter to pick.`);
  }

  option(item, at) {
    const people = item.new ? NEW : `${item.popularity.toLocaleString("en")} users`;
    return el(
      "li",
      { role: "option", id: `found-${at}`, "aria-selected": "false", onclick: () => this.pick(at) },
      el("span", { class: "option-title" }, label(item)),
      el("span", { class: "soft" }, people),
    );
  }

  activate(at) {
    const rows = Array.from(this.list.children);
    this.active = rows.length ? (at + rows.length) % rows.length : -1;
    rows.forEach((row, i) => row.setAttribute("aria-selected", String(i === this.active)));
    if (this.active < 0) return;
    this.input.setAttribute("aria-activedescendant", rows[this.active].id);
    rows[this.active].scrollIntoView({ block: "nearest" });
  }

  key(event) {
    if (event.isComposing) return;
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (open) this.activate(this.active + (event.key === "ArrowDown" ? 1 : -1));
      else this.search();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (open) this.pick(this.active);
      else this.search();
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (!open) this.input.value = "";
      this.say("");
      this.stop();
      this.close();
    }
  }

  pick(at) {
    const item = this.options[at];
    if (!item) return;
    this.input.value = "";
    this.stop();
    this.close();
    this.choices.pick(item);
  }

  stop() {
    this.later.cancel();
    if (this.asking) this.asking.abort();
    this.asking = null;
    this.input.removeAttribute("aria-busy");
  }

  close() {
    this.list.hidden = true;
    this.list.replaceChildren();
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  say(text) {
    this.message.textContent = text;
    this.message.hidden = !text;
    if (text) announce(text);
  }
}

// What is like an item, in a dialog.

import { ask } from "./api.js";
import { bar, byId, el, keepingFocus, skeleton, trouble } from "./dom.js";
import { badge, label } from "./item.js";
import { can } from "./models.js";

const K = 10;

export class Similar {
  /** @param does {add(item), picked(id), models(), place(info), home()} */
  constructor(does) {
    this.does = does;
    this.dialog = byId("similar");
    this.asking = null;
    this.from = null;
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  /** Opens for an item as a model sees it. */
  open(item, info) {
    if (!this.dialog.open) this.from = document.activeElement;
    this.item = item;
    this.info = info;
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
    this.heading.focus();
    this.load();
  }

  draw() {
    const models = this.does.models().filter((info) => can(info, "similar"));
    this.heading = el("h2", { id: "similar-heading", tabindex: "-1" }, `Like ${label(this.item)}`);
    this.rows = el("ol", { class: "recommended", "aria-labelledby": "similar-heading" });
    this.state = el("div", { class: "state" });
    const choices = models.map((info) =>
      el(
        "button",
        {
          type: "button", class: `choice accent-${this.does.place(info)}`,
          "aria-pressed": String(info.name === this.info.name),
          onclick: () => this.change(info),
        },
        info.name,
      ),
    );
    const close = { type: "button", class: "add", "aria-label": "Close", onclick: () => this.dialog.close() };
    this.choices = el("div", { class: "choices", role: "group", "aria-label": "By which model" }, choices);
    this.dialog.replaceChildren(
      el("div", { class: "sheet" },
        el("div", { class: "row" }, this.heading, el("button", close, "×")),
        models.length > 1 ? this.choices : el("p", { class: "soft" }, `as ${this.info.name} sees it`),
        this.state,
        this.rows,
      ),
    );
    this.colour();
  }

  colour() {
    this.dialog.className = `accent-${this.does.place(this.info)}`;
  }

  change(info) {
    this.info = info;
    for (const button of this.choices.children) {
      button.setAttribute("aria-pressed", String(button.textContent === info.name));
    }
    this.colour();
    this.load();
  }

  async load() {
    if (this.asking) this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.rows.setAttribute("aria-busy", "true");
    this.state.replaceChildren();
    this.rows.replaceChildren(...skeleton(K));
    const asked = new URLSearchParams({ k: String(K), model: this.info.name });
    try {
      const path = `v1/items/${encodeURIComponent(this.item.item)}/similar?${asked}`;
      const { similar } = await ask(path, { signal });
      if (signal.aborted) return;
      this.rows.replaceChildren(...similar.map((each) => this.row(each)));
    } catch (error) {
      if (signal.aborted) return;
      this.rows.replaceChildren();
      this.state.replaceChildren(trouble(error, () => this.load()));
    }
    this.rows.removeAttribute("aria-busy");
  }

  row(each) {
    const name = label(each);
    const item = String(each.item);
    const alike = each.similarity ?? 0;
    const add = el(
      "button",
      {
        type: "button", class: "add", "data-role": "add", "data-item": item,
        "aria-label": `Add ${name} to your picks`, title: "I like it",
        onclick: () => this.add(each),
      },
      "+",
    );
    return el(
      "li",
      { "data-item": item },
      el(
        "div",
        { class: "what" },
        el(
          "p", { class: "name" },
          el(
            "button",
            {
              type: "button", class: "title", "data-role": "title", "data-item": item,
              onclick: () => this.open(each, this.info),
            },
            name,
            el("span", { class: "unseen" }, ": what is like it"),
          ),
          badge(each),
        ),
        el(
          "p", { class: "score" }, bar(Math.max(0, alike)),
          el("span", { class: "unseen" }, "Likeness "),
          el("span", { class: "number" }, alike.toFixed(2)),
        ),
      ),
      this.does.picked(item) ? el("span", { class: "picked" }, "picked") : add,
    );
  }

  add(each) {
    const rows = Array.from(this.rows.children);
    const at = rows.findIndex((row) => row.dataset.item === String(each.item));
    this.does.add(each);
    keepingFocus(this.rows, () => rows[at].replaceWith(this.row(each)), this.heading);
  }

  closed() {
    if (this.asking) this.asking.abort();
    // The event comes late: whoever has gone on by the keyboard is not called back.
    if (document.activeElement && document.activeElement !== document.body) return;
    const back = this.from;
    const same = back && back.dataset.item
      ? document.querySelector(`.card [data-role="title"][data-item="${CSS.escape(back.dataset.item)}"]`)
      : null;
    const next = back && back.isConnected ? back : same || this.does.home();
    if (next) next.focus();
  }
}

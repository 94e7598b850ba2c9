// A model's column: its map, and what it recommends with reasons.

import { ask } from "./api.js";
import { bar, el, keepingFocus, skeleton, trouble } from "./dom.js";
import { badge, label } from "./item.js";
import { Maps } from "./maps.js";
import { can, kindOf, qualityOf, shares } from "./models.js";

const K = 10;

export class Column {
  /**
   * @param info of /v1/model
   * @param place 0 or 1, which chooses the colour
   * @param does {add(item), similar(item, info), learn(items), again()}
   */
  constructor(info, place, does) {
    this.info = info;
    this.does = does;
    this.found = null;
    this.asking = null;
    this.id = `column-${place}`;
    this.heading = el("h2", { id: `${this.id}-name`, tabindex: "-1" }, info.name);
    this.message = el("p", { class: "message", id: `${this.id}-message` });
    this.list = el("ol", { class: "recommended", "aria-labelledby": `${this.id}-name` });
    this.state = el("div", { class: "state" });
    this.maps = info.map || info.item_map ? new Maps(info, this.id, does) : null;
    const about = [kindOf(info), qualityOf(info)].filter(Boolean).join(" · ");
    this.body = el("div", { class: "body" }, this.message, this.state, this.list);
    this.element = el(
      "section",
      { class: `card accent-${place}`, "aria-labelledby": `${this.id}-name` },
      el("header", { class: "card-head" }, this.heading, el("p", { class: "soft" }, about)),
      this.maps ? this.maps.element : el("div"),
      this.body,
    );
  }

  /** Asks for recommendations; what was asked before is forgotten. Whether there are new ones. */
  async load(state) {
    this.stop();
    if (this.maps) this.maps.place(state.items);
    if (!state.items.length) {
      this.empty();
      return false;
    }
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.busy();
    try {
      const found = await ask("v1/recommend", { body: this.question(state), signal });
      if (signal.aborted) return false;
      this.found = found;
      this.does.learn(found.history);
      this.show();
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      this.failed(error);
      return false;
    }
  }

  question(state) {
    const surprise = can(this.info, "similar") ? state.surprise : 0;
    return {
      items: state.items, k: K, model: this.info.name, diversity: surprise,
      explain: can(this.info, "explain"),
    };
  }

  stop() {
    if (this.asking) this.asking.abort();
    this.asking = null;
  }

  /** Nothing is picked. */
  empty() {
    this.found = null;
    this.body.removeAttribute("aria-busy");
    this.message.textContent = "";
    this.list.replaceChildren();
    this.state.replaceChildren(
      el(
        "div",
        { class: "blank" },
        el("p", { class: "blank-title" }, "Nothing picked yet"),
        el("p", {}, "Pick something you like; what this model recommends then appears here."),
      ),
    );
  }

  busy() {
    this.body.setAttribute("aria-busy", "true");
    if (this.found) return;
    this.state.replaceChildren();
    this.message.textContent = "Loading …";
    this.list.replaceChildren(...skeleton(K));
  }

  failed(error) {
    this.body.removeAttribute("aria-busy");
    if (error.kind === "offline" && this.found) return;
    this.found = null;
    this.message.textContent = "";
    this.list.replaceChildren();
    this.state.replaceChildren(trouble(error, () => this.does.again(this)));
  }

  show() {
    const { recommendations, source, reason, unknown } = this.found;
    this.body.removeAttribute("aria-busy");
    this.state.replaceChildren();
    const parts = [];
    if (source === "popular") parts.push(`This model knows none of your picks. ${sentence(reason)}`);
    else if (unknown.length) parts.push(`This model does not know ${unknown.length} of your picks.`);
    if (!recommendations.length) parts.push("Nothing is left to recommend.");
    this.message.textContent = parts.join(" ");
    const lengths = shares(this.info, source, recommendations.map((each) => each.score));
    const rows = recommendations.map((each, at) => this.row(each, lengths[at], source));
    keepingFocus(this.list, () => this.list.replaceChildren(...rows), this.heading);
  }

  row(each, length, source) {
    const name = label(each);
    const item = String(each.item);
    const asks = can(this.info, "similar");
    const title = asks
      ? el(
          "button",
          {
            type: "button", class: "title", "data-role": "title", "data-item": item,
            "aria-haspopup": "dialog", onclick: () => this.does.similar(each, this.info),
          },
          name,
          el("span", { class: "unseen" }, ": what is like it"),
        )
      : el("span", { class: "title" }, name);
    const score = each.score === null ? "" : short(each.score);
    return el(
      "li",
      { "data-item": item },
      el("span", { class: "rank", "aria-hidden": "true" }, String(each.rank)),
      el(
        "div",
        { class: "what" },
        el("p", { class: "name" }, title, badge(each), el("span", { class: "only", hidden: true }, "only here")),
        el(
          "p",
          { class: "score" },
          bar(length),
          el("span", { class: "unseen" }, source === "popular" ? "Users who interacted with it: " : "Score "),
          el("span", { class: "number" }, score),
        ),
        because(each.because),
        placed(each.features),
      ),
      el(
        "button",
        {
          type: "button", class: "add", "data-role": "add", "data-item": item, title: "I like it",
          "aria-label": `Add ${name} to your picks`, onclick: () => this.does.add(each),
        },
        "+",
      ),
    );
  }

  /** The items recommended, as text. */
  get items() {
    return this.found ? this.found.recommendations.map((each) => String(each.item)) : [];
  }

  /** Marks what the other column does not recommend. */
  compare(other) {
    if (!this.found) return;
    const shared = other ? new Set(other.items) : null;
    const compares = shared && shared.size > 0;
    for (const row of this.list.children) {
      const only = row.querySelector(".only");
      if (only) only.hidden = !compares || shared.has(row.dataset.item);
    }
  }
}

/** "Toy Story (1995) 62 %", for each item that carried a recommendation. */
function because(carriers) {
  if (!carriers) return null;
  if (!carriers.length) return el("p", { class: "why" }, "No one of your picks carries it");
  const message = carriers.flatMap((each, at) => [
    at ? ", " : "",
    el("b", {}, label(each)),
    carriers.length > 1 ? ` ${Math.round(100 * each.share)}%` : "",
  ]);
  return el("p", { class: "why" }, "Because of ", ...message);
}

/** "Placed by Action, War", for a new item. */
function placed(features) {
  return features?.length ? el("p", { class: "why" }, `Placed by ${features.join(", ")}`) : null;
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

function short(score) {
  if (Math.abs(score) >= 1000) return Math.round(score).toLocaleString("en");
  return Math.abs(score) >= 100 ? score.toFixed(0) : score.toFixed(2);
}

// Tells when the service is gone, looks for it, and says when it is back.

import { alive, hooks } from "./api.js";
import { announce, byId, el } from "./dom.js";

const FIRST = 1000;
const LAST = 8000;

export class Connection {
  /** @param back called when the service answers again */
  constructor(back) {
    this.back = back;
    this.timer = 0;
    this.lost = false;
    hooks.offline = () => this.gone();
    window.addEventListener("offline", () => this.gone());
    window.addEventListener("online", () => this.lost && this.look());
  }

  gone() {
    if (this.lost) return;
    this.lost = true;
    this.wait = FIRST;
    const why = navigator.onLine ? "The service does not answer." : "You are offline.";
    byId("banner").replaceChildren(
      el("p", {}, el("strong", {}, why), " Your picks are kept; it is tried again until it answers."),
      el("button", { type: "button", class: "quiet", onclick: () => this.look() }, "Try now"),
    );
    document.body.classList.add("lost");
    this.again();
  }

  again() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), this.wait);
    this.wait = Math.min(LAST, 1.5 * this.wait);
  }

  async look() {
    clearTimeout(this.timer);
    const answers = await alive();
    if (!this.lost) return;
    if (!answers) {
      this.again();
      return;
    }
    this.lost = false;
    const focused = byId("banner").contains(document.activeElement);
    byId("banner").replaceChildren();
    if (focused) byId("search").focus();
    document.body.classList.remove("lost");
    announce("The service answers again.");
    this.back();
  }
}

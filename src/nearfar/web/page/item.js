// How an item is called, and the mark of one that came after the training.

import { el } from "./dom.js";

export const label = (item) => item.title ?? `Item ${item.item}`;

const BY_FEATURES = "placed by its features";

/** The full text about a new item. */
export const NEW = `new: ${BY_FEATURES}`;

/** The mark of a new item, null for any other. */
export function badge(item) {
  if (!item.new) return null;
  return el("span", { class: "new", title: NEW }, "new", el("span", { class: "unseen" }, `: ${BY_FEATURES}`));
}

// What the reader chose; all of it stands in the address.

export const MAX_PICKS = 100;
const MAX_ID = 200;

/** The choices that the address tells: picks, surprise from 0 to 1, names of models. */
export function fromAddress(search = location.search) {
  const given = new URLSearchParams(search);
  const items = given.getAll("item").filter((id) => id && id.length <= MAX_ID);
  const surprise = Number(given.get("surprise"));
  return {
    items: [...new Set(items)].slice(0, MAX_PICKS),
    surprise: surprise >= 0 && surprise <= 1 ? surprise : 0,
    models: given.getAll("model").slice(0, 2),
  };
}

/** Returns the address of these choices. */
export function toAddress({ items, surprise, models }) {
  const parameters = new URLSearchParams();
  items.forEach((id) => parameters.append("item", id));
  if (surprise > 0) parameters.set("surprise", String(surprise));
  models.forEach((name) => parameters.append("model", name));
  const query = parameters.toString();
  return query ? `${location.pathname}?${query}` : location.pathname;
}

/** Puts choices into the address: a new place in the history, or in place of this one. */
export function write(state, { replace = false } = {}) {
  const address = toAddress(state);
  if (address === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

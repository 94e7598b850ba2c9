// Elements from names, attributes and text. Text stays text: nothing here parses markup.

/** An element; attributes called on... are listeners, false and null leave out, true is empty. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A bar of a share from 0 to 1; what it tells stands beside it in words. */
export function bar(share) {
  const made = el("span", { class: "bar", "aria-hidden": "true" });
  made.style.setProperty("--share", String(Math.max(0.02, Math.min(1, share))));
  return made;
}

/** Grey lines in place of what is being loaded. */
export function skeleton(rows) {
  const row = () => el("li", { class: "ghost" }, el("span"), el("span"));
  return Array.from({ length: rows }, row);
}

/** What went wrong, and a button to try again. */
export function trouble(error, again) {
  const button = again && el("button", { type: "button", class: "quiet", onclick: again }, "Try again");
  const id = error.requestId;
  return el(
    "div",
    { class: "trouble", role: "alert" },
    el("p", { class: "trouble-title" }, error.title),
    el("p", {}, error.detail),
    id ? el("p", { class: "soft" }, "Request ", el("code", {}, id)) : null,
    button || null,
  );
}

/** Moves the focus to what replaced the focused element. */
export function keepingFocus(box, change, fallback) {
  const focused = box.contains(document.activeElement) ? document.activeElement : null;
  const kept = focused && { ...focused.dataset };
  const rows = () => Array.from(box.children);
  const at = focused ? rows().findIndex((row) => row.contains(focused)) : -1;
  change();
  if (!focused || box.contains(focused)) return;
  const same = (one) => one.dataset.role === kept.role && !one.disabled;
  const buttons = Array.from(box.querySelectorAll("button")).filter(same);
  const row = rows()[Math.min(at, rows().length - 1)];
  const next =
    buttons.find((one) => one.dataset.item === kept.item) ||
    buttons.find((one) => row && row.contains(one)) ||
    fallback;
  if (next) next.focus();
}

let waiting = [];

/** Sends a text to screen readers; texts of one moment are joined. */
export function announce(text) {
  if (!waiting.length) {
    setTimeout(() => {
      byId("announced").textContent = waiting.join(" ");
      waiting = [];
    }, 80);
  }
  waiting.push(text);
}

/** Calls after a pause of `wait` ms without another call. */
export function debounced(call, wait) {
  let timer = 0;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), wait);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

// Asks for the service's token, which is kept for this tab only.

import { hooks, rememberToken } from "./api.js";
import { byId, el } from "./dom.js";

/** Asks whenever the service refuses what it was sent; `given` is called with a new one. */
export function askForToken(given) {
  const dialog = byId("token");
  const input = el("input", {
    type: "password", id: "token-value", autocomplete: "off", required: true,
  });
  const form = el(
    "form",
    { class: "sheet" },
    el("h2", { id: "token-heading" }, "This service wants a token"),
    el("p", {}, "Whoever runs it knows the token. It is kept until this tab is closed."),
    el("label", { for: "token-value" }, "Token"),
    input,
    el("div", { class: "row" }, el("button", { type: "submit", class: "quiet" }, "Go on")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    rememberToken(input.value.trim());
    input.value = "";
    dialog.close();
    given();
  });
  dialog.append(form);
  hooks.token = () => {
    if (!dialog.open) dialog.showModal();
  };
}

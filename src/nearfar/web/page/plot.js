// What all maps are drawn with.

import { el } from "./dom.js";

const MARGIN = 0.08;

export const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
export const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** Text that Plotly shows as it stands, tags and entities too. */
export const asWords = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export const clip = (text) => (text.length > 32 ? `${text.slice(0, 30).trimEnd()} …` : text);

/** Colours of the style sheet by name, as Plotly takes them. */
export function coloursOf(element, names) {
  const probe = el("span", { hidden: true });
  element.append(probe);
  const of = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(names.map((name) => [name, of(name)]));
  probe.remove();
  return found;
}

/** The least and the largest value, with some room around. */
export function range(values) {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const room = MARGIN * (high - low || 1);
  return [low - room, high + room];
}

/** From the plane to pixels, both ways drawn to one scale as the layout has it. */
export function toPixels([xs, ys], { width, height }) {
  const scale = Math.max((xs[1] - xs[0]) / width, (ys[1] - ys[0]) / height);
  const [midX, midY] = [(xs[0] + xs[1]) / 2, (ys[0] + ys[1]) / 2];
  return ({ x, y }) => ({ x: width / 2 + (x - midX) / scale, y: height / 2 - (y - midY) / scale });
}

export function layout([xs, ys], element, ink) {
  const bare = { showgrid: false, zeroline: false, showticklabels: false, ticks: "", fixedrange: true };
  return {
    margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, dragmode: false, hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(element).fontFamily, color: ink },
    hoverlabel: { align: "left", namelength: -1, font: { size: 12 } },
    xaxis: { ...bare, range: xs }, yaxis: { ...bare, range: ys, scaleanchor: "x" },
  };
}

/** What stands in place of a map that could not be drawn. */
export function missing(error, again) {
  const why = error.detail
    ? `The map is missing: ${error.detail}`
    : "The map is missing: the service has no Plotly; install nearfar[maps] where it runs.";
  const button = el("button", { type: "button", class: "link", onclick: again }, "Try again");
  return el("p", { class: "soft nomap" }, why, " ", button);
}

export const key = (shape, text) =>
  el("li", {}, el("span", { class: `key ${shape}`, "aria-hidden": "true" }), text);

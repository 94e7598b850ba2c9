// Plotly, from the service's own copy, made to keep to the page's policy.

const TILE_MAPS = /^\.maplibregl/;

let library = null;

/** Plotly; asked for once, and only where there is a map. */
export function plotly() {
  library ??= load();
  return library;
}

async function load() {
  const { head } = document;
  // Its rules for tile maps, of which there are none here; the policy would refuse them aloud.
  head.appendChild = (node) =>
    TILE_MAPS.test(node.textContent) ? node : Node.prototype.appendChild.call(head, node);
  try {
    await new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = "plotly.min.js";
      script.addEventListener("load", done);
      script.addEventListener("error", () => {
        script.remove();
        failed(new Error("Plotly cannot be loaded"));
      });
      head.append(script);
    });
  } catch (error) {
    library = null;
    throw error;
  } finally {
    delete head.appendChild;
  }
  SVGElement.prototype.setAttribute = setAttribute;
  return window.Plotly;
}

/** Styles as the policy allows them to scripts: by the object model, not by an attribute. */
function setAttribute(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}

// Draws the charts in the colours of the style sheet, and redraws them when these change.
(() => {
  "use strict";
  const PRINTED_WIDTH = 330;
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = Array.from(document.querySelectorAll(".chart"));
  const maps = charts.filter((chart) => chart.classList.contains("plane"));
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  function colour(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  function template() {
    const axis = {
      automargin: true,
      gridcolor: colour("rule"),
      linecolor: colour("soft"),
      zerolinecolor: colour("soft"),
      title: { standoff: 8 },
    };
    return {
      layout: {
        font: { color: colour("ink"), family: getComputedStyle(document.body).fontFamily, size: 12 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") },
        hoverlabel: { align: "left", namelength: -1 },
        xaxis: axis,
        yaxis: axis,
      },
    };
  }

  const inked = (traces) =>
    traces.map((trace, i) => (trace.meta === "ink" ? i : -1)).filter((i) => i >= 0);

  function draw(chart) {
    const figure = JSON.parse(document.getElementById(`${chart.id}-figure`).textContent);
    inked(figure.data).forEach((i) => (figure.data[i].marker.color = colour("ink")));
    figure.layout.template = template();
    return Plotly.newPlot(chart, figure).then(() => {
      if (maps.includes(chart)) chart.on("plotly_legendclick", toggleInAllMaps);
    });
  }

  function toggleInAllMaps({ curveNumber, data }) {
    const { name, visible } = data[curveNumber];
    for (const map of maps) {
      const index = map.data.findIndex((trace) => trace.name === name);
      const toggled = visible === "legendonly" ? true : "legendonly";
      if (index >= 0) Plotly.restyle(map, { visible: toggled }, [index]);
    }
    return false;
  }

  function relayout(changes) {
    for (const chart of charts.filter((chart) => chart.data)) {
      const layout = { ...changes, template: template() };
      const traces = inked(chart.data);
      if (traces.length) {
        Plotly.update(chart, { "marker.color": colour("ink") }, layout, traces);
      } else {
        Plotly.relayout(chart, layout);
      }
    }
  }

  scheme.addEventListener("change", () => relayout({}));
  // Print on white and narrow paper, with all details open.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = Array.from(document.querySelectorAll("details:not([open])"));
    opened.forEach((details) => (details.open = true));
    document.documentElement.style.colorScheme = "light";
    relayout({ width: PRINTED_WIDTH });
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((details) => (details.open = false));
    document.documentElement.style.colorScheme = "";
    relayout({ width: null, autosize: true });
  });
  charts.reduce((before, chart) => before.then(() => draw(chart)), Promise.resolve());
})();

/* chart.js: a plotly figure with its title and its data, as a Streamlit component (components v2) that changes in
   place; Streamlit's own chart is taken down and made anew for every change. The data is {figure: JSON as a string,
   title, alt, height, saves: offers the data, library: path of plotly.js on this server, file: {name, text, number} in
   answer to the trigger "csv"}. */
import { component } from "../core/bridge.js";
import { download } from "../core/download.js";
import { library } from "../core/served.js";

const CHART_CONFIG = { displayModeBar: false, showTips: false };

const waitingCharts = new Set();
let drawingCharts = false;

/** Draws what has changed, a chart per frame: the first one need not wait for the others. */
function drawSoon(chart) {
  waitingCharts.add(chart);
  if (!drawingCharts) drawNext();
}

async function drawNext() {
  const [chart] = waitingCharts;
  waitingCharts.delete(chart);
  drawingCharts = true;
  try {
    drawChart(chart, await library(chart.library, "Plotly"));
  } catch (error) {
    console.error(error);
    chart.plot.textContent = "This chart could not be drawn. Reload the page to try again.";
  }
  requestAnimationFrame(() =>
    setTimeout(() => {
      drawingCharts = false;
      if (waitingCharts.size) drawNext();
    }),
  );
}

/** Draws the newest figure as wide as its column; one of square cells no taller than they then are.
    layout.meta.aspect is their height / width. */
function drawChart(chart, plotly) {
  const width = chart.plot.clientWidth;
  if (chart.gone || !width || (chart.drawn === chart.figure && chart.width === width)) return;
  Object.assign(chart, { drawn: chart.figure, width, plotly });
  const { data, layout } = JSON.parse(chart.figure);
  const { l, r, t, b } = layout.margin,
    cells = layout.meta?.aspect ? (width - l - r) * layout.meta.aspect : Infinity;
  const height = Math.min(layout.height, Math.ceil(cells + t + b));
  chart.plot.style.minHeight = `${height}px`;
  chart.work = plotly.react(chart.plot, data, { ...layout, width, height }, CHART_CONFIG);
}

/** Takes the newest figure, and a file to save. */
function update(chart, data) {
  [chart.figure, chart.library] = [data.figure, data.library];
  chart.title.textContent = data.title;
  chart.title.hidden = !data.title;
  chart.plot.setAttribute("aria-label", data.alt);
  if (!chart.drawn) chart.plot.style.minHeight = `${data.height}px`; // keeps its place until it is drawn
  chart.save.hidden = !data.saves;
  if (data.file && chart.file !== data.file.number) {
    chart.file = data.file.number;
    download(data.file.name, new Blob([data.file.text], { type: "text/csv" }));
  }
  drawSoon(chart);
}

export default component(".av-chart", {
  mount(root, data, tell) {
    const [title, plot, save] = ["figcaption", ".av-chart-plot", "button"].map((part) => root.querySelector(part));
    const chart = { title, plot, save };
    save.addEventListener("click", () => tell.trigger("csv", true));
    chart.resize = new ResizeObserver(() => drawSoon(chart));
    chart.resize.observe(plot);
    update(chart, data);
    return chart;
  },
  update,
  destroy(chart) {
    chart.gone = true;
    chart.resize.disconnect();
    Promise.resolve(chart.work).finally(() => chart.plotly?.purge(chart.plot)); // not while it is still drawn
  },
});

/* chart.js: a plotly figure with its title and its data, as a Streamlit component (components v2) that changes in
   place; Streamlit's own chart is taken down and made anew for every change. The data is a frame: {figure: its length,
   title, alt, height, says: what it is of, name: of its pictures, points: reports a point that is clicked, saves:
   offers the data, library: path of plotly.js on this server, file: [name, text, number] in answer to the trigger
   "csv"}, then the figure in JSON. */
import { bytesOf, component } from "../core/bridge.js";
import { download } from "../core/download.js";
import { readFrame, textOf } from "../core/framing.js";
import { library, libraryHere } from "../core/served.js";
import { onPaper } from "../core/theme.js";
import { figureAt } from "./chart-figure.js";
import { roomOnScreen } from "../core/room.js";
import { forPaper } from "./chart-paper.js";
import { savePicture } from "./chart-picture.js";

const CHART_CONFIG = { displayModeBar: false, showTips: false };

const NEAR = 0.25; // heights of the window, above and below it
const LATEST = 500; // ms after which a chart out of sight is drawn although the browser is busy

const waitingCharts = new Set();
let drawingCharts = false;
let waitingForRest = 0;

/** Knows of each chart whether the reader sees it, or nearly: from the first frame after it came. */
const sight = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) /** @type {any} */ (target).avSeen = isIntersecting;
    if (waitingCharts.size) drawInTurn();
  },
  { rootMargin: `${100 * NEAR}% 0%` },
);
/** Safari has no idle callback. */
const whenIdle = (act) =>
  window.requestIdleCallback ? requestIdleCallback(act, { timeout: LATEST }) : Number(setTimeout(act, LATEST));

/** Draws what has changed, a chart per frame: the first one need not wait for the others. */
function drawSoon(chart) {
  waitingCharts.add(chart);
  drawInTurn();
}

/** What the reader sees is drawn first; the rest when the browser has nothing else to do. */
function drawInTurn() {
  if (drawingCharts) return;
  const next = (seen) => [...waitingCharts].find((chart) => chart.root.avSeen === seen);
  if (next(true)) drawNow(next(true));
  else if (next(false))
    waitingForRest ||= whenIdle(() => {
      waitingForRest = 0;
      if (next(false) && !drawingCharts) drawNow(next(false));
    });
}

async function drawNow(chart) {
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
      if (waitingCharts.size) drawInTurn();
    }),
  );
}

/** How large type is in the place of a chart: larger before a class, and on the whole screen. */
const typeScale = (element) => Number(getComputedStyle(element).getPropertyValue("--av-scale")) || 1;

/** The height for a chart that has the whole screen, or a place on that of a presentation; else 0. */
function roomOf({ plot, root }) {
  const screen = plot.closest(":fullscreen");
  return screen ? innerHeight * 0.94 - (root.offsetHeight - plot.offsetHeight) : roomOnScreen(plot);
}

/** Draws the newest figure as wide as its column, in type as large as the page's. */
function drawChart(chart, plotly) {
  const width = chart.plot.clientWidth,
    [scale, room] = [typeScale(chart.plot), roomOf(chart)],
    place = `${width} ${scale} ${room} ${onPaper()}`;
  if (chart.gone || !width || (chart.drawn === chart.figure && chart.place === place)) return;
  Object.assign(chart, { drawn: chart.figure, place, plotly });
  const figure = onPaper() ? forPaper(chart.figure) : chart.figure,
    { data, layout } = figureAt(figure, width, scale, room);
  chart.plot.style.minHeight = `${layout.height}px`;
  chart.work = plotly.react(chart.plot, data, layout, CHART_CONFIG);
  chart.work.then(() => chart.root.dispatchEvent(new Event("av-drawn", { bubbles: true, composed: true })));
  if (chart.points && !chart.listens) {
    chart.listens = true;
    chart.plot.on("plotly_click", ({ points: [point] }) => chart.tellPoint(point));
  }
}

/** Hands the visitor the chart as a picture. */
function keepPicture(chart, kind) {
  const { color, backgroundColor } = getComputedStyle(document.querySelector("[data-testid=stApp]"));
  const about = { title: chart.title.textContent, says: chart.says, ink: color, paper: backgroundColor };
  savePicture(chart.plotly, (width) => figureAt(chart.figure, width, 1), about, chart.file, kind);
}

/** Takes the newest figure, and a file to save. */
function update(chart, sent) {
  const { header: data, payload } = readFrame(bytesOf(sent));
  Object.assign(chart, {
    figure: textOf(payload.subarray(0, data.figure)),
    library: data.library,
    says: data.says,
    file: data.name,
    points: data.points,
  });
  chart.title.textContent = data.title;
  chart.title.hidden = !data.title;
  chart.plot.setAttribute("aria-label", data.alt);
  if (!chart.drawn) chart.plot.style.minHeight = `${data.height}px`; // keeps its place until it is drawn
  chart.csv.hidden = !data.saves;
  const [name, text, number] = data.file ?? [];
  if (data.file && chart.saved !== number) {
    chart.saved = number;
    download(name, new Blob([text], { type: "text/csv" }));
  }
  drawSoon(chart);
}

export default component(".av-chart", {
  mount(root, data, tell) {
    const one = (part) => root.querySelector(part);
    const chart = { root, title: one("figcaption"), plot: one(".av-chart-plot"), csv: one("[data-kind=csv]") };
    chart.csv.addEventListener("click", () => tell.trigger("csv", true));
    for (const kind of ["svg", "png"])
      one(`[data-kind=${kind}]`).addEventListener("click", () => chart.plotly && keepPicture(chart, kind));
    chart.tellPoint = ({ x, y, customdata = null }) => tell.trigger("point", { x, y, about: customdata });
    chart.again = () => drawSoon(chart);
    addEventListener("av-scale", chart.again);
    chart.forPaper = () => libraryHere("Plotly") && drawChart(chart, libraryHere("Plotly")); // paper waits for nothing
    addEventListener("av-paper", chart.forPaper);
    chart.resize = new ResizeObserver(() => drawSoon(chart));
    chart.resize.observe(chart.plot);
    sight.observe(root);
    update(chart, data);
    return chart;
  },
  update,
  destroy(chart) {
    chart.gone = true;
    chart.resize.disconnect();
    sight.unobserve(chart.root);
    waitingCharts.delete(chart);
    removeEventListener("av-scale", chart.again);
    removeEventListener("av-paper", chart.forPaper);
    Promise.resolve(chart.work).finally(() => chart.plotly?.purge(chart.plot)); // not while it is still drawn
  },
});

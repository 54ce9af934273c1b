/* chart.js: a plotly figure as a Streamlit component (components v2) that changes in place; Streamlit's own chart is made anew for every change.
   The data is {figure: JSON as a string, alt, library: path of plotly.js on this server}. */
const charts = new WeakMap();
const CHART_CONFIG = { displayModeBar: false, showTips: false };

/** Where this app is served: its scripts lie in static/js below. */
const appRoot = () => new URL("../../", document.querySelector('script[src*="static/js/"]').src);

/** plotly.js, loaded once for all charts of the tab. */
function plotlyLibrary(path) {
  return window.attnvizPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(path, appRoot());
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      window.attnvizPlotly = undefined; // the next chart tries again
      reject(new Error("plotly.js did not load"));
    };
    document.head.append(script);
  });
}

/** Draws the newest figure as wide as its column. */
async function drawChart(chart) {
  let plotly;
  try {
    plotly = await plotlyLibrary(chart.library);
  } catch {
    chart.host.textContent = "The chart’s library did not arrive. Reload the page to try again.";
    return;
  }
  const width = chart.host.clientWidth;
  if (chart.gone || !width || (chart.drawn === chart.figure && chart.width === width)) return;
  [chart.drawn, chart.width] = [chart.figure, width];
  const { data, layout } = JSON.parse(chart.figure);
  plotly.react(chart.host, data, { ...layout, width }, CHART_CONFIG);
}

function mountChart(host) {
  const chart = { host };
  chart.resize = new ResizeObserver(() => drawChart(chart));
  chart.resize.observe(host);
  return chart;
}

export default function chartComponent({ data, parentElement }) {
  let chart = charts.get(parentElement);
  if (!chart) charts.set(parentElement, chart = mountChart(parentElement.querySelector(".av-chart")));
  [chart.figure, chart.library] = [data.figure, data.library];
  chart.host.setAttribute("aria-label", data.alt);
  chart.host.style.minHeight = `${data.height}px`;
  drawChart(chart);
  return () => {
    chart.gone = true;
    chart.resize.disconnect();
    window.Plotly?.purge(chart.host);
    charts.delete(parentElement);
  };
}

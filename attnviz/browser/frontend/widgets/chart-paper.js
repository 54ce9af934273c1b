/* chart-paper.js: a plotly figure as it is drawn on paper: one of the dark theme in the colours of the light one. */
import { ON_PAPER } from "../core/paper-colours.js";
import { luminance } from "../core/theme.js";

const COLOURS = /colou?r(way|scale)?$/; // what plotly calls them
const TINT = /^rgba\((\d+),(\d+),(\d+),([\d.]+)\)$/;
const INKS = ["#000000", "#FFFFFF"]; // in cells, by what contrasts more: figures/theme.py

const hex = (parts) => `#${parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
const parts = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

/** A colour, or what holds colours, with those of the light theme. */
function lightened(value) {
  if (Array.isArray(value)) return value.map(lightened);
  if (typeof value !== "string") return value;
  const tint = TINT.exec(value);
  if (!tint) return ON_PAPER[value.toLowerCase()] ?? value;
  const light = ON_PAPER[hex(tint.slice(1, 4).map(Number))];
  return light ? `rgba(${parts(light)},${tint[4]})` : value;
}

/** A part of a figure; only what plotly reads as colours changes: a label may be any text. */
function inLight(part, name = "") {
  if (COLOURS.test(name) && (typeof part !== "object" || Array.isArray(part))) return lightened(part);
  if (Array.isArray(part)) return part.map((one) => inLight(one));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([key, one]) => [key, inLight(one, key)]));
}

/** The colour of a cell, by its place of 0 to 1 on a colour scale. */
function fillAt(scale, place) {
  const next = scale.findIndex(([at]) => at > place);
  if (next < 1) return parts(scale.at(next ? -1 : 0)[1]);
  const [[from, before], [to, after]] = [scale[next - 1], scale[next]];
  return parts(before).map((part, i) => part + ((parts(after)[i] - part) * (place - from)) / (to - from));
}

/** The inks of what is written into cells, by their new colours. */
function inksOn({ z, zmin, zmax, colorscale }, { x, y, textfont }) {
  return textfont.color.map((ink, i) => {
    const value = z[y[i]]?.[x[i]];
    if (!INKS.includes(ink) || value === null || value === undefined) return ink;
    return INKS[luminance(fillAt(colorscale, (value - zmin) / (zmax - zmin))) > 0.179 ? 0 : 1];
  });
}

/**
 * A figure in the colours of the light theme; one that has them stays as it is.
 * @param {string} json
 */
export function forPaper(json) {
  const figure = JSON.parse(json);
  if (!ON_PAPER[figure.layout.font.color.toLowerCase()]) return json;
  const { data, layout } = inLight(figure);
  const cells = data.find(({ type }) => type === "heatmap");
  for (const trace of data)
    if (cells && trace.mode === "text" && Array.isArray(trace.textfont.color))
      trace.textfont.color = inksOn(cells, trace);
  return JSON.stringify({ data, layout });
}

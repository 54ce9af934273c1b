/* screen.js: the view's place on the page: its elements, colours and sizes, and where each picture has put its parts.
 */
import { onPaper, readTheme } from "../core/theme.js";
import { markWhole } from "./whole.js";

export class Screen {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {Record<string, any>} elements by name */
    this.node = {};
    this.theme = readTheme(root);
    /** device pixels per CSS pixel */
    this.ratio = 1;
    /** @type {"wide" | "mid" | "phone"} on a phone a picture sets its own height when it is painted */
    this.kind = "wide";
    /** whether the text below the matrix stands under its legend, not beside it */
    this.stacked = false;
    /** @type {Record<string, {w: number, h: number}>} CSS pixels of each picture */
    this.box = {};
    /** @type {Record<string, any>} layouts of the pictures, once painted */
    this.lay = {};
  }

  readTheme() {
    this.theme = readTheme(this.root);
  }

  /** All sizes as text, to be compared. */
  sizes() {
    return JSON.stringify([this.box, this.ratio]);
  }
}

/** Distance of an element from the top of what scrolls around the root, so that it does not depend on the scroll. */
function offsetOf(element, root) {
  const { top } = element.getBoundingClientRect();
  for (let e = root; e; e = e.parentElement || e.getRootNode().host) {
    if (e !== root && e.scrollHeight > e.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(e).overflowY))
      return top - e.getBoundingClientRect().top + e.scrollTop;
  }
  return top + scrollY;
}

export const TABLE = 500; // px: the table of the entropies with its changes, each row on a line
const LEAST_BESIDE = 150 + TABLE + 70; // and before it the legend and the names of the rows
const LEAST_PRESENTED = 524; // px: all heads above the panel, and a matrix that is not much higher than the screen
const PRINTED = 440; // px of a sheet's 1032: all heads and the matrix, with room for what stands above
const NARROWEST = 700; // px that a presented view keeps: below it is a phone's

/**
 * Reads the width and says what kind of page it is; on projectors, and while it is presented, everything grows.
 *
 * @param {Screen} screen
 * @returns {number} CSS pixels
 */
export function measureWidth(screen) {
  const { root, theme } = screen;
  const outer = root.getBoundingClientRect().width || 1200;
  const grown = Math.min(3, outer / 1400, innerHeight / 900);
  const large = outer < 1500 || innerHeight < 900 ? 1 : Math.round(Math.max(1, grown) * 100) / 100;
  const zoom = Math.max(large, outer / theme.scale < NARROWEST ? 1 : theme.scale);
  if (root.style.zoom !== String(zoom)) root.style.zoom = String(zoom);
  const width = Math.round(outer / zoom);
  screen.kind = width >= 1080 ? "wide" : width >= 700 ? "mid" : "phone";
  screen.ratio = Math.min(4, (window.devicePixelRatio || 1) * zoom);
  root.classList.toggle("av-presented", theme.scale > 1);
  if (!root.classList.contains(`av-${screen.kind}`)) {
    root.classList.remove("av-wide", "av-mid", "av-phone");
    root.classList.add(`av-${screen.kind}`);
  }
  return width;
}

/**
 * Gives the parts of the full view their sizes, and reads what comes out.
 *
 * @param {Screen} screen
 * @param {HTMLElement} panel
 */
export function measureParts(screen, width, panel) {
  const { root, node, kind } = screen;
  const gap = Math.round(Math.max(26, Math.min(44, width * 0.028)));
  const zoom = Number(root.style.zoom) || 1;
  const presented = screen.theme.scale > 1 && kind === "mid";
  const heads = presented ? 270 : width >= 1200 ? 236 : 224;
  const whole = markWhole(root);
  const printed = onPaper() ? Math.max(PRINTED, panel.offsetHeight + 60 + 30 * (screen.lay.grid?.ny ?? 6)) : 0;
  const least = whole ? 0 : presented ? LEAST_PRESENTED : printed || 560;
  const room = printed || (innerHeight - offsetOf(node.main, root)) / zoom - 60;
  const height = Math.round(Math.max(least, Math.min(820, room)));
  const lines = presented ? 240 : Math.max(280, Math.min(420, width * 0.27));
  const matrix = Math.min(width - heads - 2 * gap - lines, presented ? height - 40 : height + 10);
  const set = (name, size) => {
    if (root.style.getPropertyValue(`--${name}`) !== `${size}px`) root.style.setProperty(`--${name}`, `${size}px`);
  };
  for (const [name, size] of Object.entries({ gap, heads, matrix, height })) set(name, size);
  set("panel", panel.offsetHeight); // as high as the others let it be
  if (kind !== "phone") node.gridStage.style.height = node.matrix.style.height = "";
  stack(screen, kind === "phone" || node.foot.clientWidth < LEAST_BESIDE);
  node.legend.style.height = "38px";
  const box = (e) => ({ w: e.clientWidth, h: e.clientHeight });
  const { gridStage, lines: linesStage, why, shareBox, foot } = node;
  const boxes = {
    grid: box(gridStage),
    matrix: box(node.matrix),
    lines: box(linesStage),
    why: box(why),
    share: box(shareBox),
    foot: box(foot),
  };
  // what is out of sight keeps its size
  const seen = Object.entries(boxes).filter(([name, { w, h }]) => !whole || (w && h) || !screen.box[name]);
  screen.box = { ...screen.box, ...Object.fromEntries(seen) };
}

/** @param {Screen} screen */
export function stack(screen, stacked) {
  screen.stacked = stacked;
  screen.node.foot.classList.toggle("stack", stacked);
}

/* save.js: the view as files: one picture of all its parts, the head's weights as a table, and what only the server can write. */
import { el } from "../core/dom.js";
import { download } from "../core/download.js";
import { toCsv, toPng, toSvg } from "./export.js";
import { layoutGrid, paintGridOver } from "./paint-grid.js";
import { layoutMatrix, paintLegend, paintMatrix, paintMatrixOver } from "./paint-matrix.js";
import { layoutLines, paintLinesBase, paintLinesOver } from "./paint-lines.js";
import { paintShare, paintWhy } from "./paint-why.js";

const PICTURE = { width: 1360, height: 800, margin: 32, heads: 236, gap: 40, lines: 372, top: 96, bottom: 744 };

/** Draws a part with its own origin and title. */
function picturePart(g, theme, x, y, title, draw) {
  g.save();
  g.translate(x, y);
  g.font = `600 15px ${theme.sans}`;
  g.textAlign = "left";
  g.textBaseline = "alphabetic";
  g.fillStyle = theme.ink;
  g.fillText(title, 0, 0);
  g.translate(0, 14);
  draw(g);
  g.restore();
}

/** Small text in lines of at most `width`, the first at y. */
function pictureText(g, theme, text, y, width) {
  g.font = `400 13px ${theme.sans}`;
  g.textAlign = "left";
  g.fillStyle = theme.ink2;
  let line = "";
  for (const word of [...text.split(" "), null]) {
    if (word !== null && (!line || g.measureText(`${line} ${word}`).width <= width)) {
      line += (line ? " " : "") + word;
      continue;
    }
    g.fillText(line, 0, y);
    y += 17;
    line = word;
  }
}

/** Grid, matrix, curves and products side by side, as they stand in the view, with its sentence above. */
export function paintPicture(view, g) {
  const p = PICTURE,
    { theme, scene, state, model, curves } = view,
    heads = p.margin + p.heads + p.gap,
    right = p.width - p.margin - p.lines,
    matrix = right - p.gap - heads;
  g.font = `400 20px ${theme.serif}`;
  g.textAlign = "left";
  g.textBaseline = "alphabetic";
  g.fillStyle = theme.ink1;
  g.fillText(view.node.say.textContent, p.margin, 44);
  picturePart(g, theme, p.margin, p.top, "All heads", () => {
    const lay = layoutGrid(p.heads, 470, model.layersN, model.headsN, view.order(), {
      bars: !view.score(state.tint),
      across: view.lay.grid.across,
    });
    for (const k of view.headList()) view.paintHead(g, lay, k, null);
    paintGridOver(g, lay, theme, {
      head: view.head(),
      hover: null,
      extra: state.heads.map(([l, h]) => l * model.headsN + h),
    });
    pictureText(g, theme, view.scoreGloss(), lay.h + 20, p.heads);
  });
  picturePart(g, theme, heads, p.top, view.node.matrixTitle.textContent, () => {
    if (!scene.nq || !scene.nk) return;
    const lay = layoutMatrix(g, matrix, p.bottom - p.top - 66, scene.queries, scene.keys, view.visible(), theme),
      { q, k } = scene.focus;
    paintMatrix(g, lay, scene, theme);
    paintMatrixOver(g, lay, scene, theme);
    g.translate(lay.left, lay.top + lay.height + 14);
    paintLegend(
      g,
      theme,
      236,
      q >= 0 && k >= 0 ? (scene.change || scene.a)[q * scene.nk + k] : NaN,
      !!scene.change,
      state.colour,
    );
  });
  picturePart(g, theme, right, p.top, "Who looks at whom", () => {
    if (!curves.nq || !curves.nk) return;
    const lay = layoutLines(g, p.lines, 430, curves.queries, curves.keys, theme, {
      horizontal: view.lay.lines.horizontal,
      rtl: view.lay.lines.rtl,
      values: true,
    });
    paintLinesBase(g, lay, curves, theme, curves.focus.queries.length + curves.focus.keys.length > 0);
    paintLinesOver(g, lay, curves, theme);
  });
  if (!view.pair()) return;
  picturePart(g, theme, right, p.top + 478, "Why this weight", () => {
    const { q, k } = scene.focus;
    paintWhy(g, theme, p.lines, 108, view.parts, null);
    g.translate(0, 124);
    paintShare(g, theme, p.lines, scene.a.subarray(q * scene.nk, (q + 1) * scene.nk), scene.keys, k);
  });
}

/** The weights in view as CSV, as shown: with joined words and hidden tokens if those are on. */
export function headCsv(view) {
  const { a, queries, keys } = view.scene;
  return toCsv(
    a,
    queries.map((t) => t.label),
    keys.map((t) => t.label),
  );
}

/** The button "Save" and its list. */
export function saveMenu(view) {
  const name = () => `attnviz-${view.model.name || "view"}-layer${view.state.layer}-head${view.state.head}`,
    draw = (g) => paintPicture(view, g);
  const options = () => ({ title: view.node.say.textContent, background: view.theme.paper });
  const actions = [
    [
      "Picture, SVG",
      "vectors, text stays text",
      () =>
        download(
          name() + ".svg",
          new Blob([toSvg(draw, PICTURE.width, PICTURE.height, options())], { type: "image/svg+xml" }),
        ),
    ],
    [
      "Picture, PNG",
      "pixels, at twice the size",
      () =>
        toPng(draw, PICTURE.width, PICTURE.height, { scale: 2, ...options() }).then((blob) =>
          download(name() + ".png", blob),
        ),
    ],
    [
      "Weights, CSV",
      "this head as a table",
      () => download(name() + ".csv", new Blob([headCsv(view)], { type: "text/csv" })),
    ],
    ...(view.onExport
      ? [
          ["Whole trace, NPZ", "all arrays, for NumPy", () => view.onExport("npz")],
          ["Interactive page, HTML", "one file, works offline", () => view.onExport("html")],
        ]
      : []),
  ];
  const close = () => {
    list.hidden = true;
    button.setAttribute("aria-expanded", "false");
  };
  const item = ([title, gloss, run]) =>
    el(
      "button",
      {
        type: "button",
        role: "menuitem",
        tabindex: "-1",
        onclick: () => {
          close();
          button.focus();
          run();
        },
      },
      title,
      el("small", {}, gloss),
    );
  const items = actions.map(item);
  const list = el("div", { role: "menu", "aria-label": "Save as", hidden: true }, items);
  const button = el(
    "button",
    {
      type: "button",
      class: "av-button",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      onclick: () => {
        if (!list.hidden) return close();
        list.hidden = false;
        button.setAttribute("aria-expanded", "true");
        items[0].focus();
      },
    },
    "Save …",
  );
  return el(
    "div",
    {
      class: "av-menu",
      onkeydown: (e) => {
        const at = items.indexOf(e.target),
          step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
        if (e.key === "Escape" && !list.hidden) {
          close();
          button.focus();
          e.stopPropagation();
        }
        if (!step || list.hidden) return;
        e.preventDefault();
        items[(at + step + items.length) % items.length].focus();
      },
      onfocusout: (e) => {
        if (!list.hidden && e.relatedTarget && !list.parentNode.contains(e.relatedTarget)) close();
      },
    },
    button,
    list,
  );
}

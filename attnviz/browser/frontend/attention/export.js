// Pictures and tables of the view as files. Painters draw on a canvas context or, unchanged, on SvgContext.

const svgEscapes = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};
// XML 1.0 has no place for these, not even escaped: control characters, lone surrogates, non-characters
const svgForbidden =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const svgText = (text) =>
  String(text)
    .replace(svgForbidden, "\ufffd")
    .replace(/[&<>"\t\n\r]/g, (c) => svgEscapes[c]);
const svgNumber = (x) => String(Math.round(x * 100) / 100 || 0);

/** An XML element as text; every attribute and every text child is escaped here and nowhere else. */
function svgSerialise({ name, attributes, children }) {
  const written = Object.entries(attributes)
    .filter(([, value]) => value != null)
    .map(([key, value]) => ` ${key}="${svgText(value)}"`)
    .join("");
  if (!children.length) return `<${name}${written}/>`;
  return `<${name}${written}>${children.map((child) => (typeof child === "string" ? svgText(child) : svgSerialise(child))).join("")}</${name}>`;
}

const svgNode = (name, attributes = {}, children = []) => ({ name, attributes, children });

/** The part of CanvasRenderingContext2D that painters use, written down as SVG. */
export class SvgContext {
  /** width and height in CSS pixels; `measure` is a real 2D context to ask for text widths (a guess without one). */
  constructor(width, height, measure = null) {
    Object.assign(this, {
      isSvg: true,
      width,
      height,
      measure,
      fillStyle: "#000",
      strokeStyle: "#000",
      lineWidth: 1,
      lineCap: "butt",
      lineJoin: "miter",
      globalAlpha: 1,
      font: "10px sans-serif",
      textAlign: "start",
      textBaseline: "alphabetic",
      imageSmoothingEnabled: true,
    });
    this.dash = [];
    this.matrix = [1, 0, 0, 1, 0, 0];
    this.path = "";
    this.at = [0, 0];
    this.clipId = null;
    this.clips = [];
    this.saved = [];
    this.body = [];
  }

  save() {
    const {
      fillStyle,
      strokeStyle,
      lineWidth,
      lineCap,
      lineJoin,
      globalAlpha,
      font,
      textAlign,
      textBaseline,
      imageSmoothingEnabled,
      dash,
      matrix,
      clipId,
    } = this;
    this.saved.push({
      fillStyle,
      strokeStyle,
      lineWidth,
      lineCap,
      lineJoin,
      globalAlpha,
      font,
      textAlign,
      textBaseline,
      imageSmoothingEnabled,
      dash,
      matrix,
      clipId,
    });
  }

  restore() {
    Object.assign(this, this.saved.pop());
  }

  translate(x, y) {
    this.transform(1, 0, 0, 1, x, y);
  }
  scale(x, y) {
    this.transform(x, 0, 0, y, 0, 0);
  }
  rotate(angle) {
    this.transform(Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle), 0, 0);
  }
  setTransform(a, b, c, d, e, f) {
    this.matrix = typeof a === "object" ? [a.a, a.b, a.c, a.d, a.e, a.f] : [a, b, c, d, e, f];
  }
  resetTransform() {
    this.matrix = [1, 0, 0, 1, 0, 0];
  }
  transform(a, b, c, d, e, f) {
    const [A, B, C, D, E, F] = this.matrix;
    this.matrix = [A * a + C * b, B * a + D * b, A * c + C * d, B * c + D * d, A * e + C * f + E, B * e + D * f + F];
  }

  getTransform() {
    const [a, b, c, d, e, f] = this.matrix;
    return { a, b, c, d, e, f };
  }

  setLineDash(dash) {
    this.dash = [...dash];
  }
  getLineDash() {
    return [...this.dash];
  }

  point(x, y) {
    const [a, b, c, d, e, f] = this.matrix;
    return `${svgNumber(a * x + c * y + e)} ${svgNumber(b * x + d * y + f)}`;
  }

  beginPath() {
    this.path = "";
  }
  closePath() {
    this.path += "Z";
  }
  moveTo(x, y) {
    this.path += `M${this.point(x, y)}`;
    this.at = [x, y];
  }
  lineTo(x, y) {
    this.path += `${this.path ? "L" : "M"}${this.point(x, y)}`;
    this.at = [x, y];
  }
  bezierCurveTo(ax, ay, bx, by, x, y) {
    if (!this.path) this.moveTo(ax, ay);
    this.path += `C${this.point(ax, ay)} ${this.point(bx, by)} ${this.point(x, y)}`;
    this.at = [x, y];
  }

  quadraticCurveTo(ax, ay, x, y) {
    if (!this.path) this.moveTo(ax, ay);
    this.path += `Q${this.point(ax, ay)} ${this.point(x, y)}`;
    this.at = [x, y];
  }

  rect(x, y, w, h) {
    this.moveTo(x, y);
    this.lineTo(x + w, y);
    this.lineTo(x + w, y + h);
    this.lineTo(x, y + h);
    this.closePath();
  }

  /** Quarter circles as cubic curves, which every transform maps exactly; off by at most 0.03 % of the radius. */
  arc(x, y, radius, start, end, counterclockwise = false) {
    const turn = 2 * Math.PI;
    let sweep = counterclockwise ? start - end : end - start;
    sweep = sweep >= turn ? turn : ((sweep % turn) + turn) % turn;
    const steps = Math.max(1, Math.ceil(sweep / (Math.PI / 2) - 1e-9)),
      step = (counterclockwise ? -sweep : sweep) / steps,
      k = (4 / 3) * Math.tan(step / 4) * radius;
    const place = (angle) => [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
    this.lineTo(...place(start));
    for (let i = 0; i < steps; i++) {
      const from = start + i * step,
        to = from + step,
        [ax, ay] = place(from),
        [bx, by] = place(to);
      this.bezierCurveTo(
        ax - k * Math.sin(from),
        ay + k * Math.cos(from),
        bx + k * Math.sin(to),
        by - k * Math.cos(to),
        bx,
        by,
      );
    }
  }

  /** Radii as in canvas: one number, or [all], [both diagonals], … clockwise from the top left. */
  roundRect(x, y, w, h, radii = 0) {
    const list = [radii].flat(),
      most = Math.min(Math.abs(w), Math.abs(h)) / 2;
    const [tl, tr, br, bl] = [
      0,
      list.length > 1 ? 1 : 0,
      list.length > 2 ? 2 : 0,
      list.length > 3 ? 3 : list.length > 1 ? 1 : 0,
    ].map((i) => Math.min(most, list[i]));
    const quarter = Math.PI / 2;
    this.moveTo(x + tl, y);
    this.arc(x + w - tr, y + tr, tr, -quarter, 0);
    this.arc(x + w - br, y + h - br, br, 0, quarter);
    this.arc(x + bl, y + h - bl, bl, quarter, 2 * quarter);
    this.arc(x + tl, y + tl, tl, 2 * quarter, 3 * quarter);
    this.closePath();
    this.moveTo(x, y);
  }

  get alpha() {
    return this.globalAlpha === 1 ? null : svgNumber(this.globalAlpha);
  }

  add(node) {
    const last = this.body.at(-1);
    if (!this.clipId) this.body.push(node);
    else if (last?.clipId === this.clipId) last.children.push(node);
    else this.body.push({ ...svgNode("g", { "clip-path": `url(#${this.clipId})` }, [node]), clipId: this.clipId });
  }

  clip() {
    const id = `clip${this.clips.length}`;
    this.clips.push(
      svgNode("clipPath", { id, "clip-path": this.clipId && `url(#${this.clipId})` }, [
        svgNode("path", { d: this.path || "M0 0" }),
      ]),
    );
    this.clipId = id;
  }

  fill() {
    if (this.path) this.add(svgNode("path", { d: this.path, fill: this.fillStyle, opacity: this.alpha }));
  }

  stroke() {
    const [a, b, c, d] = this.matrix,
      size = Math.sqrt(Math.abs(a * d - b * c));
    if (this.path)
      this.add(
        svgNode("path", {
          d: this.path,
          fill: "none",
          stroke: this.strokeStyle,
          "stroke-width": svgNumber(this.lineWidth * size),
          opacity: this.alpha,
          "stroke-linecap": this.lineCap === "butt" ? null : this.lineCap,
          "stroke-linejoin": this.lineJoin === "miter" ? null : this.lineJoin,
          "stroke-dasharray": this.dash.length ? this.dash.map((x) => svgNumber(x * size)).join(" ") : null,
        }),
      );
  }

  /** A shape of its own, which leaves the current path alone. */
  apart(draw) {
    const { path, at } = this;
    this.path = "";
    draw();
    Object.assign(this, { path, at });
  }

  fillRect(x, y, w, h) {
    this.apart(() => {
      this.rect(x, y, w, h);
      this.fill();
    });
  }
  strokeRect(x, y, w, h) {
    this.apart(() => {
      this.rect(x, y, w, h);
      this.stroke();
    });
  }

  /** Painters clear the whole picture before they draw it: nothing has been written down by then. */
  clearRect(x, y, w, h) {
    if (x <= 0 && y <= 0 && x + w >= this.width && y + h >= this.height) this.body = [];
  }

  measureText(text) {
    if (!this.measure) return { width: [...text].length * 0.55 * svgFont(this.font).size };
    this.measure.font = this.font;
    return this.measure.measureText(text);
  }

  /** How far below y the baseline lies; written into y, because few programs know dominant-baseline. */
  baseline() {
    if (!this.measure)
      return (
        { middle: 0.29, top: 0.79, hanging: 0.79, bottom: -0.21, ideographic: -0.21 }[this.textBaseline] *
          svgFont(this.font).size || 0
      );
    const above = (baseline) => {
      this.measure.textBaseline = baseline;
      return this.measure.measureText("H").actualBoundingBoxAscent;
    };
    this.measure.font = this.font;
    return above("alphabetic") - above(this.textBaseline);
  }

  fillText(text, x, y) {
    const [a, b, c, d, e, f] = this.matrix,
      { style, weight, size, family } = svgFont(this.font),
      moved = y + this.baseline();
    const turned = a !== 1 || b || c || d !== 1,
      fixed = this.measure && [...String(text)].length > 1; // as wide in every font
    this.add(
      svgNode(
        "text",
        {
          x: svgNumber(turned ? x : x + e),
          y: svgNumber(turned ? moved : moved + f),
          transform: turned
            ? `matrix(${[a, b, c, d].map((n) => String(Math.round(n * 1e5) / 1e5)).join(" ")} ${svgNumber(e)} ${svgNumber(f)})`
            : null,
          "font-family": family,
          "font-size": svgNumber(size),
          "font-weight": weight === "400" ? null : weight,
          "font-style": style === "normal" ? null : style,
          "text-anchor": { center: "middle", right: "end", end: "end" }[this.textAlign] ?? null,
          fill: this.fillStyle,
          opacity: this.alpha,
          "xml:space": "preserve",
          textLength: fixed ? svgNumber(this.measureText(text).width) : null,
          lengthAdjust: fixed ? "spacingAndGlyphs" : null,
        },
        [String(text)],
      ),
    );
  }

  drawImage(image, x, y, w = image.width, h = image.height) {
    const [a, b, c, d, e, f] = this.matrix;
    this.add(
      svgNode("image", {
        x,
        y,
        width: w,
        height: h,
        transform: `matrix(${[a, b, c, d, e, f].join(" ")})`,
        preserveAspectRatio: "none",
        opacity: this.alpha,
        style: this.imageSmoothingEnabled ? null : "image-rendering:pixelated",
        href: image.toDataURL("image/png"),
      }),
    );
  }

  /** The whole document, with a title that screen readers say. */
  toString(title = "", background = null) {
    const size = { width: svgNumber(this.width), height: svgNumber(this.height) };
    const children = [svgNode("title", {}, [title])];
    if (this.clips.length) children.push(svgNode("defs", {}, this.clips));
    if (background) children.push(svgNode("rect", { ...size, fill: background }));
    const root = svgNode(
      "svg",
      { xmlns: "http://www.w3.org/2000/svg", ...size, viewBox: `0 0 ${size.width} ${size.height}`, role: "img" },
      [...children, ...this.body],
    );
    return `<?xml version="1.0" encoding="UTF-8"?>\n${svgSerialise(root)}\n`;
  }
}

/** Parts of a canvas font: "italic 600 13px Source Sans, sans-serif". */
function svgFont(font) {
  const [, before, size, family] = /^(.*?)\b([\d.]+)px(?:\/\S+)?\s+(.*)$/.exec(font) || ["", "", "10", "sans-serif"];
  return {
    style: /italic|oblique/.exec(before)?.[0] ?? "normal",
    weight: /\b(\d{3}|bold)\b/.exec(before)?.[0] ?? "400",
    size: Number(size),
    family,
  };
}

/** draw(context) as an SVG document of width × height CSS pixels; its text stays text. */
export function toSvg(draw, width, height, { title = "", background = null } = {}) {
  const g = new SvgContext(
    width,
    height,
    typeof document === "undefined" ? null : document.createElement("canvas").getContext("2d"),
  );
  draw(g);
  return g.toString(title, background);
}

/** draw(context) as a PNG blob, `scale` pixels to a CSS pixel. */
export function toPng(draw, width, height, { scale = 2, background = null } = {}) {
  const canvas = document.createElement("canvas"),
    g = canvas.getContext("2d");
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  g.setTransform(scale, 0, 0, scale, 0, 0);
  if (background) {
    g.fillStyle = background;
    g.fillRect(0, 0, width, height);
  }
  draw(g);
  return new Promise((done, fail) =>
    canvas.toBlob(
      (blob) => (blob ? done(blob) : fail(new Error(`${canvas.width} × ${canvas.height} pixels are too many`))),
      "image/png",
    ),
  );
}

/**
 * Weights as a CSV table (RFC 4180, UTF-8 with the mark that Excel needs): a row per query, a column per key.
 * Labels carry their position, "3 cat": they stay apart, and none can start a formula.
 */
export function toCsv(values, queryLabels, keyLabels = queryLabels) {
  const numbered = (label, i) => csvCell(`${i} ${label}`),
    n = keyLabels.length;
  const rows = [["query", ...keyLabels.map(numbered)]];
  queryLabels.forEach((label, i) =>
    rows.push([numbered(label, i), ...Array.from({ length: n }, (_, j) => csvNumber(values[i * n + j]))]),
  );
  return "\ufeff" + rows.map((row) => row.join(",") + "\r\n").join("");
}

/** Nine digits: every float32 reads back exactly. */
const csvNumber = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(9))) : "NaN");

function csvCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

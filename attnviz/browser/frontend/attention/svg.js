/* svg.js: a canvas context that writes SVG: painters draw on it unchanged. */
import { arcCurves, cornerRadii } from "./svg-path.js";
import { svgFont, svgNode, svgNumber, svgSerialise } from "./svg-xml.js";

const fine = (n) => String(Math.round(n * 1e5) / 1e5);

/** What `save` keeps. */
const SAVED = [
  ...["fillStyle", "strokeStyle", "lineWidth", "lineCap", "lineJoin", "globalAlpha", "font", "textAlign"],
  ...["textBaseline", "imageSmoothingEnabled", "dash", "matrix", "clipId"],
];

/** The part of CanvasRenderingContext2D that painters use, written down as SVG. */
export class SvgContext {
  isSvg = true;
  fillStyle = "#000";
  strokeStyle = "#000";
  lineWidth = 1;
  lineCap = "butt";
  lineJoin = "miter";
  globalAlpha = 1;
  font = "10px sans-serif";
  textAlign = "start";
  textBaseline = "alphabetic";
  imageSmoothingEnabled = true;
  /** @type {number[]} */
  dash = [];
  matrix = [1, 0, 0, 1, 0, 0];
  path = "";
  at = [0, 0];
  /** @type {string | null} */
  clipId = null;
  clips = [];
  saved = [];
  body = [];

  /**
   * @param {number} width in CSS pixels
   * @param {number} height
   * @param {CanvasRenderingContext2D | null} measure a real context to ask for text widths (a guess without one)
   */
  constructor(width, height, measure = null) {
    this.width = width;
    this.height = height;
    this.measure = measure;
  }

  save() {
    this.saved.push(Object.fromEntries(SAVED.map((name) => [name, this[name]])));
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

  arc(x, y, radius, start, end, counterclockwise = false) {
    const [from, ...curves] = arcCurves(x, y, radius, start, end, counterclockwise);
    this.lineTo(...from);
    for (const curve of curves) this.bezierCurveTo(...curve);
  }

  /** Radii as in canvas: one number, or [all], [both diagonals], … clockwise from the top left. */
  roundRect(x, y, w, h, radii = 0) {
    const [tl, tr, br, bl] = cornerRadii([radii].flat(), Math.min(Math.abs(w), Math.abs(h)) / 2);
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
          transform: turned ? `matrix(${[a, b, c, d].map(fine).join(" ")} ${svgNumber(e)} ${svgNumber(f)})` : null,
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

/* svg-xml.js: elements of an SVG document as text. No DOM. */

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
const svgForbidden = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;
const svgText = (text) =>
  String(text)
    .replace(svgForbidden, "\ufffd")
    .replace(/[&<>"\t\n\r]/g, (c) => svgEscapes[c]);
export const svgNumber = (x) => String(Math.round(x * 100) / 100 || 0);

/** An XML element as text; every attribute and every text child is escaped here and nowhere else. */
export function svgSerialise({ name, attributes, children }) {
  const written = Object.entries(attributes)
    .filter(([, value]) => value != null)
    .map(([key, value]) => ` ${key}="${svgText(value)}"`)
    .join("");
  if (!children.length) return `<${name}${written}/>`;
  const inner = children.map((child) => (typeof child === "string" ? svgText(child) : svgSerialise(child)));
  return `<${name}${written}>${inner.join("")}</${name}>`;
}

export const svgNode = (name, attributes = {}, children = []) => ({ name, attributes, children });

/** Parts of a canvas font: "italic 600 13px Source Sans, sans-serif". */
export function svgFont(font) {
  const [, before, size, family] = /^(.*?)\b([\d.]+)px(?:\/\S+)?\s+(.*)$/.exec(font) || ["", "", "10", "sans-serif"];
  return {
    style: /italic|oblique/.exec(before)?.[0] ?? "normal",
    weight: /\b(\d{3}|bold)\b/.exec(before)?.[0] ?? "400",
    size: Number(size),
    family,
  };
}

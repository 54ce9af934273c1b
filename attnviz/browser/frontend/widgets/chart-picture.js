/* chart-picture.js: a chart as a picture to keep, SVG or PNG: its title above it, and below it a line that says what it
   is of. */
import { svg } from "../core/dom.js";
import { download } from "../core/download.js";

const PICTURE_WIDTH = 960; // pixels
const PICTURE_EDGE = 24;
const PNG_SCALE = 2;
const FAMILY = "system-ui, sans-serif"; // what opens a picture has none of the page's fonts: it is laid out without
const LINE_HEIGHT = 1.4;

/** A text in lines that are no wider than `width`. */
function wrapped(text, font, width) {
  const ruler = document.createElement("canvas").getContext("2d");
  ruler.font = font;
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (ruler.measureText(line).width <= width || !lines.at(-1)) lines[lines.length - 1] = line;
    else lines.push(word);
  }
  return lines;
}

/** Lines of text from `top` down, and where they end. */
function paragraph(text, { weight, size, fill, top }) {
  const lines = text ? wrapped(text, `${weight} ${size}px ${FAMILY}`, PICTURE_WIDTH) : [];
  const nodes = lines.map((line, i) =>
    svg(
      "text",
      {
        x: PICTURE_EDGE,
        y: top + (i + 0.8) * size * LINE_HEIGHT,
        fill,
        "font-family": FAMILY,
        "font-size": size,
        "font-weight": weight,
      },
      line,
    ),
  );
  return { nodes, end: top + lines.length * size * LINE_HEIGHT };
}

/** plotly's own picture of a figure, as an element. */
async function drawing(plotly, { data, layout }) {
  const { width, height } = layout;
  const plain = { ...layout, font: { ...layout.font, family: FAMILY } };
  const source = await plotly.toImage({ data, layout: plain }, { format: "svg", width, height });
  const text = decodeURIComponent(source.slice(source.indexOf(",") + 1));
  return document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
}

/** The whole picture as an SVG element: title, figure, and what it is of. */
async function pictureOf(plotly, figure, { title, says, ink, paper }) {
  const head = paragraph(title, { weight: 600, size: 18, fill: ink, top: PICTURE_EDGE });
  const drawn = await drawing(plotly, figure),
    top = head.end + (title ? 12 : 0);
  drawn.setAttribute("x", String(PICTURE_EDGE));
  drawn.setAttribute("y", String(top));
  const foot = paragraph(says, { weight: 400, size: 13, fill: ink, top: top + figure.layout.height + 12 });
  const width = PICTURE_WIDTH + 2 * PICTURE_EDGE,
    height = Math.ceil(foot.end + PICTURE_EDGE);
  const whole = svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" },
    svg("title", {}, `${title} ${says}`),
    svg("rect", { width, height, fill: paper }),
    ...head.nodes,
    drawn,
    ...foot.nodes,
  );
  return { whole, width, height };
}

/** An SVG document as pixels. */
async function pixels(document_, width, height) {
  const image = new Image(width, height);
  image.src = `data:image/svg+xml,${encodeURIComponent(document_)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: width * PNG_SCALE, height: height * PNG_SCALE });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/**
 * Hands the visitor the picture of a chart.
 * @param {any} plotly
 * @param {(width: number) => any} figureOf The figure at a width.
 * @param {{title: string, says: string, ink: string, paper: string}} about
 * @param {string} file Its name, without ending.
 * @param {"svg" | "png"} kind
 */
export async function savePicture(plotly, figureOf, about, file, kind) {
  const { whole, width, height } = await pictureOf(plotly, figureOf(PICTURE_WIDTH), about);
  const text = new XMLSerializer().serializeToString(whole);
  const blob = kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await pixels(text, width, height);
  download(`${file}.${kind}`, blob);
}

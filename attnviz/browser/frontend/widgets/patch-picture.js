/* patch-picture.js: painters of a picture under attention. */
import { el } from "../core/dom.js";
import { lutIndex } from "../core/theme.js";

const PATCH_INK = 0.6,
  PATCH_PHOTO = 0.4; // how much of the picture's contrast stays under the attention

const patchRgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/**
 * The picture as a canvas of its own, washed out so that the attention is seen: ink on paper, or a photograph in
 * grey.
 */
export function washedPicture(model, theme) {
  const {
      picture: [height, width, channels],
      pixels,
    } = model,
    canvas = el("canvas"),
    paper = patchRgb(theme.paper),
    ink = patchRgb(theme.ink);
  Object.assign(canvas, { width, height });
  const g = canvas.getContext("2d"),
    image = g.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const at = i * channels,
      grey =
        channels === 1
          ? pixels[at] / 255
          : (0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2]) / 255;
    const share = channels === 1 ? PATCH_INK * grey : PATCH_PHOTO * (theme.dark ? grey : 1 - grey);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(paper[c] + share * (ink[c] - paper[c]));
    image.data[4 * i + 3] = 255;
  }
  g.putImageData(image, 0, 0);
  return canvas;
}

/** The picture and on it a row of attention; colour multiplies on paper and adds light on black. */
export function paintOverlay(g, { model, theme, base }, size, row) {
  const step = size / model.side;
  g.imageSmoothingEnabled = model.picture[0] > 2 * size;
  g.globalCompositeOperation = "source-over";
  g.drawImage(base, 0, 0, size, size);
  g.globalCompositeOperation = theme.dark ? "screen" : "multiply";
  for (let i = 0; i < model.side ** 2; i++) {
    const value = row[model.special + i],
      x = Math.round((i % model.side) * step),
      y = Math.round(Math.floor(i / model.side) * step);
    if (!(value > 0)) continue;
    g.fillStyle = theme.lut.css[lutIndex(value, "sqrt")];
    g.fillRect(
      x,
      y,
      Math.round(((i % model.side) + 1) * step) - x,
      Math.round((Math.floor(i / model.side) + 1) * step) - y,
    );
  }
  g.globalCompositeOperation = "source-over";
}

/** Hairlines between the patches. */
export function paintPatchGrid(g, { model, theme }, size) {
  const step = size / model.side;
  g.strokeStyle = theme.line;
  g.lineWidth = 1;
  g.globalAlpha = step >= 20 ? 1 : 0.5;
  g.beginPath();
  for (let i = 0; i <= model.side; i++) {
    const at = Math.min(size - 0.5, Math.round(i * step) + 0.5);
    g.moveTo(at, 0);
    g.lineTo(at, size);
    g.moveTo(0, at);
    g.lineTo(size, at);
  }
  g.stroke();
  g.globalAlpha = 1;
}

/** Whole percents in the patches that get at least one. */
export function paintPatchNumbers(g, { model, theme }, row, step) {
  g.font = `600 15px ${theme.sans}`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.lineJoin = "round";
  g.lineWidth = 3;
  for (let i = 0; i < model.side ** 2; i++) {
    const value = row[model.special + i];
    if (value < 0.01) continue;
    const x = ((i % model.side) + 0.5) * step,
      y = (Math.floor(i / model.side) + 0.5) * step,
      strong = value > 0.2;
    g.strokeStyle = strong === theme.dark ? "#FFFFFF" : "#000000";
    g.fillStyle = strong === theme.dark ? "#000000" : "#FFFFFF";
    g.strokeText(String(Math.round(100 * value)), x, y);
    g.fillText(String(Math.round(100 * value)), x, y);
  }
}

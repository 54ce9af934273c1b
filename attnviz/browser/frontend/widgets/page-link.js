/* page-link.js: the link to what is on screen, to copy and as a QR code, which is drawn here: nothing leaves the
   browser. */
import { svg } from "../core/dom.js";
import { library } from "../core/served.js";

const QUIET_MARGIN = 4; // modules of white around a code, as its standard asks
const LONGEST_CODE = 1000; // characters: a phone reads no finer code from a projector
/** The names that a computer has for itself. */
const HERE = /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\])$/;
const ELSEWHERE =
  "For a phone in the same network: whoever started the app sees in its terminal a Network URL; open the app there, " +
  "and copy the link.";

/** The address of the page without what is this reader's own, and without what was revealed or with it. */
export function addressOf(own, revealed = false) {
  const url = new URL(location.href);
  for (const parameter of [...own, "revealed"]) url.searchParams.delete(parameter);
  if (revealed) url.searchParams.set("revealed", "1");
  url.hash = "";
  return url.href;
}

/** Whether a question of the page is answered: its options can no longer be chosen. */
const isAnswered = () => document.querySelector('[class*="st-key-lesson-predict"] button[disabled]') !== null;

/** What the link does not do, in sentences; `leftOut` are those that the page knows. */
function linkLimits(leftOut, address) {
  const limits = [...leftOut];
  if (HERE.test(location.hostname)) {
    limits.push("This address works only on this computer, so there is no QR code.", ELSEWHERE);
  } else if (address.length > LONGEST_CODE)
    limits.push("It is too long for a QR code that a phone can read from a screen.");
  return limits.join(" ");
}

/** Copies a text. Without https the browser has no clipboard for scripts, but copies what is selected. */
async function copyText(field) {
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    field.select();
    return document.execCommand("copy");
  }
  return true;
}

/** A code as one SVG path, dark on white in every theme. */
function drawCode(qrcode, address) {
  const code = qrcode(0, "M"); // as small as it can be; a seventh of it may be hidden
  code.addData(address);
  code.make();
  const n = code.getModuleCount(),
    size = n + 2 * QUIET_MARGIN;
  let path = "";
  for (let row = 0; row < n; row++)
    for (let column = 0; column < n; column++)
      if (code.isDark(row, column)) path += `M${column + QUIET_MARGIN} ${row + QUIET_MARGIN}h1v1h-1z`;
  return svg(
    "svg",
    {
      viewBox: `0 0 ${size} ${size}`,
      role: "img",
      "aria-label": "The link as a QR code",
      "shape-rendering": "crispEdges",
    },
    svg("rect", { width: size, height: size, fill: "#ffffff" }),
    svg("path", { d: path, fill: "#12161d" }),
  );
}

/** Shows the link with or without what was revealed, and copies it. */
async function showLink(panel, revealed) {
  const { part, data } = panel,
    address = addressOf(data.own, revealed);
  part.address.value = address;
  part.limits.textContent = linkLimits(data.leftOut, address);
  part.limits.hidden = !part.limits.textContent;
  part.code.replaceChildren();
  part.code.hidden = address.length > LONGEST_CODE || HERE.test(location.hostname);
  part.status.textContent = (await copyText(part.address)) ? "Copied." : "Copy it from the field below.";
  if (!part.code.hidden) part.code.replaceChildren(drawCode(await library(data.qrcode, "qrcode"), address));
}

/**
 * The dialog of the link. `open` shows it and copies the link.
 * @param {HTMLDialogElement} dialog
 * @param {any} data
 */
export function linkPanel(dialog, data) {
  const one = (name) => dialog.querySelector(name);
  const part = {
    code: one(".av-link-code"),
    address: one("input[readonly]"),
    status: one("[role=status]"),
    limits: one(".av-link-limits"),
    choice: one("label"),
    revealed: one("input[type=checkbox]"),
  };
  const panel = { part, data };
  const show = () => showLink(panel, !part.choice.hidden && part.revealed.checked);
  part.revealed.addEventListener("change", show);
  one(".av-link-copy").addEventListener("click", show);
  one(".av-link-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside what it holds
  const open = () => {
    part.choice.hidden = !isAnswered();
    dialog.showModal();
    return show();
  };
  return Object.assign(panel, { open });
}

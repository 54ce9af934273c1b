/* standalone.js: the view in a page of its own: the HTML report and the output of a notebook. Nothing leaves it. */
import { el } from "../core/dom.js";
import { printWhenAsked } from "../core/paper.js";
import { mount } from "./view.js";

/** The bytes of a message that the page holds as base64. */
function embeddedBytes(stack) {
  const base64 = document.getElementById(`attnviz-${stack}`).textContent.trim();
  const Bytes = /** @type {any} */ (Uint8Array);
  if (Bytes.fromBase64) return Bytes.fromBase64(base64); // several times as fast, in browsers since 2025
  const text = atob(base64),
    bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Puts the view into the page; a choice between the stacks of an encoder-decoder model stands above it. */
function standalonePage() {
  const { stacks, state, question } = JSON.parse(document.getElementById("attnviz-settings").textContent);
  const root = document.getElementById("attnviz-view");
  root.classList.add("av-alone");
  let mounted = mount(root, { message: embeddedBytes(stacks[0][0]), state, question });
  root.dataset.ready = "true";
  if (stacks.length < 2) return;
  const select = el(
    "select",
    {
      id: "attnviz-stack",
      onchange: () => {
        mounted.destroy();
        mounted = mount(root, { message: embeddedBytes(select.value), state: null, question });
      },
    },
    stacks.map(([name, title]) => el("option", { value: name }, title)),
  );
  root.before(el("p", { class: "stack" }, el("label", { for: "attnviz-stack" }, "Attention of "), select));
}

standalonePage();
printWhenAsked();

/* streamlit.js: the view as a Streamlit component (components v2).
   The data is a frame: {state, question, compact, live, reach, cards, noLivePage, message: its length, file: {name,
   number, at, bytes}}, then the message, then a file to save. */
import { bytesOf, component } from "../core/bridge.js";
import { download } from "../core/download.js";
import { readFrame } from "../core/framing.js";
import { mount } from "./view.js";

/** The header, the message, and what the page's file is saved from. */
function readData(data) {
  const { header, payload } = readFrame(bytesOf(data));
  return { ...header, payload, message: payload.subarray(0, header.message) };
}

/** Saves a file of the page, each once. */
function saveFile(entry, { file, payload }) {
  if (!file || entry.file === file.number) return;
  entry.file = file.number;
  download(file.name, new Blob([payload.slice(file.at, file.at + file.bytes)]));
}

export default component(".av-root", {
  mount(root, data, tell) {
    const given = readData(data),
      { message, state, question, compact, live, reach, cards, noLivePage } = given;
    const view = mount(root, {
      message,
      state,
      question,
      compact,
      onState: (chosen) => tell.state("view", chosen),
      onRun: live ? () => {} : null,
      onExport: (kind) => tell.trigger("export", kind),
      onAsk: reach ? (question) => tell.trigger("ask", question) : null,
      reach,
      cards,
      noLivePage,
    });
    const entry = { view, file: 0 };
    saveFile(entry, given);
    return entry;
  },
  update(entry, data) {
    const given = readData(data),
      { message, state, compact, cards, noLivePage } = given;
    entry.view.update({ message, state, compact, cards, noLivePage });
    saveFile(entry, given);
  },
  destroy: (entry) => entry.view.destroy(),
});

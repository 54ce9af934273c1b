/* streamlit.js: the view as a Streamlit component (components v2).
   The data is a frame: {state, question, compact, live, reach, cards, noLivePage, runnable, message: its length, file:
   {name, number, at, bytes}}, then the message, then a file to save, then a model to run here. */
import { bytesOf, component } from "../core/bridge.js";
import { download } from "../core/download.js";
import { readFrame } from "../core/framing.js";
import { OwnRuns } from "./own-runs.js";
import { isChanged } from "./selectors.js";
import { mount, sameBytes } from "./view.js";

const NONE = new Uint8Array();

/** The header, the message, and what the page's file is saved from. */
function readData(data) {
  const { header, payload } = readFrame(bytesOf(data));
  return { ...header, payload, message: payload.subarray(0, header.message) };
}

/** The view in a page of the app. */
class ServedView {
  constructor(root, data, tell) {
    const given = readData(data);
    const { message, state, question, compact, live, reach, cards, noLivePage, runnable, payload } = given;
    this.message = message; // the server's newest
    this.file = 0;
    this.runs = new OwnRuns({
      ask: () => tell.trigger("model", true),
      onMessage: (message) => this.show(message),
      onTrouble: () => {
        this.message = NONE; // whatever the server says next is news
        this.outbox.again();
      },
    });
    const mounted = mount(root, {
      message,
      state,
      question,
      compact,
      onState: (chosen) => tell.state("view", this.runs.ready ? { ...chosen, here: this.runs.here } : chosen),
      onRun: live ? (state) => this.runs.run(state) : null,
      onExport: (kind) => tell.trigger("export", kind),
      onAsk: reach ? (question) => tell.trigger("ask", question) : null,
      reach,
      cards,
      noLivePage,
    });
    this.view = mounted.view;
    this.store = mounted.view.store;
    this.outbox = mounted.view.outbox;
    this.runs.take(runnable, payload);
    if (!this.answered() && this.changes()) this.outbox.again(); // the server took this view for one that runs it
    this.follow();
    this.save(given);
  }

  /** A run of the model that this view has asked for. */
  show(message) {
    this.view.update({ message });
    this.outbox.wait(false); // the answer is here, though it may look as before
  }

  update(data) {
    const given = readData(data);
    const { message, state, compact, cards, noLivePage, runnable, payload } = given;
    const { name, text } = this.runs;
    this.runs.take(runnable, payload);
    const fresh = !sameBytes(message, this.message);
    if (fresh) this.message = message;
    // what runs here is newer than what the server says of the same text
    const stays = this.runs.ready && runnable.name === name && runnable.text === text && this.store.state.whole;
    this.view.update({ message: fresh && !stays ? message : null, state, compact, cards, noLivePage });
    if (fresh && this.runs.ready) this.outbox.run();
    this.follow();
    this.save(given);
  }

  changes() {
    return this.store.live && this.store.state.whole && isChanged(this.store);
  }

  answered() {
    return this.store.model.before !== null;
  }

  /** After the first run of the whole model by the server, the next ones shall be here. */
  follow() {
    if (this.changes() && this.answered()) this.runs.want();
  }

  /** Saves a file of the page, each once. */
  save({ file, payload }) {
    if (!file || this.file === file.number) return;
    this.file = file.number;
    download(file.name, new Blob([payload.slice(file.at, file.at + file.bytes)]));
  }

  destroy() {
    this.view.destroy();
    this.runs.stop();
  }
}

export default component(".av-root", {
  mount: (root, data, tell) => new ServedView(root, data, tell),
  update: (served, data) => served.update(data),
  destroy: (served) => served.destroy(),
});

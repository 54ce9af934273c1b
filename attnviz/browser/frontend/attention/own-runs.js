/* own-runs.js: runs of the whole model in the browser, once the page has given the view the model; until then, and
   wherever that fails, the server runs it. No DOM. */
import { Desk } from "../model/desk.js";

const sourceDecoder = new TextDecoder();

/**
 * A model that the page may give to the view, and the text that it runs on.
 *
 * @typedef {object} Runnable
 * @property {string} name
 * @property {string} text
 * @property {{worker: [number, number], model: [number, number]} | null} file places in the payload, and bytes
 */

export class OwnRuns {
  /**
   * @param {object} page
   * @param {() => void} page.ask for the model, once
   * @param {(message: Uint8Array) => void} page.onMessage a run's
   * @param {() => void} page.onTrouble runs are the server's from now on
   */
  constructor({ ask, onMessage, onTrouble }) {
    this.ask = ask;
    this.onMessage = onMessage;
    this.onTrouble = onTrouble;
    this.name = this.text = "";
    /** @type {"" | "asked" | "opening" | "ready" | "failed"} */
    this.step = "";
    /** @type {Desk | null} */
    this.desk = null;
  }

  get ready() {
    return this.step === "ready";
  }

  /** The name of the model that runs here, or "": the page then knows that it need not run it. */
  get here() {
    return this.ready ? this.name : "";
  }

  /** What the page says of the model. @param {Runnable | null} runnable @param {Uint8Array} payload */
  take(runnable, payload) {
    const { name, text, file } = runnable ?? { name: "", text: "", file: null };
    if (name !== this.name) this.stop();
    this.name = name;
    this.text = text;
    if (file && this.step === "asked") this.open(file, payload);
  }

  open({ worker, model }, payload) {
    const part = ([at, bytes]) => payload.slice(at, at + bytes);
    this.step = "opening";
    try {
      this.desk = new Desk(sourceDecoder.decode(part(worker)), (answer) => this.hear(answer));
    } catch {
      return this.fail(); // a browser without workers
    }
    const bytes = part(model);
    this.desk.ask({ kind: "open", bytes }, [bytes.buffer]);
  }

  /** Asks for the model, where the page has one to give. */
  want() {
    if (!this.name || this.step) return;
    this.step = "asked";
    this.ask();
  }

  /**
   * Whether the model runs here with what this state changes: then its message comes.
   *
   * @param {import("./state.js").State} state
   */
  run(state) {
    if (!this.ready) return false;
    this.desk.ask({ kind: "run", asked: { text: this.text, answer: [], state, off: [], stack: "self", sampling: 1 } });
    return true;
  }

  hear({ kind, error, message }) {
    if (error) this.fail();
    else if (kind === "open") this.step = "ready";
    else this.onMessage(message);
  }

  fail() {
    this.stop();
    this.step = "failed";
    this.onTrouble();
  }

  stop() {
    this.desk?.stop();
    this.desk = null;
    this.step = "";
  }
}

/* desk.js: the page's side of the worker: what is asked, and the answers to the newest question. */

const FAILED = "The browser has not started the model’s worker, or has ended it. Open the page anew.";

export class Desk {
  /**
   * @param {string} source of the worker
   * @param {(answer: any) => void} onAnswer
   */
  constructor(source, onAnswer) {
    this.number = 0;
    this.onAnswer = onAnswer;
    // a worker of its own file would not start from file://
    this.address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(this.address);
    this.worker.onmessage = ({ data }) => this.answer(data);
    this.failed = false;
    this.worker.onerror = () => this.fail();
  }

  /** @param {any} question @param {Transferable[]} [given] */
  ask(question, given = []) {
    if (this.failed) return this.fail();
    this.number += 1;
    this.worker.postMessage({ number: this.number, ...question }, given);
  }

  /** What was asked is not wanted any more. */
  forget() {
    this.number += 1;
  }

  stop() {
    this.worker.terminate();
    URL.revokeObjectURL(this.address);
  }

  /** The browser did not start the worker, or has ended it: nothing that is asked will be answered. */
  fail() {
    this.failed = true;
    this.onAnswer({ kind: "failed", error: FAILED });
  }

  answer(data) {
    if (data.kind === "open" || data.number === this.number) this.onAnswer(data);
  }
}

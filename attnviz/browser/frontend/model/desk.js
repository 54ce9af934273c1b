/* desk.js: the page's side of the worker: what is asked, and the answers to the newest question. */

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
    this.worker.onerror = () => onAnswer({ kind: "run", error: "The model has stopped. Open the page anew." });
  }

  /** @param {any} question @param {Transferable[]} [given] */
  ask(question, given = []) {
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

  answer(data) {
    if (data.kind === "open" || data.number === this.number) this.onAnswer(data);
  }
}

/* worker.js: the session in a worker of its own. The newest run overtakes the one under way; a text that is being said
   ends where something else is asked for. */
import { Overtaken, Session } from "./session.js";

const BREATH = 8; // ms of work after which the worker looks for news

let newest = 0;
let last = performance.now();

/** @returns {Promise<void>} kept once the messages that wait have been read */
function turnOfEvents() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** Lets messages in, every few ms. */
async function breathe(number) {
  if (performance.now() - last < BREATH) return;
  await turnOfEvents();
  last = performance.now();
  if (number !== newest) throw new Overtaken();
}

const session = new Session(() => breathe(running));
let running = 0;
let queue = Promise.resolve();

/** @param {any} answer @param {Transferable[]} [given] */
const tell = (answer, given = []) => /** @type {any} */ (self).postMessage(answer, given);

/** One job after the other; what is old when its turn comes is left out. */
self.onmessage = ({ data }) => {
  newest = data.number;
  queue = queue.then(() => work(data));
};

async function work(data) {
  const { number, kind } = data;
  if (number !== newest && kind !== "open") return;
  running = number;
  const begin = performance.now();
  try {
    if (kind === "open") tell({ number, kind, about: session.open(data.bytes) });
    if (kind === "run") {
      const result = await (session.picture ? session.runPicture(data.asked) : session.run(data.asked));
      tell({ number, kind, ...result, ms: performance.now() - begin }, [result.message.buffer]);
    }
    if (kind === "say") {
      for await (const one of session.say(data.asked, data.n, data.draws)) tell({ number, kind, ...one });
      tell({ number, kind, done: true });
    }
  } catch (error) {
    if (!(error instanceof Overtaken)) tell({ number, kind, error: error.message });
  }
}

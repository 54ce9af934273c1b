// Evaluates the scripts of the unit tests one after the other: a line of JSON and bytes in, the same out.
import { stdin, stdout } from "node:process";

console.log = console.error; // standard output is for answers only

let waiting = Buffer.alloc(0);
const chunks = stdin[Symbol.asyncIterator]();

async function next() {
  const { value, done } = await chunks.next();
  if (done) process.exit(0);
  return value;
}

async function line() {
  while (!waiting.includes(10)) waiting = Buffer.concat([waiting, await next()]);
  const end = waiting.indexOf(10);
  const text = waiting.toString("utf8", 0, end);
  waiting = waiting.subarray(end + 1);
  return text;
}

async function take(count) {
  const parts = [waiting]; // put together once: a model's weights come in thousands of pieces
  for (let length = waiting.length; length < count; length += parts.at(-1).length) parts.push(await next());
  waiting = Buffer.concat(parts);
  const bytes = Uint8Array.from(waiting.subarray(0, count));
  waiting = waiting.subarray(count);
  return bytes;
}

// JSON has no NaN and no infinity: they are given by name.
const named = (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);

async function evaluate({ script, modules, inputs }, message) {
  const names = Object.keys(modules);
  const load = async (files) => Object.assign({}, ...(await Promise.all(files.map((file) => import(file)))));
  const loaded = await Promise.all(names.map((name) => load(modules[name])));
  let given;
  const give = (value) => (given = { kind: "json", body: Buffer.from(JSON.stringify(value, named)) });
  const giveFloats = (values) => (given = { kind: "floats", body: Buffer.from(Float32Array.from(values).buffer) });
  const run = new Function(...names, "message", "inputs", "give", "giveFloats", `return (async () => {${script}\n})()`);
  await run(...loaded, message, inputs, give, giveFloats);
  if (!given) throw new Error("the script gave nothing");
  return given;
}

for (;;) {
  const job = JSON.parse(await line());
  const message = await take(job.bytes);
  const answer = await evaluate(job, message).catch((error) => ({
    kind: "error",
    body: Buffer.from(String(error?.stack ?? error)),
  }));
  stdout.write(`${JSON.stringify({ kind: answer.kind, bytes: answer.body.length })}\n`);
  stdout.write(answer.body);
}

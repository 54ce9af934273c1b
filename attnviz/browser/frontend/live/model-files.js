/* model-files.js: where the page has its models from: itself, a file beside it, or the visitor's hand. */

/**
 * A model that the page can run.
 *
 * @typedef {object} Offered
 * @property {string} name
 * @property {string} title
 * @property {string} about a line on what it is
 * @property {"text" | "image"} reads
 * @property {string} text to begin with
 * @property {string | null} file beside the page; null: it stands in the page
 * @property {number} bytes
 * @property {string} sha256
 */

/** The bytes of a model that the page holds as base64. @param {string} name */
function heldBytes(name) {
  const base64 = document.getElementById(`attnviz-model-${name}`).textContent.trim();
  const Bytes = /** @type {any} */ (Uint8Array);
  if (Bytes.fromBase64) return Bytes.fromBase64(base64); // several times as fast, in browsers since 2025
  const text = atob(base64),
    bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** @param {Uint8Array<ArrayBuffer>} bytes @param {Offered} offered */
async function checked(bytes, { title, bytes: size, sha256 }) {
  if (bytes.length !== size)
    throw new Error(`This is not the file of ${title}, or not all of it: it has ${bytes.length} bytes of ${size}.`);
  if (!crypto.subtle) return bytes; // of pages without https; what the file says of itself is still checked
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256)
    throw new Error(
      `This is not the file of ${title}: its SHA-256 is ${found.slice(0, 12)}…, not ${sha256.slice(0, 12)}…`,
    );
  return bytes;
}

/** Downloads a file, of which the size is known. @param {Offered} offered */
async function fetched({ file, title, bytes: size, sha256 }, onProgress) {
  let response;
  try {
    response = await fetch(`${file}?${sha256.slice(0, 16)}`); // of a newer page, never an older file from the cache
  } catch {
    throw new Error(`${title} could not be fetched: the page has no way to ${file}. Choose the file below.`);
  }
  if (!response.ok || !response.body)
    throw new Error(`${title} is not beside this page (${file}: ${response.status}). Choose the file below.`);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return bytes.subarray(0, at);
    if (at + value.length > size) throw new Error(`The file of ${title} is larger than it should be.`);
    bytes.set(value, at);
    at += value.length;
    onProgress(at / size);
  }
}

/**
 * A model's bytes. Errors: one sentence.
 *
 * @param {Offered} offered
 * @param {(share: number) => void} onProgress
 * @param {File | null} [chosen] by the visitor
 * @returns {Promise<Uint8Array>}
 */
export async function modelBytes(offered, onProgress, chosen = null) {
  if (chosen) {
    const wrong = `This is not the file of ${offered.title}: it has ${chosen.size} bytes of ${offered.bytes}.`;
    if (chosen.size !== offered.bytes) throw new Error(wrong); // before it is read
    return checked(new Uint8Array(await chosen.arrayBuffer()), offered);
  }
  return offered.file === null ? heldBytes(offered.name) : checked(await fetched(offered, onProgress), offered);
}

/* framing.js: the one binary form of what comes from the page; attnviz/browser/framing.py writes it.

   u32 length of the header | header (JSON, padded to 8 bytes) | payload, each part at a multiple of 8 */

const decoder = new TextDecoder();

/**
 * A part of a payload that is text.
 * @param {Uint8Array} bytes
 */
export const textOf = (bytes) => decoder.decode(bytes);

/**
 * The header and the payload of a frame, in place: nothing is copied.
 * @param {Uint8Array} bytes
 * @returns {{header: any, payload: Uint8Array}}
 */
export function readFrame(bytes) {
  const start = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return { header: JSON.parse(decoder.decode(bytes.subarray(4, start))), payload: bytes.subarray(start) };
}

/**
 * The same of a copy whose parts typed arrays can view: Streamlit's array starts at any address of a shared buffer.
 * @param {Uint8Array} bytes
 * @returns {{header: any, buffer: ArrayBuffer, start: number}} `start`: where in the buffer the payload begins.
 */
export function readAligned(bytes) {
  const { buffer } = bytes.slice(),
    { header, payload } = readFrame(new Uint8Array(buffer));
  return { header, buffer, start: payload.byteOffset };
}

/* read.js: the message of provenance_message.py as matrices by name. */
import { compact, shortened } from "../core/format.js";
import { readAligned } from "../core/framing.js";

/** Bytes (at any offset of their buffer) to a layer's provenance: its matrices, tokens and sizes. */
export function readProvenance(bytes) {
  const { header, buffer, start } = readAligned(bytes);
  if (header.version !== 2) throw new Error(`message version ${header.version}, this view reads version 2`);
  const Numbers = header.bytes === 8 ? Float64Array : Float32Array;
  const matrices = {},
    special = new Set(header.special),
    continues = new Set(header.continues);
  for (const m of header.matrices)
    matrices[m.name] = { ...m, values: new Numbers(buffer, start + m.at, m.rows * m.stored) };
  const tokens = header.labels.map((label, i) => ({
    label: shortened(label),
    sp: special.has(i),
    cont: continues.has(i),
  }));
  const whole = matrices.Q.stored === matrices.Q.width;
  return {
    ...header,
    matrices,
    tokens,
    whole,
    size: tokens.length,
    model: matrices.x.width,
    single: header.bytes === 4,
  };
}

/** Which head a matrix belongs to, or null if all share it. */
export const ownerOf = (name) => (name.includes(".") ? +name.slice(name.indexOf(".") + 1) : null);

/** Whether a cell exists in this model, here or in a head that has not been sent. */
export function cellExists(provenance, [name, r, c]) {
  const m = provenance.matrices[name] || (isRemote(provenance, name) ? provenance.matrices.concat : null);
  return (
    Boolean(m) &&
    r >= 0 &&
    r < m.rows &&
    c >= 0 &&
    c < m.width &&
    (isRemote(provenance, name) || (c >= m.first && c < m.first + m.stored))
  );
}

/** Another head's z, of which the numbers are here, but not what made them. */
export function isRemote(provenance, name) {
  return /^z\.\d+$/.test(name) && !provenance.matrices[name] && ownerOf(name) < provenance.heads;
}

/** Whether the numbers that made a cell are not here: another head's, or columns of a wide matrix. */
export function isElsewhere(provenance, [name, , c]) {
  const rule = provenance.matrices[name]?.rule,
    b = rule?.kind === "product" && !rule.transposed ? provenance.matrices[rule.b] : null;
  return isRemote(provenance, name) || Boolean(b && (c < b.first || c >= b.first + b.stored));
}

/** The number in a cell; NaN if it is not here. */
export function cellValue(provenance, name, r, c) {
  const m = provenance.matrices[name] || (isRemote(provenance, name) ? provenance.matrices.concat : null);
  if (!m || c < m.first || c >= m.first + m.stored || r < 0 || r >= m.rows) return NaN;
  return m.values[r * m.stored + c - m.first];
}

/**
 * Largest size of a matrix's finite numbers, and how many decimals tell them apart: none for whole numbers, else 2 or
 * more.
 */
export function spread(m) {
  if (m.spread) return m.spread;
  let most = 0,
    whole = true;
  for (const v of m.values) {
    if (!Number.isFinite(v)) continue;
    most = Math.max(most, Math.abs(v));
    whole = whole && Number.isInteger(v);
  }
  return (m.spread = { most, decimals: whole ? 0 : decimalsFor(most) });
}

/** 2 decimals, more where all numbers are small. */
export const decimalsFor = (most) =>
  most >= 0.095 || most === 0 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(most * 1.05)));

export const shownCell = (provenance, name, r, c) =>
  compact(cellValue(provenance, name, r, c), spread(provenance.matrices[name] || provenance.matrices.concat).decimals);

/* download.js: a file for the visitor, made in the browser. */

/** Hands the visitor a file. */
export function download(name, blob) {
  const url = URL.createObjectURL(blob),
    link = document.createElement("a");
  Object.assign(link, { href: url, download: name.replace(/[^\p{L}\p{N}._-]+/gu, "-") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

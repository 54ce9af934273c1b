/* streamlit.js: the view as a Streamlit component (components v2).
   The data is u32 n | n bytes of JSON {state, question, compact, live, message: its length, file} | the message | a file to save. */
import { download } from "../core/download.js";
import { whenGone } from "../core/kit.js";
import { mount } from "./view.js";

const mountedViews = new WeakMap();

export default function attentionComponent({ data, parentElement, setStateValue, setTriggerValue }) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data),
    length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const given = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))),
    message = bytes.subarray(4 + length, 4 + length + given.message);
  let entry = mountedViews.get(parentElement);
  if (!entry) {
    mountedViews.set(parentElement, (entry = {}));
    const root = parentElement.querySelector(".av-root");
    entry.view = mount(root, {
      message,
      state: given.state,
      question: given.question,
      compact: given.compact,
      onState: (state) => entry.setState("view", state),
      onRun: given.live ? () => {} : null,
      onExport: (kind) => entry.trigger("export", kind),
    });
  } else entry.view.update({ message, state: given.state, compact: given.compact });
  if (given.file && entry.file !== given.file.number) {
    entry.file = given.file.number;
    download(given.file.name, new Blob([bytes.slice(4 + length + given.message)]));
  }
  entry.setState = setStateValue;
  entry.trigger = setTriggerValue;
  return whenGone(parentElement, () => {
    entry.view.destroy();
  });
}

/* streamlit.js: the walk as a Streamlit component (components v2).
   The data is u32 n | n bytes of JSON {id of the message, state, number of the state} | the message. */
import { whenGone } from "../core/kit.js";
import { mountProvenance } from "./view.js";

const mountedProvenance = new WeakMap();

export default function provenanceComponent({ data, parentElement, setStateValue, setTriggerValue }) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data),
    length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const given = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))),
    message = bytes.subarray(4 + length);
  let entry = mountedProvenance.get(parentElement);
  if (!entry) {
    mountedProvenance.set(parentElement, (entry = {}));
    entry.mounted = mountProvenance(parentElement.querySelector(".aw-root"), {
      message,
      state: given.state,
      onState: (state) => entry.setState("walk", state),
      onLayer: (layer) => entry.trigger("layer", layer),
    });
  } else if (entry.id !== given.id || entry.number !== given.number) {
    entry.mounted.update({
      message: entry.id === given.id ? null : message,
      state: entry.number === given.number ? null : given.state,
    });
  }
  Object.assign(entry, { id: given.id, number: given.number, setState: setStateValue, trigger: setTriggerValue });
  return whenGone(parentElement, () => {
    entry.mounted.destroy();
  });
}

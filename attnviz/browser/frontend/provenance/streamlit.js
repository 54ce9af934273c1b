/* streamlit.js: the step-by-step view as a Streamlit component (components v2).
   The data is a frame: {id of the message, state, number of the state}, then the message. */
import { bytesOf, component, news } from "../core/bridge.js";
import { readFrame } from "../core/framing.js";
import { mountProvenance } from "./view.js";

export default component(".aw-root", {
  mount(root, data, tell) {
    const { header, payload } = readFrame(bytesOf(data));
    const view = mountProvenance(root, {
      message: payload,
      state: header.state,
      onState: (state) => tell.state("walk", state),
      onLayer: (place) => tell.trigger("layer", place),
    });
    return { view, id: header.id, number: header.number };
  },
  update(entry, data) {
    const { header, payload } = readFrame(bytesOf(data)),
      fresh = news(entry, header);
    if (!fresh.message && !fresh.state) return;
    entry.view.update({ message: fresh.message ? payload : null, state: fresh.state ? header.state : null });
  },
  destroy: (entry) => entry.view.destroy(),
});

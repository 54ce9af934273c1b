/* patches.js: attention over a picture as a Streamlit component (components v2). The data is a frame: {id of the
   message, number of the state, look, alt, answer, changed}, then the message (patch-rows.js). Hovering, and choosing
   heads and patches, run without the server. */
import { bytesOf, component, news } from "../core/bridge.js";
import { readFrame } from "../core/framing.js";
import { PatchView } from "./patch-view.js";

export default component(".ap-root", {
  mount(root, data, tell) {
    const { header, payload } = readFrame(bytesOf(data)),
      view = new PatchView(root, (look) => tell.state("look", look));
    view.read(payload, header.look, header);
    view.describe(header.alt);
    return { view, id: header.id, number: header.number };
  },
  update(entry, data) {
    const { header, payload } = readFrame(bytesOf(data)),
      fresh = news(entry, header);
    entry.view.read(fresh.message ? payload : null, fresh.state ? header.look : null, header);
    entry.view.describe(header.alt);
  },
  destroy: (entry) => entry.view.destroy(),
});

/* done.js: lets the browser remember that a lesson is done (a Streamlit component, components v2). It draws nothing;
   the data is {page}. */
import { component } from "../core/bridge.js";
import { rememberDone } from "../core/memory.js";

const update = (_, { page }) => rememberDone(page);

export default component(".aw-done", {
  mount(root, data) {
    update(root, data);
    return root;
  },
  update,
});

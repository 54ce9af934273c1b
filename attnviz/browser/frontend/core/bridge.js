/* bridge.js: a component of Streamlit (components v2) between its first call and its removal; the other end is
   attnviz/web/components/bridge.py. */

/**
 * @typedef {object} Tell How a component reports. A state stays; a trigger is heard in one run of the page.
 * @property {(name: string, value: any) => void} state
 * @property {(name: string, value: any) => void} trigger
 *
 * @typedef {object} Call What Streamlit calls a component with, first and whenever its data are new.
 * @property {any} data
 * @property {HTMLElement} parentElement
 * @property {(name: string, value: any) => void} setStateValue
 * @property {(name: string, value: any) => void} setTriggerValue
 */

/**
 * A component's default export.
 * @template View
 * @param {string} selector Of the element that it draws into.
 * @param {object} life
 * @param {(root: HTMLElement, data: any, tell: Tell) => View} life.mount Makes the view, from the first data.
 * @param {(view: View, data: any) => void} life.update Takes newer data.
 * @param {(view: View) => void} [life.destroy] Ends what would go on without the element.
 */
export function component(selector, { mount, update, destroy = () => {} }) {
  /** @type {WeakMap<HTMLElement, {view: View, call: Call}>} */
  const mounted = new WeakMap();
  return function call(/** @type {Call} */ given) {
    const { data, parentElement } = given,
      known = mounted.get(parentElement);
    if (known) {
      known.call = given;
      update(known.view, data);
    } else {
      const entry = { view: /** @type {View} */ (null), call: given };
      mounted.set(parentElement, entry);
      const root = /** @type {HTMLElement} */ (parentElement.querySelector(selector));
      entry.view = mount(root, data, {
        state: (name, value) => entry.call.setStateValue(name, value),
        trigger: (name, value) => entry.call.setTriggerValue(name, value),
      });
      root.toggleAttribute("data-works", true); // its style sheet hides until then what could be pressed in vain
    }
    return whenGone(parentElement, () => destroy(mounted.get(parentElement).view));
  };
}

/**
 * A component's cleanup, done only once it has left the page: Streamlit also calls the cleanup of a call that newer
 * data overtook while the module was still being imported, and then the component stands and goes on.
 * @param {HTMLElement} parentElement
 * @param {() => void} clear
 */
function whenGone(parentElement, clear) {
  return () => {
    if (!parentElement.isConnected) clear();
  };
}

/**
 * The bytes of a component's data.
 * @param {any} data
 * @returns {Uint8Array}
 */
export const bytesOf = (data) => (data instanceof Uint8Array ? data : new Uint8Array(data));

/**
 * What of the data has not been seen: the message, if its id is another, and the state, if its number is. Remembers
 * both.
 * @param {{id: number, number: number}} entry
 * @param {{id: number, number: number}} given
 */
export function news(entry, { id, number }) {
  const fresh = { message: id !== entry.id, state: number !== entry.number };
  Object.assign(entry, { id, number });
  return fresh;
}

// Whoever goes by keyboard or screen reader stays where they are while parts of the page are made anew.
const FOCUSABLE = "a[href], button, input, select, textarea, [tabindex]";
const STORED = "stillwatch-focus";

/**
 * Do `work`, which may replace what has the focus within `root`. `name` says by what a thing is known again; where it
 * is gone, what is at its place takes over.
 */
export function keepingFocus(root, name, work) {
  const focusable = () => [...root.querySelectorAll(FOCUSABLE)];
  const held = document.activeElement;
  if (!root.contains(held)) { work(); return; }
  const [known, at] = [name(held), focusable().indexOf(held)];
  work();
  if (root.contains(document.activeElement)) return;
  const left = focusable();
  (left.find((one) => name(one) === known) ?? left[Math.min(at, left.length - 1)])?.focus({ preventScroll: true });
}

/** Whether a button does anything now. One that does not keeps the focus: a further press must not meet its neighbour. */
export const enable = (button, wanted) => button.setAttribute("aria-disabled", String(!wanted));
addEventListener("click", (event) => {
  if (!event.target.closest?.("[aria-disabled=true]")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, { capture: true });

/** Load the page again, with the focus where it is now. */
export function reload() {
  const held = document.activeElement;
  const place = held?.closest("[id]");
  if (place && place !== document.body) {
    const at = [...place.querySelectorAll(FOCUSABLE)].indexOf(held);
    try { sessionStorage.setItem(STORED, JSON.stringify([place.id, at])); } catch { /* the page begins at its top then */ }
  }
  location.reload();
}

/** The focus where `reload` left it. */
export function restoreFocus() {
  try {
    const [id, at] = JSON.parse(sessionStorage.getItem(STORED) ?? "[]");
    sessionStorage.removeItem(STORED);
    const place = document.getElementById(id);
    (at < 0 ? place : place?.querySelectorAll(FOCUSABLE)[at])?.focus({ preventScroll: true });
  } catch { /* there is none */ }
}

// The filmstrip: pictures of the part of the film that the curve shows, each with its score.
import { film, json, make, settled, stripPicture } from "./api.js";
import { onView, span, view } from "./view.js";

const slots = document.getElementById("slots");
const upright = film.size && film.size[1] > film.size[0];
const SLOT_PIXELS = upright ? 62 : 104;
slots.classList.toggle("upright", Boolean(upright));
let current = null;
const handlers = { pick: () => {}, hover: () => {} };
export const onStrip = (name, handler) => { handlers[name] = handler; };

const fill = settled(async () => {
  const buttons = [...slots.children];
  const frames = buttons.map((button) => button.dataset.frame);
  if (!frames.length) return;
  let facts;
  try { facts = await json(`/scores?frames=${frames.join(",")}`); } catch { return; }
  for (const button of buttons) {
    const fact = facts[button.dataset.frame];
    if (!fact) continue;
    const bad = fact.verdict && fact.verdict !== "good";
    const score = fact.score === null ? "–" : fact.score.toFixed(2);
    button.lastChild.textContent = score;
    button.lastChild.className = bad ? "bad" : "";
    button.setAttribute("aria-label", `Frame ${button.dataset.frame}, ${fact.time}, score ${score}${bad ? `, ${fact.verdict}` : ""}`);
  }
}, 60);

const pictures = settled(() => {
  for (const button of slots.children) {
    const source = stripPicture(button.dataset.frame);
    if (button.firstChild.getAttribute("src") !== source) button.firstChild.src = source;
  }
}, 40);

function layout() {
  const count = Math.min(Math.max(Math.floor(slots.clientWidth / SLOT_PIXELS), 5), film.frames);
  while (slots.children.length > count) slots.lastChild.remove();
  while (slots.children.length < count) {
    const button = make("button", { type: "button", tabIndex: -1 }, make("img", { alt: "", draggable: false }), make("span"));
    button.addEventListener("click", () => handlers.pick(Number(button.dataset.frame)));
    button.addEventListener("pointerenter", (event) => handlers.hover(Number(button.dataset.frame), event));
    button.addEventListener("pointerleave", () => handlers.hover(null));
    slots.append(button);
  }
  [...slots.children].forEach((button, at) => {
    const frame = Math.min(Math.floor(view.first + (span() * (at + 0.5)) / count), film.frames - 1);
    if (button.dataset.frame !== String(frame)) {
      button.dataset.frame = frame;
      button.setAttribute("aria-label", `Frame ${frame}`);
    }
  });
  markCurrent();
  pictures();
  fill();
}

export function mark(frame) { current = frame; markCurrent(); }

function markCurrent() {
  const buttons = [...slots.children];
  let nearest = null;
  for (const button of buttons) {
    button.removeAttribute("aria-current");
    button.tabIndex = -1;
    const apart = Math.abs(Number(button.dataset.frame) - current);
    if (nearest === null || apart < nearest.apart) nearest = { button, apart };
  }
  if (!nearest) return;
  nearest.button.tabIndex = 0;
  if (current !== null && nearest.apart <= span() / buttons.length / 2 + 0.5) nearest.button.setAttribute("aria-current", "true");
}

export function start() {
  onView(layout);
  new ResizeObserver(layout).observe(slots);
  layout();
}

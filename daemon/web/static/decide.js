// Accept, reject, pin, ban and notes: what is decided about the frame that is looked at, and what the stills then are.
import { change, film, json, make, stripPicture } from "./api.js";
import { enable, keepingFocus } from "./focus.js";

const picks = document.getElementById("picks");
const status = document.getElementById("said");
const changed = new Set();
let frame = null;
let busy = Promise.resolve();
export let held = film.decisions;
let known = "";
export const onDecided = (listener) => changed.add(listener);

const WORDS = { accept: "accepted", reject: "rejected", pin: "pinned", ban: "banned" };
export const buttons = {};

function button(name, work) {
  const made = make("button", { type: "button", textContent: name });
  made.addEventListener("click", work);
  buttons[name] = made;
  return made;
}

export const tools = [
  button("Accept", () => decide("accept")),
  button("Reject", () => decide("reject")),
  button("Pin", () => decide("pin")),
  button("Ban", () => decide("ban")),
  button("Undo", () => turn("undo")),
  button("Redo", () => turn("redo")),
  button("Note", () => note()),
];

/** What was decided about a frame, in words. */
export const wordsOf = (at) => Object.values(WORDS).filter((word) => held[word].includes(at));
export const noteOf = (at) => held.notes.find((one) => one.frame === at)?.note ?? "";

/** A second press takes it back. */
export function decide(kind) {
  const at = frame;
  // Asked when its turn comes: whoever presses twice before the server has answered takes it back as well.
  const again = () => held[WORDS[kind]].includes(at);
  return send("/decisions", () => ({ kind: again() ? "reset" : kind, frame: at }), () => `frame ${at} ${again() ? WORDS[kind] : "is undecided"}`);
}

export const turn = (which) => send(`/${which}`, () => ({}), () => {
  if (!held.turned) return `there is nothing to ${which}`;
  return which === "undo" ? "taken back" : "decided again";
});

/** What holds now, which another page or the command line may have changed; null where it cannot be known. */
export function renew() {
  const renewed = busy.then(async () => {
    const now = await json("/decisions").catch(() => null);
    if (now && JSON.stringify(now) !== known) { held = now; known = JSON.stringify(now); show(); }
    return now;
  });
  busy = renewed;
  return renewed;
}

function send(path, body, words) {
  busy = busy.then(async () => {
    try {
      held = await change(path, body());
      show();
      say(words());
    } catch (error) { say(error.message, true); }
  });
  return busy;
}

export function say(words, bad = false) {
  status.textContent = words;
  status.classList.toggle("error", bad);
}

export function note() {
  const dialog = document.getElementById("note");
  const text = dialog.querySelector("textarea");
  const at = frame;
  text.value = noteOf(at);
  dialog.returnValue = "";
  dialog.showModal();
  dialog.addEventListener("close", () => {
    const decision = { kind: "note", frame: at, note: text.value.trim() };
    if (dialog.returnValue === "save") send("/decisions", () => decision, () => "noted");
  }, { once: true });
}

export function mark(at) { frame = at; press(); }

function press() {
  for (const [kind, word] of Object.entries(WORDS)) {
    const name = kind[0].toUpperCase() + kind.slice(1);
    buttons[name].setAttribute("aria-pressed", String(held[word].includes(frame)));
  }
  enable(buttons.Undo, held.can_undo);
  enable(buttons.Redo, held.can_redo);
}

/** The stills as they were published, with their marks, and beside them what would be new. */
function show() {
  press();
  keepingFocus(picks, (one) => one.closest("li")?.dataset.frame, cards);
  for (const listener of changed) listener();
}

function cards() {
  for (const card of picks.querySelectorAll("li.new")) card.remove();
  const published = [...picks.querySelectorAll("li[data-frame]")];
  const have = new Set(published.map((card) => Number(card.dataset.frame)));
  for (const card of published) {
    const at = Number(card.dataset.frame);
    const out = !held.draft.includes(at);
    card.classList.toggle("out", out);
    let label = card.querySelector(".mark");
    if (!label) { label = make("p", { className: "mark" }); card.append(label); }
    const other = held.instead[at];
    label.textContent = [...wordsOf(at), out && other ? `frame ${other} instead` : "", noteOf(at)].filter(Boolean).join(", ");
    label.hidden = !label.textContent;
    if (out && other && !have.has(other)) card.after(fresh(other, `in place of frame ${at}`));
  }
  const replacing = new Set(Object.values(held.instead));
  for (const at of held.draft) if (!have.has(at) && !replacing.has(at)) picks.append(fresh(at, wordsOf(at).join(", ")));
}

function fresh(at, words) {
  const card = make("li", { className: "new" });
  card.dataset.frame = at;
  const link = make("a", { href: `/films/${film.id}/frames/${at}` }, make("img", { src: stripPicture(at), alt: `Frame ${at}` }));
  card.append(link, make("p", {}, make("b", { textContent: "new" }), make("span", { textContent: `frame ${at}` })), make("p", { className: "mark", textContent: words }));
  return card;
}

export const start = show;

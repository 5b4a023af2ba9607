// The keys of a film's page. Everybody may change them; this browser keeps them.
import { make } from "./api.js";

const STORED = "stillwatch-keys";
const NAMED = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };
const actions = new Map();
const changed = read();
const listeners = new Set();
let asking = null;

function read() {
  try { return JSON.parse(localStorage.getItem(STORED)) ?? {}; } catch { return {}; }
}

/** An action with its usual key (`Shift+` in front where that is held) and what it does in words. */
export function action(name, usual, words, work) { actions.set(name, { usual, words, work }); }
export const keyOf = (name) => changed[name] ?? actions.get(name)?.usual ?? "";
export const onKeys = (listener) => listeners.add(listener);

/** What was pressed: letters and signs as they are, named keys with Shift where it is held. */
export function pressed(event) {
  return event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
}

export function run(event) {
  const key = pressed(event);
  for (const [name, { work }] of actions) {
    if (keyOf(name) === key) { work(); return true; }
  }
  return false;
}

/** For people: the arrows as arrows, capitals as Shift and the letter. */
export function parts(key) {
  const found = key.startsWith("Shift+") ? ["Shift", key.slice(6)] : [key];
  const last = found.pop();
  if (last.length === 1 && last !== last.toLowerCase()) found.push("Shift", last.toLowerCase());
  else found.push(NAMED[last] ?? last);
  return found;
}
export const shortcut = (key) => parts(key).map((part) => Object.keys(NAMED).find((name) => NAMED[name] === part) ?? part).join("+");

function set(name, key) {
  const before = keyOf(name);
  // Whoever had the key gets the one that is free now: none is lost.
  for (const other of actions.keys()) if (other !== name && keyOf(other) === key) changed[other] = before;
  changed[name] = key;
  keep();
}

function keep() {
  try { localStorage.setItem(STORED, JSON.stringify(changed)); } catch { /* they hold for this page then */ }
  for (const listener of listeners) listener();
}

const dialog = document.getElementById("help");
const list = document.getElementById("key-list");
const said = document.getElementById("key-said");

function fill() {
  list.replaceChildren(...[...actions].map(([name, { words }]) => {
    const button = make("button", { type: "button" }, ...parts(keyOf(name)).map((part) => make("kbd", { textContent: part })));
    button.dataset.action = name;
    button.setAttribute("aria-label", `Key for ${words}: ${parts(keyOf(name)).join(" ")}`);
    button.addEventListener("click", () => ask(name, button));
    return make("div", {}, make("dt", {}, button), make("dd", { textContent: words }));
  }));
}

function ask(name, button) {
  asking = name;
  for (const other of list.querySelectorAll("button")) other.classList.toggle("asking", other === button);
  said.textContent = `Press the new key for “${actions.get(name).words}”, or Escape to leave it.`;
}

dialog.addEventListener("keydown", (event) => {
  if (asking === null) return;
  if (["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return;
  event.preventDefault();
  const name = asking;
  asking = null;
  if (event.key !== "Escape" && !event.ctrlKey && !event.altKey && !event.metaKey) {
    set(name, pressed(event));
    said.textContent = "This browser keeps it.";
  } else said.textContent = "";
  fill();
  list.querySelector(`[data-action="${name}"]`).focus();
});
dialog.addEventListener("cancel", (event) => { if (asking !== null) event.preventDefault(); });
document.getElementById("key-reset").addEventListener("click", () => {
  for (const name of Object.keys(changed)) delete changed[name];
  asking = null;
  keep();
  fill();
  said.textContent = "These are the usual keys.";
});

export function help() {
  said.textContent = "";
  asking = null;
  fill();
  dialog.showModal();
}

// The export panel: a preview that follows the settings, the export with progress and stop, and paths to take away.
import { change, film, json, make, stripPicture } from "./api.js";
import { settled } from "./api.js";
import * as curve from "./curve.js";
import { enable, keepingFocus, reload } from "./focus.js";

const form = document.getElementById("export");
const said = document.getElementById("export-said");
const progress = document.getElementById("export-progress");
const previewed = document.getElementById("previewed");
const begin = document.getElementById("go-export");
const halt = document.getElementById("stop-export");
const initial = values();
const FILES = ["format", "size", "folder"];
let asked = 0;
const handlers = { pick: () => {} };
export const onPreview = (handler) => { handlers.pick = handler; };

function values() {
  const found = {};
  for (const [name, text] of new FormData(form)) {
    const value = text.trim();
    if (value === "") continue;
    // What is no number goes as it is: the server says why it takes it for none.
    found[name] = name !== "folder" && /^-?[0-9.]+$/.test(value) && Number.isFinite(Number(value)) ? Number(value) : value;
  }
  return found;
}

/** What was changed in the panel; with nothing changed, the stills are taken as they are marked. */
function settings() {
  const now = values();
  const same = Object.keys({ ...now, ...initial }).every((name) => FILES.includes(name) || now[name] === initial[name]);
  return same ? Object.fromEntries(FILES.map((name) => [name, now[name]])) : now;
}

function say(words, bad = false) {
  said.textContent = words;
  said.classList.toggle("error", bad);
}

/** Whether something is filled in that an export has not been asked for with; whether one is under way. */
export const changed = () => JSON.stringify(values()) !== JSON.stringify(initial);
export const running = () => begin.getAttribute("aria-disabled") === "true";

async function preview() {
  asked += 1;
  const mine = asked;
  // The browser gives the text of a number that is none as nothing, as if nothing were asked for.
  const wrong = [...form.elements].find((one) => one.validity && !one.validity.valid);
  if (wrong) {
    say(`${wrong.labels[0].textContent.trim()}: ${wrong.validationMessage}`, true);
    return;
  }
  try {
    const found = await change("/preview", settings());
    if (mine !== asked) return;
    curve.preview(found.picks.map((pick) => pick.frame));
    previewed.hidden = false;
    keepingFocus(previewed, (one) => one.dataset.frame, () => previewed.replaceChildren(...found.picks.map((pick) => {
      const button = make("button", { type: "button" }, make("img", { src: stripPicture(pick.frame), alt: "" }), make("span", { textContent: `${pick.rank}  ${pick.time}  ${pick.score.toFixed(2)}` }));
      button.setAttribute("aria-label", `Preview ${pick.rank}, frame ${pick.frame}, ${pick.time}`);
      button.dataset.frame = pick.frame;
      button.addEventListener("click", () => handlers.pick(pick.frame));
      return button;
    })));
    const room = found.need ? `, at most ${found.need}, ${found.free} free${found.fits ? "" : ": too little for an export"}` : "";
    say([`${found.picks.length} would be chosen${room}`, found.shortfall, found.refined ? "the second metric decides at the export" : ""].filter(Boolean).join("; "), found.fits === false);
  } catch (error) { if (mine === asked) say(error.message, true); }
}

const follow = settled(preview, 150);

async function watch() {
  for (;;) {
    const state = await json("/export").catch((error) => ({ state: "failed", sentence: error.message }));
    const running = state.state === "running";
    if (!running && document.activeElement === halt) begin.focus({ preventScroll: true });
    progress.hidden = halt.hidden = !running;
    enable(begin, !running);
    if (state.state === "none") return;
    if (!running) {
      if (state.state === "done" && state.sentence) say(`${state.stills} stills exported and proven, in ${state.sentence}`);
      else if (state.state === "done") {
        sessionStorage.setItem(`exported-${film.id}`, String(state.stills));
        reload();
      } else say(state.sentence, state.state === "failed");
      return;
    }
    say(`exporting and proving, step ${state.steps}`);
    await new Promise((resolve) => { setTimeout(resolve, 300); });
  }
}

form.addEventListener("input", follow);
form.addEventListener("focusin", function first(event) {
  // Who comes back from an export reads what became of it.
  if (event.target === begin) return;
  form.removeEventListener("focusin", first);
  follow();
});
document.getElementById("preview").addEventListener("click", preview);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  enable(begin, false);
  // What a preview says now would hide how the export gets on.
  asked += 1;
  try {
    await change("/export", settings());
    await watch();
  } catch (error) {
    enable(begin, true);
    say(error.message, true);
  }
});
halt.addEventListener("click", () => change("/stop").catch((error) => say(error.message, true)));
document.getElementById("copy-paths")?.addEventListener("click", async () => {
  const paths = document.getElementById("paths");
  try {
    await navigator.clipboard.writeText(paths.value.trim());
    say("the paths are in the clipboard");
  } catch {
    paths.hidden = false;
    paths.focus();
    paths.select();
    say("copy the marked paths");
  }
});

curve.onCurve("span", (first, last) => {
  form.elements.start.value = curve.timeAt(first).toFixed(3);
  form.elements.end.value = curve.timeAt(last + 1).toFixed(3);
  follow();
});

/** From or up to a frame, by key. */
export async function bound(name, frame) {
  await curve.ready;
  form.elements[name].value = curve.timeAt(name === "start" ? frame : frame + 1).toFixed(3);
  const first = form.elements.start.value ? curve.frameAt(Number(form.elements.start.value)) : 0;
  const last = form.elements.end.value ? curve.frameAt(Number(form.elements.end.value)) : film.frames - 1;
  curve.select(first, last);
  follow();
}

export async function start() {
  // What a preview reads of the film is read before somebody asks for one, but after what is looked at now.
  if (film.status === "done") setTimeout(() => change("/prepare").catch(() => {}), 2500);
  const exported = sessionStorage.getItem(`exported-${film.id}`);
  sessionStorage.removeItem(`exported-${film.id}`);
  if (exported !== null) say(`${exported} stills exported and proven`);
  const state = await json("/export").catch(() => ({ state: "none" }));
  if (state.state === "running") watch();
}

// A film: the frame that is looked at, its reasons, filmstrip and curve, and the keys.
import { change, clock, film, json, make, rankOf, settled, stripPicture } from "./api.js";
import * as decisions from "./decide.js";
import * as curve from "./curve.js";
import * as exporting from "./export.js";
import { enable, keepingFocus, reload, restoreFocus } from "./focus.js";
import { action, help, keyOf, onKeys, run, shortcut } from "./keys.js";
import { onChange } from "./live.js";
import * as panes from "./panes.js";
import * as strip from "./strip.js";
import { reveal, whole, zoom } from "./view.js";

document.documentElement.classList.add("js");
const element = (id) => document.getElementById(id);
const why = element("why");
const tools = element("tools");
const hover = element("hover");
let frame = null;
let facts = null;
let compared = [];
let asks = 0;
const reasons = new Map();

const button = (name, work, properties = {}) => {
  const made = make("button", { type: "button", textContent: name, ...properties });
  made.addEventListener("click", work);
  return made;
};
const previous = button("Previous frame", () => go(frame - 1));
const next = button("Next frame", () => go(frame + 1));
const full = button("100 %", panes.toggle);
const compare = button("Compare", () => comparing(compared.length ? 0 : 2));
const four = button("Compare four", () => comparing(4), { hidden: true });
const alternatives = button("Alternatives", () => { others.hidden = !others.hidden; alternatives.setAttribute("aria-expanded", String(!others.hidden)); });
const others = make("div", { className: "others", hidden: true });
others.setAttribute("role", "group");
others.setAttribute("aria-label", "Other good frames of this moment");
compare.setAttribute("aria-pressed", "false");
panes.onLook((whole) => full.setAttribute("aria-pressed", String(!whole)));
alternatives.setAttribute("aria-expanded", "false");
const group = (...buttons) => make("div", { className: "group" }, ...buttons);
tools.append(group(...decisions.tools), make("span", { className: "gap" }), group(previous, next), group(full, compare, four, alternatives), others);

function go(wanted) {
  if (!film.frames) return;
  frame = Math.min(Math.max(wanted, 0), film.frames - 1);
  history.replaceState(null, "", `#${frame}`);
  enable(previous, frame > 0);
  enable(next, frame < film.frames - 1);
  const canvas = element("curve");
  canvas.setAttribute("aria-valuenow", frame);
  reveal(frame);
  curve.mark(frame);
  strip.mark(frame);
  decisions.mark(frame);
  for (const card of document.querySelectorAll("#picks li")) card.classList.toggle("current", Number(card.dataset.frame) === frame);
  picture();
  explain();
}

const picture = () => panes.showFrames(compared.length ? [compared[0], frame, ...compared.slice(2)] : [frame], curve.timeAt, histogram);

/** The best still stays at the left, the others walk by beside it. */
function comparing(count) {
  const best = film.stills[0]?.frame ?? frame;
  // Whoever looks at the best one sees the next beside it.
  const other = frame === best ? facts?.alternatives[0]?.frame ?? film.stills[1]?.frame : undefined;
  const rest = [...(facts?.alternatives ?? []), ...film.stills].map((one) => one.frame).filter((one) => one !== best && one !== (other ?? frame));
  if (!count) compared = [];
  else if (count === 2) compared = [best, frame];
  else compared = [best, frame, rest[0] ?? frame, rest[1] ?? frame];
  compare.setAttribute("aria-pressed", String(compared.length > 0));
  four.hidden = compared.length === 0;
  if (count && other !== undefined) go(other); else picture();
}

const place = (percent) => (percent === null ? null : percent >= 100 ? "the best" : `better than ${percent} %`);

const explain = settled(async () => {
  const asked = frame;
  asks += 1;
  const mine = asks;
  let found;
  try { found = await json(`/frames/${asked}.json`); } catch (error) {
    if (mine !== asks) return;
    why.replaceChildren(make("p", { className: "error", textContent: error.message }));
    return;
  }
  // An answer that comes late says what was, not what is.
  if (asked !== frame || mine !== asks) return;
  facts = found;
  panes.entitle(frame, facts.time_s);
  element("curve").setAttribute("aria-valuetext", `frame ${frame}, ${facts.time}, score ${facts.score ?? "none"}`);
  const rows = [
    ["Time", facts.time],
    [facts.metric ?? "Score", facts.score ?? "none"],
    ["Of the film", place(facts.percentile_film)],
    [`Of shot ${facts.shot}`, facts.shot === null ? null : place(facts.percentile_shot)],
    ["Verdict", facts.verdict_text],
    ["Captured", facts.captured?.replace("T", " ").replace(/\.\d+/, "")],
    ["Decided", decisions.wordsOf(frame).join(", ") || null],
    ["Note", decisions.noteOf(frame) || facts.note],
  ].filter(([, value]) => value !== null && value !== undefined);
  const list = make("dl");
  for (const [name, value] of rows) list.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
  const light = make("canvas", { id: "light", width: 256, height: 56 });
  light.setAttribute("role", "img");
  light.setAttribute("aria-label", "Histogram");
  const figures = make("p", { className: "quiet figures", hidden: true });
  why.replaceChildren(make("h2", { textContent: `Frame ${facts.frame}` }), make("p", { textContent: facts.why }), figures, list, light);
  histogram();
  reason(asked, figures);
  const fresh = facts.alternatives.map((one) => one.frame).join();
  enable(alternatives, facts.alternatives.length > 0);
  // The same ones stay, with whoever is about to press one of them.
  if (others.dataset.frames === fresh) return;
  others.dataset.frames = fresh;
  keepingFocus(others, (one) => one.dataset.frame, () => others.replaceChildren(...facts.alternatives.map((one) => {
    const taken = button("", () => go(one.frame));
    taken.append(make("img", { src: stripPicture(one.frame), alt: "" }), make("span", { textContent: `${one.time}  ${one.score.toFixed(2)}` }));
    taken.dataset.frame = one.frame;
    taken.setAttribute("aria-label", `Frame ${one.frame}, ${one.time}, score ${one.score.toFixed(2)}`);
    return taken;
  })));
}, 60);

/** The figures behind the verdict, once somebody stays at a frame: every gate is asked again. */
const reason = settled(async (asked, place) => {
  if (asked !== frame) return;
  if (!reasons.has(asked)) {
    const found = await json(`/frames/${asked}/why`).catch(() => null);
    if (!found) return;
    reasons.set(asked, found.because);
  }
  place.textContent = reasons.get(asked);
  place.hidden = !place.textContent;
}, film.frames > 20000 ? 1500 : 400);

/** How the picture's light is spread, from dark to bright. */
function histogram() {
  const canvas = element("light");
  const image = panes.imageOf(frame);
  if (!canvas || !image?.naturalWidth) return;
  const small = make("canvas", { width: 256, height: Math.max(1, Math.round((256 * image.naturalHeight) / image.naturalWidth)) });
  const copy = small.getContext("2d", { willReadFrequently: true });
  copy.drawImage(image, 0, 0, small.width, small.height);
  const { data } = copy.getImageData(0, 0, small.width, small.height);
  const bins = new Float64Array(64);
  for (let at = 0; at < data.length; at += 4) bins[(data[at] * 0.299 + data[at + 1] * 0.587 + data[at + 2] * 0.114) >> 2] += 1;
  const most = Math.max(...bins.slice(1, 63), 1);
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, 256, 56);
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--quiet");
  bins.forEach((count, at) => { const tall = Math.min(count / most, 1) * 54; pen.fillRect(at * 4, 56 - tall, 3, tall); });
}

function pointed(at, event) {
  curve.point(at);
  hover.hidden = at === null;
  if (at === null) return;
  const [image, text] = hover.children;
  if (hover.dataset.frame !== String(at)) { hover.dataset.frame = at; preview(at, image); }
  text.textContent = `frame ${at}  ${clock(curve.timeAt(at) ?? 0).slice(0, -1)}${rankOf(at) ? `  still ${rankOf(at)}` : ""}`;
  const box = event.currentTarget.getBoundingClientRect();
  const left = Math.min(Math.max(event.clientX - 120, 4), innerWidth - 248);
  hover.style.transform = `translate(${left}px, ${Math.max(box.top - hover.offsetHeight - 8, 4)}px)`;
}
const preview = settled((at, image) => { image.src = stripPicture(at); }, 15);

action("previous", "ArrowLeft", "one frame back", () => go(frame - 1));
action("next", "ArrowRight", "one frame on", () => go(frame + 1));
action("previous-still", "Shift+ArrowLeft", "the still before", () => pickToPick(-1));
action("next-still", "Shift+ArrowRight", "the next still", () => pickToPick(1));
action("accept", "a", "accept: the frame is in this selection", () => decisions.decide("accept"));
action("reject", "x", "reject: the next best of its moment takes its place", () => decisions.decide("reject"));
action("pin", "p", "pin: always in, in every later choice", () => decisions.decide("pin"));
action("ban", "b", "ban: never in, in every later choice", () => decisions.decide("ban"));
action("undo", "u", "undo", () => decisions.turn("undo"));
action("redo", "U", "redo", () => decisions.turn("redo"));
action("note", "n", "note", () => decisions.note());
action("full", "z", "100 %, or the whole picture", () => full.click());
action("look-left", "j", "at 100 %: to the left", () => panes.move(-0.2, 0));
action("look-right", "l", "at 100 %: to the right", () => panes.move(0.2, 0));
action("look-up", "i", "at 100 %: upwards", () => panes.move(0, -0.2));
action("look-down", "k", "at 100 %: downwards", () => panes.move(0, 0.2));
action("enlarge", ">", "enlarge the picture", () => panes.enlarge(1.25));
action("reduce", "<", "reduce the picture", () => panes.enlarge(1 / 1.25));
action("compare", "c", "compare with the best still", () => compare.click());
action("alternatives", "m", "other good frames of this moment", () => alternatives.click());
action("zoom-in", "+", "zoom the curve in", () => zoom(0.6));
action("zoom-out", "-", "zoom the curve out", () => zoom(1 / 0.6));
action("zoom-all", "0", "the whole film", whole);
action("span-start", "[", "choose from this frame on", () => exporting.bound("start", frame));
action("span-end", "]", "choose up to this frame", () => exporting.bound("end", frame));
action("help", "?", "this help", help);

function pickToPick(direction) {
  const frames = film.stills.map((still) => still.frame).sort((one, other) => one - other);
  const found = direction < 0 ? frames.filter((one) => one < frame).pop() : frames.find((one) => one > frame);
  if (found !== undefined) go(found);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) return;
  if (run(event)) event.preventDefault();
});

/** Say the keys at the buttons that have one. */
function named() {
  const { Accept: accept, Reject: reject, Pin: pin, Ban: ban, Undo: undo, Redo: redo, Note: note } = decisions.buttons;
  const keyed = { accept, reject, pin, ban, undo, redo, note, previous, next, full, compare, alternatives };
  for (const [name, one] of Object.entries(keyed)) {
    const key = shortcut(keyOf(name));
    one.setAttribute("aria-keyshortcuts", key);
    one.title = `${one.textContent} (${key})`;
  }
}
onKeys(named);
named();

element("help-button").addEventListener("click", help);
element("zoom-in").addEventListener("click", () => zoom(0.6));
element("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
element("zoom-all").addEventListener("click", whole);
element("mark-span").addEventListener("click", (event) => {
  const wanted = event.target.getAttribute("aria-pressed") !== "true";
  event.target.setAttribute("aria-pressed", String(wanted));
  curve.markSpan(wanted);
});
element("picks").addEventListener("click", (event) => {
  const card = event.target.closest("a")?.closest("li[data-frame]");
  if (!card || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(Number(card.dataset.frame));
  element("panes").scrollIntoView({ block: "nearest" });
});
/** A button of which the paragraph around it says what became of it; it can be pressed again where that failed. */
function asking(id, work) {
  element(id)?.addEventListener("click", async ({ target }) => {
    const said = target.parentElement.querySelector("[role=status]");
    enable(target, false);
    try { await work((words) => { said.textContent = words; }); } catch (error) {
      said.textContent = error.message;
      enable(target, true);
    }
  });
}
asking("retry", async () => { await change("/retry"); reload(); });
asking("make-strip", async (say) => {
  let state = await change("/strip");
  while (state.running) {
    say(`${state.pictures} pictures so far`);
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    state = await json("/strip");
  }
  if (state.sentence) say(state.sentence); else reload();
});
/** The verdicts that the film has, with their colours and how many frames have them. */
function legend({ words, labels, counts }) {
  element("legend").replaceChildren(...words.flatMap((word, at) => {
    if (!counts[at]) return [];
    const swatch = make("i");
    if (curve.COLOURS[word]) swatch.style.background = curve.COLOURS[word];
    return make("li", {}, swatch, `${labels[at]} `, make("span", { className: "quiet", textContent: counts[at] }));
  }));
}
curve.onCurve("pick", go);
curve.onCurve("hover", pointed);
strip.onStrip("pick", go);
strip.onStrip("hover", pointed);
decisions.onDecided(() => { if (frame !== null) explain(); });
decisions.start();
strip.start();
exporting.onPreview(go);
const choosing = location.hash === "#export";
const asked = Number.parseInt(location.hash.slice(1), 10);
go(Number.isInteger(asked) ? asked : film.stills[0]?.frame ?? 0);
if (choosing) element("export").elements.count.focus(); else restoreFocus();
const drawn = await curve.start().catch((error) => {
  decisions.say(error.message, true);
  return null;
});
if (drawn) {
  legend(drawn);
  picture();
}
exporting.start();
if (!film.final) follow();
// Whoever comes back sees what another page or the command line has decided meanwhile.
const back = () => { if (!document.hidden) decisions.renew().then(anew); };
addEventListener("focus", back);
document.addEventListener("visibilitychange", back);

/** The page anew where its film has other stills than it shows; what was filled in stays, and nothing is taken away. */
function anew(now) {
  if (!now || exporting.running() || (now.selection === film.decisions.selection && now.status === film.status)) return;
  if (exporting.changed() || document.querySelector("dialog[open]")) decisions.say("the stills were chosen anew elsewhere: load the page again");
  else reload();
}

/** While the film is worked on: how far it is, and the page anew for what comes next. */
function follow() {
  onChange(settled(async () => {
    const answer = await fetch(location.pathname).catch(() => null);
    if (!answer?.ok || document.querySelector("dialog[open]")) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = JSON.parse(page.getElementById("film").textContent);
    if (now.status !== film.status || now.frames > 2 * film.frames) reload();
    else document.querySelector(".about").replaceChildren(...page.querySelector(".about").childNodes);
  }, 300));
}

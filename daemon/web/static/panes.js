// Pictures in full: one, or two or four side by side that pan and zoom together.
import { clock, film, framePicture, make, rankOf, stillFile, stripPicture } from "./api.js";

const stage = document.getElementById("panes");
const panes = [];
let look = { fit: true, scale: 1, x: 0.5, y: 0.5 };
const kept = new Map();
const KEPT = 24;

/** A picture's address in this page; the server's own words where there is none. */
async function load(frame, signal) {
  if (kept.has(frame)) {
    const url = kept.get(frame);
    kept.delete(frame);
    kept.set(frame, url);
    return url;
  }
  const rank = rankOf(frame);
  let answer = rank === null ? null : await fetch(stillFile(rank), { signal });
  if (!answer?.ok) answer = await fetch(framePicture(frame), { signal });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? "the picture cannot be shown");
  const url = URL.createObjectURL(await answer.blob());
  kept.set(frame, url);
  if (kept.size > KEPT) {
    const [oldest, old] = kept.entries().next().value;
    if (!panes.some((pane) => pane.frame === oldest)) { kept.delete(oldest); URL.revokeObjectURL(old); }
  }
  return url;
}

class Pane {
  constructor() {
    this.image = make("img", { alt: "", draggable: false });
    this.caption = make("div", { className: "caption" });
    this.note = make("div", { className: "note", hidden: true });
    this.element = make("div", { className: "pane" }, this.image, this.caption, this.note);
    this.image.addEventListener("load", () => { this.place(); this.onload?.(); });
    this.listen();
  }

  async show(frame, time) {
    this.frame = frame;
    this.abort?.abort();
    this.abort = new AbortController();
    this.image.alt = `Frame ${frame}`;
    this.caption.textContent = `frame ${frame}${time === undefined ? "" : `  ${clock(time)}`}${rankOf(frame) ? `  still ${rankOf(frame)}` : ""}`;
    if (!kept.has(frame)) {
      this.image.src = stripPicture(frame);
      this.say("…");
    }
    const { signal } = this.abort;
    try {
      await new Promise((resolve) => { setTimeout(resolve, kept.has(frame) ? 0 : 90); });
      if (signal.aborted) return;
      const url = await load(frame, signal);
      if (this.frame === frame) { this.image.src = url; this.say(""); }
    } catch (error) {
      if (error.name !== "AbortError" && this.frame === frame) this.say(`only a small picture: ${error.message}`);
    }
  }

  say(text) { this.note.textContent = text; this.note.hidden = !text; }

  place() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const { naturalWidth, naturalHeight } = this.image;
    if (!naturalWidth) return;
    const whole = Math.min(width / naturalWidth, height / naturalHeight);
    const scale = look.fit || this.image.src.includes("/strip/") ? whole : look.scale / (devicePixelRatio || 1);
    const centre = look.fit ? { x: 0.5, y: 0.5 } : look;
    const left = width / 2 - naturalWidth * scale * centre.x;
    const top = height / 2 - naturalHeight * scale * centre.y;
    this.image.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    this.element.classList.toggle("sharp", scale * (devicePixelRatio || 1) >= 2 && !this.image.src.includes("/strip/"));
    this.scale = scale;
  }

  listen() {
    let from = null;
    this.element.addEventListener("pointerdown", (event) => { from = event; this.element.setPointerCapture(event.pointerId); });
    this.element.addEventListener("pointerup", () => { from = null; });
    this.element.addEventListener("pointermove", (event) => {
      if (!from || look.fit) return;
      look.x -= (event.clientX - from.clientX) / (this.image.naturalWidth * this.scale);
      look.y -= (event.clientY - from.clientY) / (this.image.naturalHeight * this.scale);
      look.x = Math.min(Math.max(look.x, 0), 1);
      look.y = Math.min(Math.max(look.y, 0), 1);
      from = event;
      placeAll();
    });
    this.element.addEventListener("dblclick", toggle);
    this.element.addEventListener("wheel", (event) => {
      event.preventDefault();
      const now = look.fit ? this.scale * (devicePixelRatio || 1) : look.scale;
      look = { ...look, fit: false, scale: Math.min(Math.max(now * Math.exp(-event.deltaY / 400), 0.1), 8) };
      placeAll();
    }, { passive: false });
  }
}

function placeAll() { for (const pane of panes) pane.place(); }

/** 100 %, or the whole picture. */
export function toggle() {
  look = look.fit ? { ...look, fit: false, scale: 1 } : { ...look, fit: true };
  placeAll();
  return !look.fit;
}

/** Show frames side by side: one, two or four. */
export function showFrames(frames, timeAt, onload) {
  while (panes.length < frames.length) { const pane = new Pane(); panes.push(pane); stage.append(pane.element); }
  while (panes.length > frames.length) panes.pop().element.remove();
  const wide = frames.length === 2 ? 2 : 1;
  if (film.size) stage.style.aspectRatio = `${film.size[0] * wide} / ${film.size[1]}`;
  stage.className = `panes ${{ 2: "two", 4: "four" }[frames.length] ?? ""}`;
  frames.forEach((frame, at) => {
    panes[at].onload = onload;
    if (panes[at].frame !== frame) panes[at].show(frame, timeAt(frame)); else panes[at].place();
  });
}

/** The picture of a frame that is shown. */
export const imageOf = (frame) => panes.find((pane) => pane.frame === frame)?.image;
new ResizeObserver(placeAll).observe(stage);

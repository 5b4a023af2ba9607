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

  /** The caption; a time that is not known yet is left out. */
  entitle(time) {
    const rank = rankOf(this.frame);
    this.caption.textContent = `frame ${this.frame}${time === undefined ? "" : `  ${clock(time)}`}${rank ? `  still ${rank}` : ""}`;
  }

  async show(frame) {
    this.frame = frame;
    this.abort?.abort();
    this.abort = new AbortController();
    this.image.alt = `Frame ${frame}`;
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

  /** Where in the picture something is that is at a place of the window; 0 to 1 in both directions. */
  inside({ clientX, clientY }) {
    const box = this.element.getBoundingClientRect();
    const centre = look.fit ? { x: 0.5, y: 0.5 } : look;
    return {
      x: centre.x + (clientX - box.left - box.width / 2) / (this.image.naturalWidth * this.scale),
      y: centre.y + (clientY - box.top - box.height / 2) / (this.image.naturalHeight * this.scale),
    };
  }

  /** Zoom so that what is at a place of the window stays there. */
  zoomAt(place, factor) {
    const { x, y } = this.inside(place);
    const now = look.fit ? this.scale * (devicePixelRatio || 1) : look.scale;
    const scale = Math.min(Math.max(now * factor, 0.1), 8);
    const centre = look.fit ? { x: 0.5, y: 0.5 } : look;
    const moved = 1 - now / scale;
    set({ fit: false, scale, x: centre.x + (x - centre.x) * moved, y: centre.y + (y - centre.y) * moved });
  }

  listen() {
    const fingers = new Map();
    this.element.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, event);
      this.element.setPointerCapture(event.pointerId);
    });
    for (const end of ["pointerup", "pointercancel"]) this.element.addEventListener(end, (event) => fingers.delete(event.pointerId));
    this.element.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      fingers.set(event.pointerId, event);
      const other = [...fingers.values()].find((one) => one.pointerId !== event.pointerId);
      if (other) {
        const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
        if (apart(before) > 8 && apart(event) > 8) this.zoomAt(other, apart(event) / apart(before));
      } else if (!look.fit) {
        const { naturalWidth, naturalHeight } = this.image;
        moveBy((before.clientX - event.clientX) / (naturalWidth * this.scale), (before.clientY - event.clientY) / (naturalHeight * this.scale));
      }
    });
    this.element.addEventListener("dblclick", toggle);
    this.element.addEventListener("wheel", (event) => {
      // Over a single picture that is shown whole, the wheel goes on through the page.
      if (look.fit && panes.length === 1 && !event.ctrlKey) return;
      event.preventDefault();
      this.zoomAt(event, Math.exp(-Math.max(Math.min(event.deltaY, 120), -120) / 400));
    }, { passive: false });
  }
}

const listeners = new Set();
/** Whoever wants to know whether the whole picture is shown. */
export const onLook = (listener) => listeners.add(listener);

function set(wanted) {
  const within = (share) => Math.min(Math.max(share, 0), 1);
  look = { ...wanted, x: within(wanted.x), y: within(wanted.y) };
  stage.classList.toggle("whole", look.fit);
  for (const pane of panes) pane.place();
  for (const listener of listeners) listener(look.fit);
}
const moveBy = (x, y) => set({ ...look, x: look.x + x, y: look.y + y });
const placeAll = () => set(look);

/** 100 %, or the whole picture. */
export function toggle() {
  set(look.fit ? { ...look, fit: false, scale: 1 } : { ...look, fit: true });
}

/** Zoom in or out around the middle. */
export function enlarge(factor) {
  const [pane] = panes;
  if (!pane?.scale) return;
  const box = pane.element.getBoundingClientRect();
  pane.zoomAt({ clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 }, factor);
}

/** Move over the picture by a part of what is seen of it. */
export function move(right, down) {
  const [pane] = panes;
  if (look.fit || !pane?.scale) return;
  const { clientWidth, clientHeight } = pane.element;
  moveBy((right * clientWidth) / (pane.image.naturalWidth * pane.scale), (down * clientHeight) / (pane.image.naturalHeight * pane.scale));
}

/** Show frames side by side: one, two or four. */
export function showFrames(frames, timeAt, onload) {
  while (panes.length < frames.length) { const pane = new Pane(); panes.push(pane); stage.append(pane.element); }
  while (panes.length > frames.length) panes.pop().element.remove();
  const wide = frames.length === 2 ? 2 : 1;
  if (film.size) stage.style.aspectRatio = `${film.size[0] * wide} / ${film.size[1]}`;
  stage.classList.toggle("two", frames.length === 2);
  stage.classList.toggle("four", frames.length === 4);
  frames.forEach((frame, at) => {
    panes[at].onload = onload;
    if (panes[at].frame !== frame) panes[at].show(frame); else panes[at].place();
    panes[at].entitle(timeAt(frame));
  });
}

/** Say when a frame that is shown was taken, to the millisecond. */
export function entitle(frame, time) { for (const pane of panes) if (pane.frame === frame) pane.entitle(time); }

/** The picture of a frame that is shown. */
export const imageOf = (frame) => panes.find((pane) => pane.frame === frame)?.image;
new ResizeObserver(placeAll).observe(stage);

// The score curve: drawn from the least and greatest score of each column, as the server gives them.
import { clock, film, json, settled } from "./api.js";
import { onView, pan, span, view, zoom } from "./view.js";

export const COLOURS = {
  unscored: "#7d8590", black: "#3d4451", white: "#c9c2b2", flat: "#8d99ae", title: "#4c7bd9", titled: "#6f95e0", transition: "#8f6fd1",
  burnt: "#e0a100", dark: "#5b4a8a", blur: "#d2603a", blocks: "#b0457b", combed: "#2d9c8f", bars: "#3f8f4f",
  snow: "#6b7f99", spared: "#a8b545", subtitled: "#8fb3e8", leader: "#9c7a4a", glitch: "#c2185b",
};
const canvas = document.getElementById("curve");
const pen = canvas.getContext("2d");
const BAND = 10;
const TICKS = 12;
const AHEAD = 1;

let data = null;
let whole = null;
let range = [0, 1];
let secondRange = null;
let current = null;
let hovered = null;
let selected = null;
let marking = false;
let wished = [];
let waiting = false;
let colours = {};
const handlers = { pick: () => {}, hover: () => {}, span: () => {} };

export const onCurve = (name, handler) => { handlers[name] = handler; };
export function mark(frame) { current = frame; redraw(); }
export function point(frame) { hovered = frame; redraw(); }
/** Whether a drag marks a span, as with Shift, instead of moving the curve. */
export function markSpan(wanted) { marking = wanted; canvas.classList.toggle("marking", wanted); }
/** Frames that would be chosen: rings on the curve. */
export function preview(frames) { wished = frames; redraw(); }
export function select(first, last) { selected = first === null ? null : [Math.min(first, last), Math.max(first, last)]; redraw(); }

/** When a frame is shown, in seconds; undefined until the curve is there. */
export function timeAt(frame) {
  const table = data && frame >= data.first && frame <= data.last ? data : whole;
  if (!table || !table.starts.length) return undefined;
  const at = column(table, frame);
  const next = Math.min(at + 1, table.starts.length - 1);
  const share = next === at ? 0 : (frame - table.starts[at]) / (table.starts[next] - table.starts[at]);
  return table.time[at] + (table.time[next] - table.time[at]) * Math.min(Math.max(share, 0), 1);
}

/** The last number up to `high` for which something holds that holds for all before it; 0 where there is none. */
function lastThat(holds, high) {
  let low = 0;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (holds(middle)) low = middle; else high = middle - 1;
  }
  return low;
}

const column = ({ starts }, frame) => lastThat((at) => starts[at] <= frame, starts.length - 1);

/** The frame that is shown at a time, as well as the columns say. */
export const frameAt = (seconds) => lastThat((frame) => timeAt(frame) <= seconds + 1e-6, film.frames - 1);

async function load(first, last, columns) {
  return json(`/curve?first=${Math.floor(first)}&last=${Math.ceil(last)}&columns=${columns}`);
}

const fetchView = settled(async () => {
  const [first, last] = [view.first - span() * AHEAD, view.last + span() * AHEAD];
  const columns = Math.ceil(canvas.clientWidth * (2 * AHEAD + 1));
  try { data = await load(first, last, columns); redraw(); } catch { /* the curve that is there stays */ }
}, 80);

function fits() {
  if (!data || data.first > Math.max(0, view.first - 1) || data.last < Math.min(film.frames - 1, view.last)) return false;
  const perColumn = (data.last - data.first + 1) / data.starts.length;
  return perColumn <= 1 || perColumn <= (1.4 * span()) / canvas.clientWidth;
}

export function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  colours = { raw: value("--raw"), second: value("--second"), accent: value("--accent"), text: value("--text"), quiet: value("--quiet"),
    line: value("--line"), fill: value("--accent-fill"), raised: value("--raised") };
}

function draw() {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const table = fits() ? data : data ?? whole;
  if (!table || !table.starts.length || !film.frames) return;
  const x = (frame) => ((frame - view.first) / span()) * width;
  const y = level(height, range, film.lowerBetter);
  const from = Math.max(column(table, view.first) - 1, 0);
  const to = Math.min(column(table, view.last) + 2, table.starts.length);
  if (selected) {
    pen.globalAlpha = 0.18;
    pen.fillStyle = colours.fill;
    pen.fillRect(x(selected[0]), 0, x(selected[1] + 1) - x(selected[0]), height);
    pen.globalAlpha = 1;
  }
  drawShots(x, width, height);
  drawBands(table, from, to, x, height);
  drawRaw(table, from, to, x, y);
  drawRolling(table, from, to, x, y);
  drawSecond(table, from, to, x, height);
  drawStills(x, y, table);
  drawWished(x, y, table);
  pen.fillStyle = colours.quiet;
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "top";
  pen.textAlign = "left";
  pen.fillText(`better ↑  ${film.metric ?? ""}`, 8, TICKS + 4);
  drawScale(y, width);
  drawTimes(x, width, height);
  if (hovered !== null) line(x(hovered + 0.5), height, colours.quiet, 1);
  if (current !== null) line(x(current + 0.5), height, colours.accent, 2);
}

/** The least and greatest of some scores, but for the outermost hundredths; null without any. */
function rangeOf(scores) {
  const known = scores.filter((score) => score !== null).sort((one, other) => one - other);
  const edge = Math.floor(known.length * 0.01);
  return known.length ? [known[edge], known[known.length - 1 - edge]] : null;
}

/** From a score to its height, the better the higher. */
function level(height, [low, high], lowerBetter) {
  const room = height - BAND - TICKS - 30;
  return (score) => {
    const share = Math.min(Math.max((score - low) / (high - low || 1), -0.03), 1.03);
    return TICKS + 10 + room * (lowerBetter ? share : 1 - share);
  };
}

/** The scores at a few heights, at the right edge. */
function drawScale(y, width) {
  pen.fillStyle = colours.quiet;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  const [low, high] = range;
  const step = [1, 2, 5, 10].map((times) => times * 10 ** Math.floor(Math.log10((high - low) / 4 || 1))).find((one) => (high - low) / one <= 4.5) ?? 1;
  for (let score = Math.ceil(low / step) * step; score <= high; score += step) {
    const at = Math.round(y(score)) + 0.5;
    pen.strokeStyle = colours.line;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.6;
    pen.beginPath();
    pen.moveTo(0, at);
    pen.lineTo(width - 44, at);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.raised;
    pen.lineWidth = 4;
    const words = score.toFixed(step < 1 ? Math.min(Math.ceil(-Math.log10(step)), 4) : 0);
    pen.strokeText(words, width - 6, at);
    pen.fillText(words, width - 6, at);
  }
}

function line(at, height, colour, thickness) {
  pen.strokeStyle = colour;
  pen.lineWidth = thickness;
  pen.beginPath();
  pen.moveTo(at, 0);
  pen.lineTo(at, height);
  pen.stroke();
}

function drawShots(x, width, height) {
  pen.strokeStyle = colours.quiet;
  pen.lineWidth = 1;
  let last = -9;
  for (const [kind, first, end] of film.shots) {
    if (end < view.first || first > view.last) continue;
    const left = x(first);
    if (kind === "shot") {
      if (left - last < 3) continue;
      last = left;
      pen.beginPath();
      pen.moveTo(Math.round(left) + 0.5, 0);
      pen.lineTo(Math.round(left) + 0.5, TICKS);
      pen.stroke();
    } else {
      const wide = Math.max(x(end + 1) - left, 2);
      pen.save();
      pen.globalAlpha = 0.5;
      pen.beginPath();
      pen.rect(left, 0, wide, height - BAND);
      pen.clip();
      pen.beginPath();
      for (let at = Math.max(left, 0) - height; at < Math.min(left + wide, width); at += 7) {
        pen.moveTo(at, height);
        pen.lineTo(at + height, 0);
      }
      pen.strokeStyle = COLOURS.transition;
      pen.stroke();
      pen.restore();
    }
  }
}

function drawBands(table, from, to, x, height) {
  for (let at = from; at < to; at += 1) {
    const word = table.words[table.verdict[at]];
    if (!COLOURS[word]) continue;
    let end = at + 1;
    while (end < to && table.verdict[end] === table.verdict[at]) end += 1;
    const left = x(table.starts[at]);
    const right = x(end < table.starts.length ? table.starts[end] : table.last + 1);
    pen.fillStyle = COLOURS[word];
    pen.fillRect(left, height - BAND, Math.max(right - left, 1), BAND);
    pen.globalAlpha = 0.1;
    pen.fillRect(left, TICKS, Math.max(right - left, 1), height - BAND - TICKS);
    pen.globalAlpha = 1;
    at = end - 1;
  }
}

function drawRaw(table, from, to, x, y) {
  pen.strokeStyle = colours.raw;
  pen.lineWidth = 1;
  pen.beginPath();
  const single = table.starts.length > 1 && table.starts[1] - table.starts[0] <= 1;
  let joined = false;
  for (let at = from; at < to; at += 1) {
    if (table.low[at] === null) { joined = false; continue; }
    const place = x(table.starts[at] + 0.5);
    if (single) {
      if (joined) pen.lineTo(place, y(table.low[at])); else pen.moveTo(place, y(table.low[at]));
      joined = true;
    } else {
      pen.moveTo(place, y(table.low[at]) - 0.5);
      pen.lineTo(place, y(table.high[at]) + 0.5);
    }
  }
  pen.stroke();
  if (single && canvas.clientWidth / span() > 7) {
    pen.fillStyle = colours.raw;
    for (let at = from; at < to; at += 1) {
      if (table.low[at] !== null) { pen.beginPath(); pen.arc(x(table.starts[at] + 0.5), y(table.low[at]), 2.5, 0, 7); pen.fill(); }
    }
  }
}

function drawRolling(table, from, to, x, y) {
  pen.strokeStyle = colours.accent;
  pen.lineWidth = 1.8;
  pen.lineJoin = "round";
  pen.beginPath();
  let joined = false;
  for (let at = from; at < to; at += 1) {
    if (table.rolling[at] === null) { joined = false; continue; }
    const end = at + 1 < table.starts.length ? table.starts[at + 1] : table.last + 1;
    const place = x((table.starts[at] + end) / 2);
    if (joined) pen.lineTo(place, y(table.rolling[at])); else pen.moveTo(place, y(table.rolling[at]));
    joined = true;
  }
  pen.stroke();
}

/** A second metric over its own range, upwards better as well. */
function drawSecond(table, from, to, x, height) {
  if (!table.second || !secondRange) return;
  const y = level(height, secondRange, table.second.lowerBetter);
  pen.strokeStyle = colours.second;
  pen.lineWidth = 1.4;
  pen.beginPath();
  let joined = false;
  for (let at = from; at < to; at += 1) {
    const score = table.second.score[at];
    if (score === null) continue;
    const end = at + 1 < table.starts.length ? table.starts[at + 1] : table.last + 1;
    const [left, top] = [x((table.starts[at] + end) / 2), y(score)];
    if (joined) pen.lineTo(left, top); else pen.moveTo(left, top);
    joined = true;
  }
  pen.stroke();
  pen.fillStyle = colours.second;
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "top";
  pen.textAlign = "left";
  pen.fillText(table.second.metric, 8, TICKS + 20);
}

function drawStills(x, y, table) {
  for (const { frame, rank, score } of film.stills) {
    if (frame < view.first - 1 || frame > view.last + 1) continue;
    const known = score ?? table.low[column(table, frame)];
    if (known === null || known === undefined) continue;
    pen.fillStyle = colours.fill;
    pen.strokeStyle = colours.raised;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x(frame + 0.5), y(known), rank === 1 ? 7 : 5.5, 0, 7);
    pen.fill();
    pen.stroke();
  }
}

function drawWished(x, y, table) {
  pen.strokeStyle = colours.text;
  pen.lineWidth = 2;
  for (const frame of wished) {
    const known = frame < view.first - 1 || frame > view.last + 1 ? null : table.low[column(table, frame)];
    if (known === null) continue;
    pen.beginPath();
    pen.arc(x(frame + 0.5), y(known), 9, 0, 7);
    pen.stroke();
  }
}

function drawTimes(x, width, height) {
  const count = Math.max(Math.floor(width / 150), 1);
  pen.fillStyle = colours.quiet;
  pen.textBaseline = "bottom";
  pen.textAlign = "center";
  for (let at = 0; at < count; at += 1) {
    const place = ((at + 0.5) / count) * width;
    const seconds = timeAt(view.first + (span() * (at + 0.5)) / count);
    pen.fillText(clock(seconds).replace(/\.\d+$/, (part) => (span() > 400 ? "" : part.slice(0, 3))), place, height - BAND - 3);
  }
}

// Pointers: a click takes a frame, a drag pans, two fingers zoom, shift and a drag take a span.
const pointers = new Map();
let moved = 0;
let spanFrom = null;
const frameUnder = (event) => {
  const box = canvas.getBoundingClientRect();
  const frame = Math.floor(view.first + ((event.clientX - box.left) / box.width) * span());
  return Math.min(Math.max(frame, 0), film.frames - 1);
};

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  moved = 0;
  spanFrom = event.shiftKey || marking ? frameUnder(event) : null;
});
canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) { handlers.hover(frameUnder(event), event); return; }
  moved += Math.abs(event.clientX - before.clientX);
  if (spanFrom !== null) { select(spanFrom, frameUnder(event)); pointers.set(event.pointerId, event); return; }
  if (pointers.size === 1) pan(((before.clientX - event.clientX) / canvas.clientWidth) * span());
  else if (pointers.size === 2) pinch(event, before);
  pointers.set(event.pointerId, event);
});
function pinch(event, before) {
  const other = [...pointers.entries()].find(([id]) => id !== event.pointerId)[1];
  const apart = Math.abs(before.clientX - other.clientX);
  const now = Math.abs(event.clientX - other.clientX);
  const box = canvas.getBoundingClientRect();
  if (apart > 8 && now > 8) zoom(apart / now, ((event.clientX + other.clientX) / 2 - box.left) / box.width);
}
function released(event) {
  if (!pointers.delete(event.pointerId)) return;
  if (event.type === "pointerup" && spanFrom !== null && moved >= 4) handlers.span(...selected);
  else if (event.type === "pointerup" && moved < 4) handlers.pick(frameUnder(event));
  spanFrom = null;
}
canvas.addEventListener("pointerup", released);
canvas.addEventListener("pointercancel", released);
canvas.addEventListener("pointerleave", () => { handlers.hover(null); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX / box.width) * span());
  else zoom(Math.exp(Math.max(Math.min(event.deltaY, 120), -120) / 300), (event.clientX - box.left) / box.width);
}, { passive: false });

let arrived = () => {};
/** Comes true when times are known. */
export const ready = new Promise((resolve) => { arrived = resolve; });

export async function start() {
  theme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { theme(); redraw(); });
  if (!film.frames) return null;
  whole = data = await load(0, film.frames - 1, Math.max(canvas.clientWidth, 400));
  arrived();
  const found = rangeOf([...whole.low, ...whole.high]);
  if (found) {
    const margin = (found[1] - found[0]) * 0.05 || 1;
    range = [found[0] - margin, found[1] + margin];
  }
  secondRange = whole.second && rangeOf(whole.second.score);
  onView(() => { if (!fits()) fetchView(); redraw(); });
  new ResizeObserver(() => { if (!fits()) fetchView(); redraw(); }).observe(canvas);
  redraw();
  return whole;
}

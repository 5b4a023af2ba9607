// What the server is asked for.
export const film = JSON.parse(document.getElementById("film").textContent);
const base = `/films/${film.id}`;

export async function json(path, options = {}) {
  const answer = await fetch(base + path, options);
  if (answer.ok) return answer.json();
  // The guard says why as text, the pages as JSON.
  const text = await answer.text();
  let reason = text.startsWith("{") ? null : text;
  try { reason ??= JSON.parse(text).error; } catch { /* the number says it then */ }
  throw new Error(reason || `the server answers ${answer.status}`);
}

/** Ask for a change; the server knows by the second secret that this page asks. */
export const change = (path, body = {}) => json(path, {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-CSRF-Token": document.querySelector("meta[name=csrf]").content },
  body: JSON.stringify(body),
});

export const stripPicture = (frame) => `${base}/strip/${frame}.jpg`;
export const stillFile = (rank) => `${base}/stills/${rank}`;
export const framePicture = (frame) => `${base}/frames/${frame}.jpg`;
export const rankOf = (frame) => film.stills.find((still) => still.frame === frame)?.rank ?? null;

export function clock(seconds) {
  const total = Math.round(Math.abs(seconds) * 1000);
  const hours = Math.floor(total / 3600000);
  const minutes = Math.floor(total / 60000) % 60;
  const rest = ((total % 60000) / 1000).toFixed(3).padStart(6, "0");
  return `${seconds < 0 ? "-" : ""}${hours ? `${hours}:${String(minutes).padStart(2, "0")}` : minutes}:${rest}`;
}

/** Wait until nobody has called for a moment. */
export function settled(work, milliseconds) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => work(...values), milliseconds); };
}

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

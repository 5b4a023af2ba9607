// The part of the film that strip and curve show: frames from `first` to `last`, both included.
import { film } from "./api.js";

const LEAST_FRAMES = 8;
const listeners = new Set();
export const view = { first: 0, last: Math.max(film.frames - 1, 0) };

export const onView = (listener) => listeners.add(listener);
export const span = () => view.last - view.first + 1;

export function show(first, last) {
  const wanted = Math.min(Math.max(last - first + 1, Math.min(LEAST_FRAMES, film.frames)), Math.max(film.frames, 1));
  const start = Math.min(Math.max(first, 0), Math.max(film.frames - wanted, 0));
  if (start === view.first && start + wanted - 1 === view.last) return;
  view.first = start;
  view.last = start + wanted - 1;
  for (const listener of listeners) listener();
}

/** Zoom so that the frame under the pointer stays there; `where` is 0 at the left and 1 at the right. */
export function zoom(factor, where = 0.5) {
  const wanted = Math.min(Math.max(span() * factor, LEAST_FRAMES), film.frames);
  const first = view.first + (span() - wanted) * where;
  show(first, first + wanted - 1);
}

export const pan = (frames) => show(view.first + frames, view.last + frames);
export const whole = () => show(0, film.frames - 1);

/** Move as little as needed to have a frame in view. */
export function reveal(frame) {
  const margin = Math.min(span() * 0.06, 20);
  if (frame < view.first + margin) pan(frame - view.first - margin);
  else if (frame > view.last - margin) pan(frame - view.last + margin);
}

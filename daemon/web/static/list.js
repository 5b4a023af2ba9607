// Keeps the list up to date while films are scored, and queues films again.
import { enable, keepingFocus } from "./focus.js";
import { onChange } from "./live.js";

const rows = document.getElementById("rows");
const parameters = new URLSearchParams(location.search);
let loading = false;
let again = false;

async function refresh() {
  if (loading) { again = true; return; }
  loading = true;
  try {
    const answer = await fetch(`/list?${parameters}`);
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      keepingFocus(rows, nameOf, () => show(fresh));
    }
  } catch { /* the server is gone; the event source connects again */ }
  loading = false;
  if (again) { again = false; setTimeout(refresh, 500); }
}

/** The film of a line, and what of it: its link, or the button beside it; of what stands above or below, where it leads. */
const nameOf = (one) => `${one.closest("li[data-film]")?.dataset.film ?? one.getAttribute("href")} ${one.closest(".facts") !== null}`;

/** Replace only the lines that differ, so that focus and pictures stay. */
function show(fresh) {
  const old = new Map([...rows.querySelectorAll("li[data-film]")].map((line) => [line.dataset.film, line]));
  const list = rows.querySelector(".films");
  const wanted = [...fresh.querySelectorAll("li[data-film]")];
  wanted.forEach((line, at) => {
    const known = old.get(line.dataset.film);
    old.delete(line.dataset.film);
    if (!known) { list.insertBefore(line, list.children[at] ?? null); return; }
    for (const part of ["cover", "what", "facts"]) {
      const before = known.querySelector(`.${part}`);
      const after = line.querySelector(`.${part}`);
      if (before.innerHTML !== after.innerHTML) before.replaceWith(after);
    }
    if (list.children[at] !== known) list.insertBefore(known, list.children[at] ?? null);
  });
  for (const gone of old.values()) gone.remove();
  const above = (root) => [...root.querySelectorAll(".counts, .cluster, .blank")];
  const text = (parts) => parts.map((part) => part.outerHTML).join("");
  const [before, after] = [above(rows), above(fresh)];
  if (text(before) === text(after)) return;
  for (const part of before) part.remove();
  list.before(...after);
}

/** Why the server refuses: the guard says it as text, the pages as JSON. */
async function reasonOf(answer) {
  const text = await answer.text();
  try { return JSON.parse(text).error ?? text; } catch { return text || `the server answers ${answer.status}`; }
}

document.documentElement.classList.add("js");
const said = document.getElementById("list-said");
rows.addEventListener("click", async (event) => {
  const film = event.target.dataset.retry;
  if (!film) return;
  const button = event.target;
  enable(button, false);
  const csrf = document.querySelector("meta[name=csrf]").content;
  let reason = "the server cannot be reached";
  try {
    const answer = await fetch(`/films/${film}/retry`, { method: "POST", headers: { "X-CSRF-Token": csrf }, body: "{}" });
    reason = answer.ok ? "" : await reasonOf(answer);
  } catch { /* said below */ }
  said.textContent = reason && `${button.getAttribute("aria-label")}: ${reason}`;
  said.hidden = !reason;
  if (reason) enable(button, true); else refresh();
});

onChange(refresh);

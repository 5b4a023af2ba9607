// Keeps the list up to date while films are scored, and queues films again.
const rows = document.getElementById("rows");
const parameters = new URLSearchParams(location.search);
let loading = false;
let again = false;

async function refresh() {
  if (loading) { again = true; return; }
  loading = true;
  try {
    const answer = await fetch(`/list?${parameters}`);
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html").body);
  } catch { /* the server is gone; the event source connects again */ }
  loading = false;
  if (again) { again = false; setTimeout(refresh, 500); }
}

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
      if (before.innerHTML === after.innerHTML) continue;
      if (part === "what" && before.contains(document.activeElement)) {
        const link = before.querySelector("a");
        after.querySelector("a").replaceWith(link);
        before.replaceChildren(...after.childNodes);
        link.focus();
      } else before.replaceWith(after);
    }
    if (list.children[at] !== known) list.insertBefore(known, list.children[at] ?? null);
  });
  for (const gone of old.values()) gone.remove();
  const blank = fresh.querySelector(".blank");
  rows.querySelector(".blank")?.remove();
  if (blank) list.before(blank);
  const counts = fresh.querySelector(".counts");
  if (rows.querySelector(".counts").innerHTML !== counts.innerHTML) rows.querySelector(".counts").replaceWith(counts);
}

document.documentElement.classList.add("js");
rows.addEventListener("click", async (event) => {
  const film = event.target.dataset.retry;
  if (!film) return;
  event.target.disabled = true;
  const csrf = document.querySelector("meta[name=csrf]").content;
  const answer = await fetch(`/films/${film}/retry`, { method: "POST", headers: { "X-CSRF-Token": csrf }, body: "{}" }).catch(() => null);
  if (answer?.ok) refresh();
  else event.target.disabled = false;
});

const source = new EventSource("/changes");
source.addEventListener("change", refresh);
addEventListener("pagehide", () => source.close());

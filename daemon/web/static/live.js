// Server-sent events, for as long as somebody looks: a browser keeps six connections to one server for all its tabs.
export function onChange(work) {
  let source = null;
  const close = () => { source?.close(); source = null; };
  const look = () => {
    if (document.hidden) { close(); return; }
    if (source) return;
    source = new EventSource("/changes");
    source.addEventListener("change", work);
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", close);
  addEventListener("pageshow", look);
  look();
}

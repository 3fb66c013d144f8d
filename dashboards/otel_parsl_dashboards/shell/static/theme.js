// Before anything is painted, or the page would flash in the other theme.
(() => {
  const names = ["auto", "light", "dark"];
  const apply = (name) => {
    document.documentElement.dataset.theme = name;
    const button = document.getElementById("theme");
    if (button) button.textContent = "Theme: " + name;
  };
  let chosen = "auto";
  try { chosen = localStorage.getItem("otel-parsl-theme") || "auto"; } catch (_) { /* no storage */ }
  if (!names.includes(chosen)) chosen = "auto";
  apply(chosen);
  document.addEventListener("DOMContentLoaded", () => {
    apply(chosen);
    document.getElementById("theme").addEventListener("click", () => {
      chosen = names[(names.indexOf(chosen) + 1) % names.length];
      apply(chosen);
      try { localStorage.setItem("otel-parsl-theme", chosen); } catch (_) { /* no storage */ }
    });
  });
})();
// Where a help mark says what it says: in the window, whatever scrolls or ends around the mark.
(() => {
  const GAP = 6;
  const place = (event) => {
    const mark = event.target instanceof Element && event.target.closest(".help");
    if (!mark) return;
    const text = mark.querySelector("em"), at = mark.getBoundingClientRect();
    text.style.position = "fixed";
    const { width, height } = text.getBoundingClientRect();
    const left = Math.min(at.left, innerWidth - width - GAP);
    const isBelow = at.bottom + GAP + height < innerHeight || at.top < height + GAP;
    Object.assign(text.style, {
      left: `${Math.max(left, GAP)}px`,
      right: "auto",
      top: `${isBelow ? at.bottom + GAP : at.top - height - GAP}px`,
    });
  };
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, place);
})();

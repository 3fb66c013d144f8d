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

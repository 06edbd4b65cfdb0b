// The theme: as the system says, or as the reader chose. Runs before the page is painted.
(() => {
  const NAMES = { auto: "automatic", light: "light", dark: "dark" };
  const order = Object.keys(NAMES);
  const stored = () => {
    try {
      const found = localStorage.getItem("theme");
      return order.includes(found) ? found : "auto";
    } catch {
      return "auto";
    }
  };
  let theme = stored();
  const apply = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  const changed = () => document.dispatchEvent(new Event("themechange"));
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => { button.textContent = `Theme: ${NAMES[theme]}`; };
    label();
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      try { localStorage.setItem("theme", theme); } catch { /* without storage it lasts for this page */ }
      apply();
      label();
      changed();
    });
  });
})();

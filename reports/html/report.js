// Sorting, filtering, details of a row, and the choice of dark or light.
// Without it the page is whole: the table stands in order of rank, details open by themselves.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");

  // file:// pages may be denied storage: the choice then lasts as long as the page
  const memory = {
    get() {
      try { return localStorage.getItem("polytimbre-theme"); } catch { return null; }
    },
    set(value) {
      try { localStorage.setItem("polytimbre-theme", value); } catch { /* denied */ }
    },
  };
  const chosen = memory.get();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

  function themeButton(button) {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
    const label = () => { button.textContent = dark() ? "Light" : "Dark"; button.title = `Use ${dark() ? "light" : "dark"} colours`; };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      memory.set(root.dataset.theme);
      label();
    });
    system.addEventListener("change", label);
    label();
    button.hidden = false;
  }

  const bodies = (table) => [...table.tBodies];

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const other = { ascending: "descending", descending: "ascending" };
        const order = other[head.getAttribute("aria-sort")] || head.dataset.first;
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        sort(table, column, order === "ascending" ? 1 : -1);
      });
    });
    heads[0].setAttribute("aria-sort", "ascending");
  }

  function sort(table, column, sign) {
    const value = (body) => body.rows[0].cells[column].dataset.value;
    const sorted = bodies(table).sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is not there comes last
      const numbers = !isNaN(x) && !isNaN(y);
      return sign * (numbers ? x - y : x.localeCompare(y, "en"));
    });
    table.append(...sorted);
  }

  function expandable(body) {
    const [row, detail] = body.rows;
    const head = row.querySelector("th");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", head.dataset.label);
    button.setAttribute("aria-controls", head.dataset.detail);
    head.prepend(button);
    const show = (open) => {
      button.setAttribute("aria-expanded", open);
      detail.hidden = !open;
      detail.querySelector("details").open = open;
    };
    show(false);
    row.addEventListener("click", (event) => {
      if (event.target.closest("a")) return;
      if (getSelection().toString() && !event.target.closest("button")) return;
      show(detail.hidden);
    });
  }

  function filterable(form, table) {
    const filter = () => {
      const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kinds = new Set(new FormData(form).getAll("family"));
      let shown = 0;
      bodies(table).forEach((body) => {
        const name = body.dataset.model.toLowerCase();
        body.hidden = !(kinds.has(body.dataset.family) && words.every((word) => name.includes(word)));
        shown += !body.hidden;
      });
      form.querySelector(".count").textContent = `${shown} of ${table.tBodies.length} models`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    filter();
  }

  function reveal() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target) target.scrollIntoView();
  }

  document.addEventListener("DOMContentLoaded", () => {
    themeButton(document.querySelector("button.theme"));
    // on a phone the menu is wider than the screen
    document.querySelector("header.site nav a[aria-current]")
      ?.scrollIntoView({ inline: "center", block: "nearest", behavior: "instant" });
    document.querySelectorAll("table.headline").forEach((table) => {
      sortable(table);
      bodies(table).forEach(expandable);
      filterable(table.closest("section").querySelector("form.controls"), table);
      table.querySelector(".hint").hidden = false;
    });
    addEventListener("hashchange", reveal);
    reveal();
  });
})();

// Lists: J and K move in any [data-list], Enter follows the row's link.
import { $, $$ } from "./dom.js";

const rows = () => $$("[data-list] [data-row]");

function select(row) {
  for (const r of rows()) r === row ? r.setAttribute("aria-current", "true") : r.removeAttribute("aria-current");
  row.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (e) => {
  if (e.metaKey || e.ctrlKey || e.altKey || e.target.closest?.("input, textarea, select, [contenteditable], dialog[open], [popover]:popover-open")) return;
  const all = rows();
  const at = all.findIndex((r) => r.hasAttribute("aria-current"));
  if (all.length && (e.key === "j" || e.key === "k")) {
    e.preventDefault();
    select(all[Math.min(all.length - 1, Math.max(0, at + (e.key === "j" ? 1 : -1)))]);
  } else if (e.key === "Enter" && at >= 0 && e.target === document.body) {
    $("a[href]", all[at])?.click();
  }
});

document.addEventListener("click", (e) => {
  const row = e.target.closest("[data-row]");
  if (row) select(row);
});

// Lists (_list.html). J and K move the focus from row to row, Enter opens, X selects, Shift+X a range, Space looks at one
// beside the list. What is current and what is selected is known by the ids of rows, so it outlives every live update.
import { ask } from "./dialogs.js";
import { $, $$, onChange, root, write } from "./dom.js";

const rows = () => $$("[data-list] [data-row]");
const box = (row) => $('.c-pick input', row);
const link = (row) => $("a.ttl, a.b, a.ibl", row);
const picked = new Set();
// Also those on other pages.
let everywhere = false;
let order = [];
let current = null;
let anchor = null;
// The focus is in a row, or in the bar of the selection.
let hadFocus = false;
// Under which heading each row stood, and whether what the reader did is on its way.
let under = new Map();
let isActing = false;

function setCurrent(row, focus = true) {
  for (const each of rows()) if (each !== row && each.hasAttribute("aria-current")) { each.removeAttribute("aria-current"); each.tabIndex = -1; }
  current = row?.id ?? null;
  if (!row) return;
  row.setAttribute("aria-current", "true");
  row.tabIndex = 0;
  if (focus) { row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest" }); }
}

function pick(some, on) {
  for (const row of some) on ? picked.add(row.id) : picked.delete(row.id);
  show();
}
function show() {
  const all = rows();
  for (const row of all) {
    const on = picked.has(row.id);
    row.classList.toggle("sel", on);
    if (box(row)) box(row).checked = on;
  }
  const wide = $("#bulk [name=all]");
  if (!all.length || picked.size < all.length) everywhere = false;
  if (wide) wide.checked = everywhere;
  const head = $("[data-pick-all]");
  if (head) { head.checked = all.length > 0 && picked.size === all.length; head.indeterminate = picked.size > 0 && !head.checked; }
  const said = $("[data-selected-count]");
  if (said) write(said, wide?.checked ? wide.parentElement.textContent.trim() : `${picked.size} selected`);
  const bar = $("#bulk");
  bar?.classList.toggle("shown", picked.size > 0);
  // It takes the focus of whoever was in it along.
  if (!picked.size && bar?.contains(document.activeElement)) setCurrent(document.getElementById(current) ?? all[0]);
}

const isLost = () => hadFocus && (document.activeElement === document.body || !document.activeElement);

// After a change: what left the list is selected no more, and whoever stood on it stands on the next one. So they do where
// their own act has put it under another heading: what waits there is what they go on with.
function settle() {
  const all = rows();
  // Lists that are not of the component yet.
  for (const row of all) { row.id ||= `row-${link(row)?.getAttribute("href")}`; if (row.tabIndex < 0) row.tabIndex = -1; }
  const now = new Map(all.map((row) => [row.id, row.parentElement.dataset.group]));
  for (const id of picked) if (!now.has(id)) picked.delete(id);
  const stays = (id) => now.has(id) && (!isActing || now.get(id) === under.get(current));
  if (current) {
    const at = order.indexOf(current);
    const to = stays(current) ? current : order.slice(at + 1).find(stays) ?? order.slice(0, at).reverse().find(stays) ?? (now.has(current) ? current : null);
    // What was pressed in a row has gone with its act: whoever pressed it is on that row still.
    const moves = isLost() || (to !== current && document.getElementById(current)?.contains(document.activeElement));
    setCurrent(to && document.getElementById(to), moves);
  }
  order = [...now.keys()];
  under = now;
  show();
}
document.addEventListener("focusin", (e) => {
  const row = e.target.closest("[data-row]");
  hadFocus = Boolean(row || e.target.closest("#bulk"));
  if (row && row.id !== current) setCurrent(row, false);
});
document.addEventListener("pointerdown", (e) => { if (!e.target.closest("[data-row], #bulk")) hadFocus = false; });
document.addEventListener("submit", (e) => { isActing ||= e.target.getAttribute("id") === "bulk"; });
onChange(settle);

const within = "input:not([type=checkbox]), textarea, select, [contenteditable], dialog, [popover]";
document.addEventListener("keydown", (e) => {
  if (e.altKey || e.defaultPrevented || e.target.closest?.(within) || $("dialog[open], [popover]:popover-open")) return;
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.id === current);
  const row = all[at];
  const key = root.dataset.keys === "off" && !(e.metaKey || e.ctrlKey) ? "" : e.key.toLowerCase();
  const onRow = e.target === row;
  if (e.metaKey || e.ctrlKey) {
    // Once for the page, once more for all that match.
    if (key !== "a" || !hadFocus || !box(all[0])) return;
    everywhere = picked.size === all.length && Boolean($("#bulk [name=all]"));
    pick(all, true);
  } else if (key === "j" || key === "k") setCurrent(all[Math.min(all.length - 1, Math.max(0, at + (key === "j" ? 1 : -1)))]);
  else if (key === "x" && row && box(row)) {
    const from = e.shiftKey ? all.findIndex((each) => each.id === anchor) : -1;
    from < 0 ? pick([row], !picked.has(row.id)) : pick(all.slice(Math.min(from, at), Math.max(from, at) + 1), true);
    anchor = row.id;
  } else if (key === "e" && !e.shiftKey && row && $("[data-key-e] button", row)) $("[data-key-e] button", row).click();
  else if (e.key === "Enter" && onRow) link(row)?.click();
  else if (e.key === " " && onRow && row.closest("[data-peeks]")) peek(row);
  else if (e.key === "Escape" && !$("#peek")?.hidden) closePeek();
  else if (e.key === "Escape" && picked.size) pick(all, false);
  else return;
  e.preventDefault();
});

document.addEventListener("change", (e) => {
  if (e.target.matches("[data-pick-all]")) return pick(rows(), e.target.checked);
  if (e.target.matches("#bulk [name=all]")) {
    everywhere = e.target.checked;
    return everywhere ? pick(rows(), true) : show();
  }
  const row = e.target.closest(".c-pick") && e.target.closest("[data-row]");
  if (row) { pick([row], e.target.checked); anchor = row.id; }
});
document.addEventListener("click", (e) => {
  if (e.target.closest("[data-unpick]")) return pick(rows(), false);
  if (e.target.closest("[data-unpeek]")) return closePeek();
  // An act that asks for more opens its dialog for what is selected.
  const act = e.target.closest("#bulk [data-sheet]");
  if (act) {
    e.preventDefault();
    const sent = new FormData(act.form);
    const query = new URLSearchParams([...sent].filter(([name]) => name === "id" || name === "list"));
    return void ask(`${act.dataset.sheet}?${query}`, act);
  }
  const row = e.target.closest("[data-row]");
  if (!row) return;
  // A box with Shift takes all from the last one on.
  if (e.target === box(row) && e.shiftKey && anchor) {
    const all = rows();
    const [a, b] = [all.findIndex((each) => each.id === anchor), all.indexOf(row)].sort((x, y) => x - y);
    if (a >= 0) return pick(all.slice(a, b + 1), true);
  }
  // The row is its link; what is selected as text, or can be pressed itself, is left alone.
  if (e.target.closest("a, button, input, label, summary") || getSelection().toString()) return;
  const to = link(row);
  if (to) e.metaKey || e.ctrlKey ? open(to.href) : to.click();
});

// A is for the selection, and for the row that one is on where nothing is selected. The event does not bubble.
document.addEventListener("hotkey-fire", (e) => {
  if (!e.target.closest?.("#bulk") || picked.size || e.defaultPrevented) return;
  const row = document.getElementById(current);
  hadFocus && row && box(row) ? pick([row], true) : e.preventDefault();
}, true);
// What was done to a selection ends it.
// By the bar, or by a dialog of it, which is gone when its request ends.
for (const name of ["htmx:after:swap", "htmx:finally:request"]) document.addEventListener(name, (e) => {
  const { request, response, sourceElement } = e.detail.ctx;
  // Its fields are called id as well, so that form.id would be one of them.
  if (!(request?.form ?? sourceElement).getAttribute("id")?.startsWith("bulk")) return;
  if (name === "htmx:finally:request") isActing = false;
  if (!(response?.status < 400)) return;
  $("#bulk [popover]:popover-open")?.hidePopover();
  picked.clear();
  show();
});

// ---- beside the list
let peeked = null;
async function peek(row) {
  if (peeked === row.id && !$("#peek").hidden) return closePeek();
  peeked = row.id;
  await fill();
}
async function fill() {
  const row = document.getElementById(peeked);
  const pane = $("#peek");
  if (!row || !pane) return closePeek();
  const answer = await fetch(`${link(row).href}/peek`, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok || peeked !== row.id) return;
  const shown = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#peek-body");
  if (!shown) return;
  if (pane.firstElementChild?.outerHTML !== shown.outerHTML) pane.replaceChildren(document.adoptNode(shown));
  pane.hidden = false;
}
function closePeek() {
  peeked = null;
  const pane = $("#peek");
  if (!pane || pane.hidden) return;
  const inside = pane.contains(document.activeElement);
  pane.hidden = true;
  pane.replaceChildren();
  if (inside) document.getElementById(current)?.focus();
}
onChange(() => { if (peeked && !$("#peek")?.hidden) fill(); });

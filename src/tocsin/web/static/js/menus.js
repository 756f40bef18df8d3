// Menus by keyboard: an opened one takes the focus to its present entry; arrows, Home, End and letters move, a number
// chooses, Escape closes and gives the focus back to what opened it.
import { $, $$ } from "./dom.js";

const MENU = ".menu[popover]";
const entries = (menu) => $$(".mi:not([disabled]), .btn, select, input:not([type=hidden]), summary", menu).filter((el) => el.checkVisibility());
const opener = (menu) => $$(`[popovertarget="${menu.id}"]`).find((el) => el.checkVisibility());

document.addEventListener("toggle", (e) => {
  const menu = e.target;
  if (!menu.matches?.(MENU)) return;
  // A question has the focus and not its answer: what cannot be taken back is never one Enter away.
  if (e.newState === "open") menu.contains(document.activeElement) || (menu.matches(".ask") ? $("input", menu) ?? menu : $('[aria-current="true"]', menu) ?? entries(menu)[0])?.focus();
  // What had the focus has it again; who came by a key had none, or still has the one that is hidden now.
  else if ((document.activeElement === document.body || menu.contains(document.activeElement)) && !$("dialog[open]")) opener(menu)?.focus();
}, true);

// A key that follows at once finds the focus still on what opened the menu.
const opening = (el) => (el === document.body || el.matches?.("[popovertarget]") ? $(`${MENU}:popover-open`) : null);

document.addEventListener("keydown", (e) => {
  const menu = e.target.closest?.(MENU) ?? opening(e.target);
  if (!menu || e.metaKey || e.ctrlKey || e.altKey || e.target.matches("select, textarea, input:not([type=checkbox], [type=radio])")) return;
  const all = entries(menu);
  const at = all.indexOf(e.target.closest("label") ?? e.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[e.key];
  let next = to === undefined ? undefined : all.at(to % all.length);
  if (/^[1-9]$/.test(e.key)) { e.preventDefault(); return void $$("button.mi, a.mi", menu)[e.key - 1]?.click(); }
  if (/^\p{L}$/u.test(e.key)) {
    const letter = e.key.toLowerCase();
    next = [...all.slice(at + 1), ...all.slice(0, at + 1)].find((el) => (el.closest("label") ?? el).textContent.trim().toLowerCase().startsWith(letter));
  }
  if (!next && to === undefined) return;
  e.preventDefault();
  next?.focus();
}, true);

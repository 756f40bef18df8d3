// Keys: data-hotkey on the real control, so that its rights and its state hold. Whoever has switched the keys off keeps
// those with Ctrl (WCAG 2.1.4).
import { install, uninstall } from "../vendor/hotkey.js";
import { $, $$, onChange, root } from "./dom.js";

const keyed = new Set();
const isOn = root.dataset.keys !== "off";
const isLetter = (keys) => !/Control|Meta|Mod/.test(keys);

// What is open in front of the page: keys must not act on what lies behind it.
export const inFront = () => $("dialog[open]") ?? $$("[popover]:popover-open").at(-1);

document.addEventListener("hotkey-fire", (e) => {
  const front = inFront();
  if (front && !front.contains(e.target)) e.preventDefault();
}, true);

onChange(() => {
  for (const el of keyed) if (!el.isConnected) { uninstall(el); keyed.delete(el); }
  for (const el of $$("[data-hotkey]")) {
    if (!keyed.has(el) && (isOn || !isLetter(el.dataset.hotkey))) { install(el); keyed.add(el); }
  }
});

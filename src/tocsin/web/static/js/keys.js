// Keys: data-hotkey on the real control, so that its rights and its state hold.
import { install, uninstall } from "../vendor/hotkey.js";
import { $$, onChange } from "./dom.js";

const keyed = new Set();

onChange(() => {
  for (const el of keyed) if (!el.isConnected) { uninstall(el); keyed.delete(el); }
  for (const el of $$("[data-hotkey]")) if (!keyed.has(el)) { install(el); keyed.add(el); }
});

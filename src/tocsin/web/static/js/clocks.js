// Clocks that tick. The server's time is the truth: a laptop's clock may be minutes off.
import { $$, onChange, root, write } from "./dom.js";

const offset = Date.parse(root.dataset.now || new Date().toISOString()) - Date.now();
export const now = () => Date.now() + offset;
export const two = (n) => String(n).padStart(2, "0");

function inTwoUnits(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "m"], [s % 60, "s"]];
  while (parts.length > 1 && !parts[0][0]) parts.shift();
  return parts.slice(0, 2).filter(([n], i) => !i || n).map(([n, unit]) => n + unit).join(" ");
}

function ago(ms) {
  const s = ms / 1000;
  const size = Math.abs(s);
  if (size < 45) return s >= 0 ? "just now" : "in a moment";
  const words = size < 2700 ? `${Math.max(1, Math.round(size / 60))} min` : size < 129600 ? `${Math.max(1, Math.round(size / 3600))} h` : `${Math.round(size / 86400)} d`;
  return s >= 0 ? `${words} ago` : `in ${words}`;
}

function left(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const h = Math.floor(s / 3600);
  return h ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

function tick() {
  for (const el of $$("[data-countdown-to]")) {
    const ms = Date.parse(el.dataset.countdownTo) - now();
    if (el.tagName === "PROGRESS") el.value = Math.max(0, ms / 1000);
    else write(el, left(ms));
  }
  for (const el of $$("[data-elapsed-from]")) write(el, inTwoUnits(now() - Date.parse(el.dataset.elapsedFrom)));
  for (const el of $$("time[data-ago]")) write(el, ago(now() - Date.parse(el.dateTime)));
}
setInterval(tick, 1000);
onChange(tick);

// Live updates: see the comment in base.html for the contract.
import { now, two } from "./clocks.js";
import { $, $$, onChange, write } from "./dom.js";

let lastUpdate = now();
let opened = false;
function liveState(on) {
  if (on) lastUpdate = now();
  const at = new Date(lastUpdate);
  for (const el of $$("[data-live-state]")) {
    el.classList.toggle("off", !on);
    el.classList.toggle("pulse", on);
    write(el, on ? "Live" : `Reconnecting, last update ${two(at.getHours())}:${two(at.getMinutes())}`);
  }
  return on;
}
const stream = $("#stream");
let isLive = true;
document.addEventListener("htmx:sse:after:connection", () => {
  isLive = liveState(true);
  // What happened while the stream was down is not replayed: the page is asked for again instead.
  if (opened) stream.dispatchEvent(new CustomEvent("changed"));
  opened = true;
});
for (const lost of ["htmx:sse:error", "htmx:sse:close"]) document.addEventListener(lost, () => { isLive = liveState(false); });
document.addEventListener("htmx:sse:before:connection", (e) => { if (e.detail.connection.attempt > 0 && !document.hidden) isLive = liveState(false); });

// The extension reconnects a stream that was open; one that never opened is tried again here.
export function retryStream() {
  isLive = liveState(false);
  setTimeout(() => stream.dispatchEvent(new CustomEvent("again")), 5000);
}

onChange(() => liveState(isLive));

// Severity, status and commander are read out when they change, at most every 5 s.
let spoken = $("#state-words")?.textContent;
let speakTimer;
onChange(() => {
  clearTimeout(speakTimer);
  speakTimer = setTimeout(() => {
    const words = $("#state-words")?.textContent;
    if (words && words !== spoken) $("#announcer").textContent = spoken = words;
  }, 5000);
});

// Live updates: see the comment in base.html for the contract.
import { sayState } from "./announce.js";
import { now, two } from "./clocks.js";
import { tellCounts } from "./counts.js";
import { $, $$, onChange, write } from "./dom.js";
import { follow } from "./follow.js";

const line = $("#live");
let state = "lost";
let lastUpdate = now();
let isStale = false;

function showState() {
  const at = new Date(lastUpdate);
  const since = `last update ${two(at.getHours())}:${two(at.getMinutes())}`;
  const words = { live: "Live", lost: `Reconnecting, ${since}`, offline: `Offline, ${since}`, over: line.dataset.over ?? "Signed out" }[state];
  for (const el of $$("[data-live-state]")) {
    el.classList.toggle("off", state !== "live");
    el.classList.toggle("pulse", state === "live");
    write(el, words);
  }
  const out = $("#signed-out");
  if (out) out.hidden = state !== "over";
}

// ---- Bringing the page up to date. A hidden tab waits until it is looked at; its counts and its title do not.
const topics = () => new Set(($("#page")?.dataset.live ?? "").split(" ").filter(Boolean));

function askAgain() {
  if (document.hidden) { isStale = true; return; }
  isStale = false;
  $("#refresh").dispatchEvent(new CustomEvent("changed"));
}
document.addEventListener("visibilitychange", () => { if (!document.hidden && isStale) askAgain(); });

function hear(message) {
  const wasLost = state !== "live";
  state = navigator.onLine ? message.state : "offline";
  if (state === "live") lastUpdate = now();
  showState();
  const mine = topics();
  const isMine = message.topics?.some((topic) => topic === "*" || mine.has(topic));
  if (message.paged) {
    tellCounts(message);
    const bar = $("#paged");
    if (!isMine && bar && bar.dataset.pages !== message.paged.join(" ")) bar.dispatchEvent(new CustomEvent("changed"));
  }
  // What happened while the line was down is told, but not what was shown wrong before it was noticed.
  if (isMine || (wasLost && state === "live" && wasEverLive && mine.size)) askAgain();
  wasEverLive ||= state === "live";
}
let wasEverLive = false;

function begin() {
  const { url, after, session, worker } = line.dataset;
  const wanted = { url: new URL(url, location).href, after };
  if (!window.SharedWorker) {
    const stream = follow(wanted.url, after, hear);
    return () => stream.again();
  }
  const { port } = new SharedWorker(worker, { type: "module", name: `tocsin ${session}` });
  port.onmessage = ({ data }) => hear(data);
  port.postMessage(wanted);
  addEventListener("pagehide", () => port.postMessage({ leave: true }));
  // Back in a page that was kept: it has heard nothing meanwhile.
  addEventListener("pageshow", (e) => { if (e.persisted) { port.postMessage(wanted); askAgain(); } });
  return () => port.postMessage({ again: true });
}

if (line) {
  const again = begin();
  addEventListener("offline", () => { state = "offline"; showState(); });
  addEventListener("online", () => { state = "lost"; showState(); again(); });
  onChange(showState);
}

// ---- Severity, status and who leads are read out when they change, at most every 5 s.
let speakTimer;
onChange(() => {
  clearTimeout(speakTimer);
  speakTimer = setTimeout(sayState, 5000);
});

// The screen behind the link of a page: brings itself up to date, and says whether it is. It is all there without this.
// It asks for 16 characters, and for the screen again when they are others. Rarely once there is nothing to wait for, not
// at all in a hidden tab, and after an hour no more.
import { now, two } from "./clocks.js";
import { $, changed, write } from "./dom.js";

const OFTEN = 3000;
const SELDOM = 15000;
const began = Date.now();
let timer;
let seen = now();

function say(state) {
  const el = $("[data-live]");
  if (!el) return;
  const at = new Date(seen);
  el.hidden = false;
  el.classList.toggle("pulse", !state);
  el.classList.toggle("off", !!state);
  write(el, state ? `${state}, as of ${two(at.getHours())}:${two(at.getMinutes())}` : "Live");
}

async function show() {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = page.querySelector("main[data-mark]");
  if (!main) return location.reload();
  const held = document.activeElement?.closest("button,a")?.textContent.trim();
  $("main").replaceWith(document.adoptNode(main));
  document.title = page.title;
  // Who was about to press goes on to press it; if it is gone, the reader begins with what has happened.
  const again = held && [...document.querySelectorAll("main button, main a")].find((el) => el.textContent.trim() === held);
  if (held) (again || $("main")).focus({ preventScroll: true });
  const news = $(".count.green strong, .count.slate strong") || $("h1");
  if (news) write($("#announcer"), news.textContent.trim());
  changed();
}

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return;
  const main = $("main");
  if (Date.now() - began > 3600000) return say("Not live any more");
  try {
    const answer = await fetch(main.dataset.markAt, { signal: AbortSignal.timeout(8000) });
    if (answer.status >= 500) throw answer.status;
    if ((answer.ok ? await answer.text() : "") !== main.dataset.mark) await show();
    seen = now();
    say("");
  } catch {
    say(navigator.onLine ? "Reconnecting" : "Offline");
  }
  later();
}

// What is due is asked for when it is due.
function later() {
  clearTimeout(timer);
  const due = $("progress[data-countdown-to]");
  const left = due ? Date.parse(due.dataset.countdownTo) - now() : Infinity;
  const pace = $("#ack") ? OFTEN : SELDOM;
  timer = setTimeout(ask, left > 0 ? Math.min(pace, left + 300) : pace);
}

document.addEventListener("visibilitychange", ask);
addEventListener("online", ask);
addEventListener("offline", () => say("Offline"));
ask();

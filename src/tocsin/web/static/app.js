// Tocsin page behaviour. Small on purpose: dialogs and menus are native (command/commandfor, popover), requests are
// htmx. Every page works without this file; it adds keys, ticking clocks, toasts, busy forms and the live state.
import { install, uninstall } from "./vendor/hotkey.js";

const root = document.documentElement;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- Theme: a cookie, so that the server renders the next page in it without a flash. It is for this installation,
// which begins where this file's folder does.
const home = new URL("../", import.meta.url).pathname;
function toggleTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme};path=${home};max-age=31536000;samesite=lax`;
}

// ---- Clocks. The server's time is the truth: a laptop's clock may be minutes off.
const offset = Date.parse(root.dataset.now || new Date().toISOString()) - Date.now();
const now = () => Date.now() + offset;
const two = (n) => String(n).padStart(2, "0");

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

const write = (el, text) => { if (el.textContent !== text) el.textContent = text; };

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

// ---- Keys: data-hotkey on the real control. J and K move in any [data-list], Enter follows the row's link.
const keyed = new Set();
function bindKeys() {
  for (const el of keyed) if (!el.isConnected) { uninstall(el); keyed.delete(el); }
  for (const el of $$("[data-hotkey]")) if (!keyed.has(el)) { install(el); keyed.add(el); }
}

const rows = () => $$("[data-list] [data-row]");
function select(row) {
  for (const r of rows()) r === row ? r.setAttribute("aria-current", "true") : r.removeAttribute("aria-current");
  row.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (e) => {
  if ((e.metaKey || e.ctrlKey) && e.key === "Enter") return void e.target.closest?.("form")?.requestSubmit();
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

// ---- Toasts hide after 6 s, but not while the pointer or the focus is on them.
function watchToast(toast) {
  if (toast.dataset.watched) return;
  toast.dataset.watched = "1";
  let timer;
  const start = () => { timer = setTimeout(() => toast.remove(), 6000); };
  const stop = () => clearTimeout(timer);
  for (const event of ["pointerenter", "focusin"]) toast.addEventListener(event, stop);
  for (const event of ["pointerleave", "focusout"]) toast.addEventListener(event, () => { stop(); start(); });
  start();
}

function say(text) {
  const copy = $("#toast-form").content.cloneNode(true);
  $("[data-text]", copy).textContent = text;
  $("#toasts").append(copy);
  $$("#toasts .toast").forEach(watchToast);
}

// ---- Forms. A form that was sent is busy until its answer is there; a second press does nothing.
// aria-disabled and not disabled, so that the pressed button keeps the focus.
const buttonsOf = (form) => [...form.elements].filter((el) => el.type === "submit");
function setBusy(form, busy) {
  busy ? (form.dataset.busy = "1") : delete form.dataset.busy;
  form.setAttribute("aria-busy", String(busy));
  for (const b of buttonsOf(form)) busy ? b.setAttribute("aria-disabled", "true") : b.removeAttribute("aria-disabled");
}

document.addEventListener("submit", (e) => {
  const form = e.target;
  if (form.method !== "post") return;
  if (form.dataset.busy) { e.preventDefault(); e.stopImmediatePropagation(); return; }
  setBusy(form, true);
}, true);
addEventListener("pageshow", () => $$("form[data-busy]").forEach((f) => setBusy(f, false)));

function focusFirstBad(within) {
  const bad = $('[aria-invalid="true"]', within);
  bad?.focus();
  return bad;
}

// ---- Dialogs and details. An open one is left alone by live updates, so that nobody's half-written note is lost.
function openDialog(dialog) {
  if (!dialog.open) dialog.showModal();
  dialog.setAttribute("hx-morph-skip", "");
}
document.addEventListener("toggle", (e) => {
  if (!["DIALOG", "DETAILS"].includes(e.target.tagName)) return;
  e.target.toggleAttribute("hx-morph-skip", e.target.open);
  // Not by the attribute autofocus: htmx would obey it again after every live update.
  // What was fetched for one question is not kept after it, and neither is the text in it.
  if (!e.target.open && e.target.closest("#sheet") && $("#timeline")) return $("#sheet").replaceChildren();
  if (e.target.tagName === "DIALOG" && e.target.open) (focusFirstBad(e.target) ?? $('input:not([type="hidden"]), select, textarea', e.target))?.focus();
}, true);

document.addEventListener("click", (e) => {
  if (e.target.closest("[data-theme-toggle]")) return toggleTheme();

  // A link that has its own page, but whose dialog is already here.
  const opener = e.target.closest("a[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog && !e.metaKey && !e.ctrlKey && !e.shiftKey) { e.preventDefault(); return openDialog(dialog); }

  // Browsers without invoker commands.
  const command = e.target.closest("button[commandfor]");
  if (command && !("commandForElement" in command)) {
    const target = document.getElementById(command.getAttribute("commandfor"));
    command.getAttribute("command") === "show-modal" ? openDialog(target) : target.close();
  }

  const copy = e.target.closest("[data-copy]");
  if (copy) return void navigator.clipboard?.writeText(document.getElementById(copy.dataset.copy).textContent.trim()).then(() => say("Copied"));
  if (e.target.closest("[data-dismiss]")) return e.target.closest(".toast").remove();
  if (e.target.closest("#new-events")) { $("#timeline").scrollIntoView({ block: "start" }); return showNewEvents(0); }

  const row = e.target.closest("[data-row]");
  if (row) select(row);
});

// ---- Live updates: see the comment in base.html for the contract.
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
function retryStream() {
  isLive = liveState(false);
  setTimeout(() => stream.dispatchEvent(new CustomEvent("again")), 5000);
}

// The reader is told about new events instead of being moved when the timeline's top is out of sight.
let seen = new Set($$("#timeline .ev").map((el) => el.id));
function showNewEvents(count) {
  const pill = $("#new-events");
  if (!pill) return;
  pill.hidden = !count;
  if (count) write($("[data-text]", pill), count === 1 ? "1 new event" : `${count} new events`);
}
let waiting = 0;
function noticeEvents() {
  const timeline = $("#timeline");
  if (!timeline) return;
  const ids = $$(".ev", timeline).map((el) => el.id);
  const fresh = ids.filter((id) => !seen.has(id)).length;
  seen = new Set(ids);
  waiting = timeline.getBoundingClientRect().top < 0 ? waiting + fresh : 0;
  showNewEvents(waiting);
}

// Severity, status and commander are read out when they change, at most every 5 s.
let spoken = $("#state-words")?.textContent;
let speakTimer;
function announce() {
  clearTimeout(speakTimer);
  speakTimer = setTimeout(() => {
    const words = $("#state-words")?.textContent;
    if (words && words !== spoken) $("#announcer").textContent = spoken = words;
  }, 5000);
}

// ---- htmx
document.addEventListener("htmx:before:response", (e) => {
  const { response, sourceElement } = e.detail.ctx;
  // The answer is another page (signed out, or the thing has moved): go there.
  if (response.raw.redirected && new URL(response.raw.url).pathname !== location.pathname && sourceElement.id !== "stream") {
    e.preventDefault();
    location.assign(response.raw.url);
  } else if (response.status >= 400 && ![409, 422, 429].includes(response.status)) {
    // Never swap an error page into this page. What is on the screen stays, and stays usable.
    e.preventDefault();
    if (sourceElement.id === "stream") retryStream();
    else if (sourceElement.id !== "refresh") say(`That did not work (${response.status}). Nothing was changed. Please try again.`);
  }
});
document.addEventListener("htmx:error", (e) => {
  const source = e.detail.ctx?.sourceElement;
  if (source?.id === "stream") retryStream();
  else if (source?.tagName === "FORM") say("Tocsin did not answer. What you wrote is still here: please try again.");
});
document.addEventListener("htmx:finally:request", (e) => {
  const form = e.detail.ctx.request?.form ?? e.detail.ctx.sourceElement;
  if (form?.tagName === "FORM") setBusy(form, false);
});
document.addEventListener("htmx:after:swap", (e) => {
  const { ctx } = e.detail;
  const form = ctx.sourceElement;
  if ([409, 422, 429].includes(ctx.response?.status)) focusFirstBad(form?.isConnected ? form : document);
  else if (form?.tagName === "FORM") {
    form.reset();
    // The next text of this form is a new one: the server drops what it gets twice under the same value.
    if (form.elements.form_id) form.elements.form_id.value = form.elements.form_id.defaultValue = [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    form.closest("dialog")?.close();
    const menu = form.closest("[popover]");
    if (menu?.matches(":popover-open")) menu.hidePopover();
  }
  showModally();
  afterChange();
});

// A dialog that comes open from the server was asked for, or its form was refused.
function showModally() {
  for (const dialog of $$("dialog[open]:not(:modal)")) { dialog.close(); openDialog(dialog); }
}

function afterChange() {
  bindKeys();
  tick();
  liveState(isLive);
  noticeEvents();
  announce();
  $$("#toasts .toast").forEach(watchToast);
}

// Somebody new gets the zone of the browser; without this file it is UTC until they choose one.
for (const field of $$("input[data-time-zone]")) field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";

bindKeys();
tick();
$$("#toasts .toast").forEach(watchToast);
showModally();
focusFirstBad(document);

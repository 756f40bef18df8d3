// The palette (Ctrl K): what can be done on this page, where one can go, and whatever the server finds. A combobox with a
// list (https://www.w3.org/WAI/ARIA/apg/patterns/combobox/). Without this file the field is a page of its own, /search.
import { $, $$ } from "./dom.js";

const palette = $("#palette");
const field = $("#palette-q");
const list = $("#palette-list");
const shown = () => $$("[role=option]", list);
let asked;
// What was found last, and whether Enter was pressed before what was typed for is found.
let hits = [];
let takes = false;

function element(tag, className, words = "") {
  const el = document.createElement(tag);
  el.className = className;
  el.textContent = words;
  return el;
}
function keysOf(words) {
  const span = element("span", "m");
  for (const key of words.split(/[ +]/)) span.append(element("kbd", "", key.length === 1 ? key.toUpperCase() : key));
  return span;
}
function option(content, run) {
  const el = element("div", "mi hit");
  el.role = "option";
  el.id = `palette-${list.childElementCount}`;
  el.append(...content);
  el.addEventListener("click", () => { palette.close(); run(); });
  list.append(el);
}
function heading(words) {
  const el = element("div", "mh", words);
  el.role = "presentation";
  list.append(el);
}

// What can be done here: every control with a key that can be pressed now, with the words that it has. So rights and
// states hold by themselves.
function named(el) {
  const copy = el.cloneNode(true);
  $$("kbd", copy).forEach((kbd) => kbd.remove());
  return (el.getAttribute("aria-label") ?? el.labels?.[0]?.textContent ?? el.placeholder ?? copy.textContent).trim().replace(/\s+/g, " ");
}
function acts() {
  const found = new Map();
  for (const el of $$(".sidetop [data-hotkey='c'], #page [data-hotkey]")) {
    if (el.checkVisibility() && named(el) && !el.matches(":disabled")) found.set(el.dataset.hotkey, el);
  }
  return [...found.values()];
}
function act(el) {
  el.focus();
  if (!el.matches("input, textarea")) el.click();
}

function choose(to) {
  for (const each of shown()) each.setAttribute("aria-selected", String(each === to));
  if (!to) return field.removeAttribute("aria-activedescendant");
  field.setAttribute("aria-activedescendant", to.id);
  to.scrollIntoView({ block: "nearest" });
}

// `isOld`: what was found is not yet for the words that stand there; it is not what Enter means.
function draw(found, trouble = "Nothing matches", isOld = false) {
  hits = found;
  const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  list.replaceChildren();
  const here = acts().filter((el) => wanted.every((word) => named(el).toLowerCase().includes(word)));
  if (here.length) heading("On this page");
  for (const el of here) option([element("span", "hitt", named(el)), keysOf(el.dataset.hotkey)], () => act(el));
  for (const section of found) {
    heading($("h2", section).textContent);
    for (const link of $$("a", section)) option(link.childNodes, () => location.assign(link.getAttribute("href")));
  }
  if (trouble && !found.length) heading(trouble);
  choose(isOld && !here.length ? undefined : shown()[0]);
}

async function ask() {
  asked?.abort();
  asked = new AbortController();
  const url = new URL(palette.dataset.search, location);
  url.searchParams.set("q", field.value);
  try {
    const answer = await fetch(url, { signal: asked.signal, headers: { "X-Known": "none" } });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    draw($$("#hits section", new DOMParser().parseFromString(await answer.text(), "text/html")));
    if (takes) shown()[0]?.click();
    takes = false;
  } catch (error) {
    if (error.name !== "AbortError") draw([], "Search does not answer. What can be done on this page stands above.");
  }
}

let timer;
field?.addEventListener("input", () => {
  clearTimeout(timer);
  takes = false;
  draw(hits, "", true);
  timer = setTimeout(ask, 120);
});
field?.addEventListener("keydown", (e) => {
  const all = shown();
  const at = all.findIndex((each) => each.getAttribute("aria-selected") === "true");
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length }[e.key];
  if (to !== undefined && all.length) { e.preventDefault(); choose(all[to % all.length]); }
  else if (e.key === "Enter") { e.preventDefault(); at >= 0 ? all[at].click() : (takes = true); }
});

document.addEventListener("click", (e) => {
  if (!palette || !e.target.closest("[data-palette]") || e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  field.value = "";
  takes = false;
  palette.showModal();
  draw([], "");
  ask();
});

// Dialogs. What is typed into has a page of its own; a link to it (data-sheet) opens it here, in #sheet, which no live
// update touches: a dialog survives whatever happens to the page below, and says what did.
import { $, $$, changed, onChange } from "./dom.js";
import { accepted } from "./drafts.js";
import { focusFirstBad } from "./forms.js";
import { say } from "./toasts.js";

const sheet = $("#sheet");
const SHEET = { "X-Sheet": "1" };
let opener;
let asking;

export const openSheet = () => sheet && $("dialog[open]", sheet);

function open(dialog) {
  // Whatever menu it was opened from closes, and gives the focus to what opened that.
  if (!dialog.open) dialog.showModal();
  dialog.setAttribute("hx-morph-skip", "");
}

// What the focus goes back to: what opened the dialog, or what stands in its place by now.
function comeBack() {
  const { el, led, href, menu } = opener ?? {};
  const seen = (each) => each?.isConnected && each.checkVisibility?.() !== false;
  const again = href && $$("a[data-sheet]").find((a) => a.href === href && seen(a));
  // What opened it may be something else by now, such as “Reopen” in the place of “Resolve”.
  const same = el?.href === led && el;
  const back = [same, menu && $(`[popovertarget="${menu}"]`), again, $("[data-title]"), $("#main")].find(seen);
  opener = undefined;
  back?.focus({ preventScroll: true });
}

function fill(html, href) {
  const wrapper = document.createElement("div");
  wrapper.innerHTML = html;
  const dialog = $("dialog", wrapper);
  if (!dialog) return false;
  dialog.dataset.at = href;
  sheet.replaceChildren(dialog);
  window.htmx?.process(dialog);
  open(dialog);
  changed();
  return true;
}

// Shown when it takes longer than one waits without a word, and when it failed.
function waiting(words, href) {
  sheet.innerHTML = `<dialog class="dlg" aria-labelledby="sheet-h"><div class="dh"><h2 id="sheet-h"></h2></div><div class="df">
    <span class="grow"></span><button class="btn" type="button" data-close>Cancel</button></div></dialog>`;
  $("h2", sheet).textContent = words;
  if (href) {
    $("[data-close]", sheet).insertAdjacentHTML("afterend", '<a class="btn primary" data-retry>Try again</a>');
    $("[data-retry]", sheet).href = href;
  }
  open($("dialog", sheet));
  $("[data-retry], [data-close]", sheet).focus();
}

export async function ask(href, from) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const menu = from?.closest("[popover]");
  // By a key, while that menu is closed, one comes from where one was, and goes back there; from nowhere, to the page.
  const isByKey = menu && !menu.matches(":popover-open");
  const was = document.activeElement === document.body ? $("#main") : document.activeElement;
  const el = menu ? isByKey && was : from;
  opener = from?.closest("#sheet") ? opener : { el, led: el?.href, href, menu: isByKey ? undefined : menu?.id };
  menu?.hidePopover();
  const slow = setTimeout(() => waiting("Opening…"), 300);
  mine.signal.addEventListener("abort", () => clearTimeout(slow));
  try {
    const answer = await fetch(href, { headers: SHEET, signal: mine.signal });
    const html = await answer.text();
    clearTimeout(slow);
    if (mine.signal.aborted) return;
    if (answer.ok && fill(html, href)) return;
    // It is somewhere else by now, or one has to sign in first: the page says so.
    if (answer.ok || answer.status < 500) return location.assign(answer.redirected ? answer.url : href);
    waiting(`It could not be opened (${answer.status}).`, href);
  } catch {
    clearTimeout(slow);
    if (!mine.signal.aborted) waiting("It could not be opened: Tocsin did not answer.", href);
  }
}

document.addEventListener("click", (e) => {
  const plain = !e.metaKey && !e.ctrlKey && !e.shiftKey && !e.button;
  const link = e.target.closest("a[data-sheet], a[data-retry]");
  if (link && sheet && plain) { e.preventDefault(); return void ask(link.href, link); }
  // A link that has its own page, but whose dialog is already here.
  const near = document.getElementById(e.target.closest("a[data-dialog]")?.dataset.dialog);
  if (near && plain) { e.preventDefault(); return open(near); }
  const close = e.target.closest("[data-close]");
  if (close && close.closest("dialog") && plain) { e.preventDefault(); return close.closest("dialog").close(); }

  const typed = openSheet() && $$("textarea", sheet).map((el) => el.value).filter(Boolean).join("\n\n");
  if (e.target.closest("[data-copy-typed]")) navigator.clipboard?.writeText(typed).then(() => say("Copied"));
  if (e.target.closest("[data-to-comment]")) {
    const box = $("#composer-body");
    opener = { el: box };
    accepted($("form", sheet));
    box.value = [box.value, typed].filter(Boolean).join("\n\n");
    openSheet().close();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Browsers without invoker commands.
  const command = e.target.closest("button[commandfor]");
  if (command && !("commandForElement" in command)) {
    const target = document.getElementById(command.getAttribute("commandfor"));
    command.getAttribute("command") === "show-modal" ? open(target) : target.close();
  }
});

document.addEventListener("toggle", (e) => {
  if (!["DIALOG", "DETAILS"].includes(e.target.tagName)) return;
  e.target.toggleAttribute("hx-morph-skip", e.target.open);
  if (e.target.tagName !== "DIALOG") return;
  // Not by the attribute autofocus: htmx would obey it again after every live update.
  if (e.target.open) (focusFirstBad(e.target) ?? $("[data-first]", e.target) ?? $$('input:not([type="hidden"]), select, textarea', e.target).find((el) => el.checkVisibility()))?.focus();
}, true);

// What was fetched for one question is not kept after it. What was typed is, see drafts.js.
sheet?.addEventListener("close", () => {
  asking?.abort();
  sheet.replaceChildren();
  comeBack();
}, true);

// What has happened since the dialog was opened; asked for whenever the page below has changed.
// Soon after, once for all that happens at once; the last change is never left out.
let lookSoon;
onChange(() => { if (openSheet()?.dataset.seen) lookSoon ??= setTimeout(lookSince, 400); });
function lookSince() {
  lookSoon = undefined;
  const dialog = openSheet();
  if (!dialog?.dataset.seen) return;
  const place = new URL(dialog.dataset.at, location);
  place.searchParams.set("seen", dialog.dataset.seen);
  fetch(place, { headers: SHEET }).then((answer) => (answer.ok && !answer.redirected ? answer.text() : "")).then((html) => {
    const news = $(".dnews", dialog);
    if (!news || news.dataset.said === html.trim()) return;
    news.dataset.said = html.trim();
    news.innerHTML = html;
    const typed = $$("textarea", dialog).some((el) => el.value.trim());
    for (const el of $$("[data-copy-typed]", news)) el.hidden = !typed;
    for (const el of $$("[data-to-comment]", news)) el.hidden = !typed || !$("#composer-body");
  }, () => {});
}

// Open incidents that may be the same one, below the title of a declaration.
let looking;
document.addEventListener("input", (e) => {
  const place = e.target.dataset?.similar;
  if (!place) return;
  clearTimeout(looking);
  looking = setTimeout(async () => {
    const answer = await fetch(`${place}?title=${encodeURIComponent(e.target.value)}`).catch(() => null);
    const list = $("#similar");
    if (answer?.ok && list) list.innerHTML = await answer.text();
  }, 400);
});

// What paging whom one has chosen would do, below where they are chosen.
document.addEventListener("input", async (e) => {
  const box = e.target.closest?.("[data-picker]");
  const told = box && $(`[data-foretold][data-of="${box.dataset.name}"]`, box.closest("form"));
  if (!told) return;
  const chosen = $$("[data-picked] input", box).map((each) => `page=${encodeURIComponent(each.value)}`).join("&");
  told.dataset.asked = chosen;
  const answer = await fetch(`${told.dataset.foretold}?${chosen}`).catch(() => null);
  if (answer?.ok && told.dataset.asked === chosen) told.innerHTML = await answer.text();
});

// What is asked only for one answer: data-if="reason=duplicate". Without this file it is always there.
const showAsked = () => {
  for (const el of $$("[data-if]")) {
    const [name, value] = el.dataset.if.split("=");
    el.hidden = el.closest("form").elements.namedItem(name)?.value !== value;
    // What is not asked is not sent.
    for (const field of $$("input, select", el)) field.disabled = el.hidden;
  }
};
onChange(showAsked);
document.addEventListener("change", showAsked);

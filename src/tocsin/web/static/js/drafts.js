// Drafts: what was typed survives leaving, a refresh, a crash and the end of a session. It stays in this browser, for
// this person and this form, until the form was accepted, for 7 days, or until they sign out. No secret is kept: no form
// with a password in it, and none that says data-no-draft; a field that says so is left out.
import { $, $$, onChange } from "./dom.js";
import { two } from "./clocks.js";
import { picks } from "./pickers.js";

const me = $("#sheet")?.dataset.me;
const PREFIX = "draft:";
const LONGEST = 7 * 86400e3;
// A form whose fields are called id has one of them in its form.id.
const idOf = (form) => form.getAttribute("id");
// One form serves many: what was written about one alert is not offered for the next (data-about).
const keyOf = (form) => `${PREFIX}${me}:${new URL(form.action).pathname}#${idOf(form)}${form.dataset.about ?? ""}`;
const isKept = (form) => me && form?.method === "post" && idOf(form) && !("noDraft" in form.dataset) && !$('[type=password], [name=token]', form);
const fieldsOf = (form) => [...form.elements].filter((el) => el.name && !["hidden", "submit", "button", "file"].includes(el.type));
const keptOf = (form) => fieldsOf(form).filter((el) => !("noDraft" in el.dataset));
const isText = (el) => el.matches("textarea, input:not([type=checkbox], [type=radio])");

// The browser may have no room, or be told to keep nothing; then there are no drafts.
function store(work) {
  try { return work(localStorage); } catch { return undefined; }
}
const read = (key) => store((kept) => JSON.parse(kept.getItem(key)));
const forget = (key) => store((kept) => kept.removeItem(key));
const keys = () => store((kept) => Object.keys(kept).filter((key) => key.startsWith(PREFIX))) ?? [];

const isDirty = (form) => keptOf(form).some((el) => isText(el) && el.value.trim() && el.value !== el.defaultValue);

function keep(form) {
  if (!isDirty(form)) return forget(keyOf(form));
  const values = keptOf(form).filter((el) => isText(el) || el.checked !== undefined || el.matches("select")).map((el) => [el.name, el.type === "checkbox" || el.type === "radio" ? el.checked : el.value, el.type === "radio" ? el.value : ""]);
  const picked = $("[data-picked]", form) && $$("[data-picked]", form).map((el) => el.innerHTML);
  store((kept) => kept.setItem(keyOf(form), JSON.stringify({ at: Date.now(), values, picked, version: form.elements.version?.value })));
}

let timer;
const pending = new Set();
const flush = () => { for (const form of pending) if (form.isConnected) keep(form); pending.clear(); };
document.addEventListener("input", (e) => {
  const form = e.target.closest?.("form");
  if (!isKept(form)) return;
  pending.add(form);
  clearTimeout(timer);
  timer = setTimeout(flush, 300);
});
addEventListener("pagehide", flush);
document.addEventListener("close", flush, true);

const shown = new WeakSet();
function restore(form) {
  shown.add(form);
  const draft = read(keyOf(form));
  if (!draft || draft.sent) return;
  if (Date.now() - draft.at > LONGEST) return forget(keyOf(form));
  // What the server shows again is what was typed.
  if ($('[aria-invalid="true"], .refusal', form) || isDirty(form)) return;
  const fields = keptOf(form);
  for (const [name, value, radio] of draft.values) {
    const el = fields.find((each) => each.name === name && (each.type !== "radio" || each.value === radio));
    if (!el) continue;
    el.type === "checkbox" || el.type === "radio" ? (el.checked = value) : (el.value = value);
  }
  draft.picked?.forEach((html, at) => { const el = $$("[data-picked]", form)[at]; if (el) el.innerHTML = html; });
  // It was written for this version: what others changed since is not overwritten unseen.
  if (draft.version && form.elements.version) form.elements.version.value = draft.version;
  const at = new Date(draft.at);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.getDate()}.${at.getMonth() + 1}., `;
  const word = document.createElement("p");
  word.className = "draft xs muted";
  word.setAttribute("role", "status");
  word.append(`Draft from ${day}${two(at.getHours())}:${two(at.getMinutes())} restored. `);
  const discard = document.createElement("button");
  Object.assign(discard, { type: "button", className: "link", textContent: "Discard" });
  discard.addEventListener("click", () => { forget(keyOf(form)); form.reset(); word.remove(); $("textarea, input:not([type=hidden])", form)?.focus(); form.dispatchEvent(new Event("change", { bubbles: true })); });
  word.append(discard);
  ($(".db", form) ?? form).prepend(word);
  form.dispatchEvent(new Event("change", { bubbles: true }));
}

export function accepted(form) {
  pending.delete(form);
  if (isKept(form)) forget(keyOf(form));
  $(".draft", form)?.remove();
}

// A form that leads to another page is accepted when that page is there, and neither the sign-in nor an error.
document.addEventListener("submit", (e) => {
  const form = e.target;
  if (/\/sign-out$/.test(form.action)) return keys().forEach(forget);
  if (!isKept(form) || form.hasAttribute("hx-post") || e.defaultPrevented) return;
  pending.delete(form);
  keep(form);
  const draft = read(keyOf(form));
  if (draft) store((kept) => kept.setItem(keyOf(form), JSON.stringify({ ...draft, sent: true })));
});
// An error may have no script that sees it, and nothing at all may answer: only what led on, or shows the form again,
// was the answer to it, and not whatever page comes next.
const { responseStatus: answer = 200, redirectCount: led = 1 } = performance.getEntriesByType("navigation")[0] ?? {};
const isWell = me && answer < 400 && (led || $("form[data-guard=unsaved]"));
for (const key of keys()) {
  const draft = read(key);
  if (!draft || Date.now() - draft.at > LONGEST || (draft.sent && isWell)) forget(key);
  else if (draft.sent) store((kept) => kept.setItem(key, JSON.stringify({ ...draft, sent: undefined })));
}

onChange(() => { for (const form of document.forms) if (!shown.has(form) && isKept(form)) restore(form); });

// Editors ask before they are left with what was not saved; what the server shows again unsaved it says so.
let isSending = false;
document.addEventListener("submit", (e) => { isSending = e.target.method === "post" && !e.defaultPrevented; });
addEventListener("beforeunload", (e) => {
  const changed = $$("form[data-guard]").some((form) => form.dataset.guard === "unsaved" || $$("[data-picker]", form).some((box) => picks(box) !== box.dataset.was) || fieldsOf(form).some((el) => (el.type === "checkbox" || el.type === "radio" ? el.checked !== el.defaultChecked : el.matches("select") ? ![...el.options].every((o) => o.selected === o.defaultSelected) && el.selectedIndex !== 0 : el.value !== el.defaultValue)));
  if (changed && !isSending) e.preventDefault();
});

// Forms. A form that was sent is busy until its answer is there; a second press does nothing.
// aria-disabled and not disabled, so that the pressed button keeps the focus.
import { $, $$, onChange } from "./dom.js";

// Which forms wait stands here, and is shown anew after each swap: what was swapped in meanwhile may be a copy of what was
// busy then, or a button of a form that has gone.
const waiting = new Set();
const isBusy = (el) => waiting.has(el.form ?? el);
function showBusy() {
  for (const form of waiting) {
    form.dataset.busy = "1";
    form.setAttribute("aria-busy", "true");
    for (const el of form.elements) if (el.type === "submit") { el.dataset.busy = "1"; el.setAttribute("aria-disabled", "true"); }
  }
  for (const el of $$("[data-busy]")) if (!isBusy(el)) {
    delete el.dataset.busy;
    el.tagName === "FORM" ? el.setAttribute("aria-busy", "false") : el.removeAttribute("aria-disabled");
  }
}
export function setBusy(form, busy) {
  busy ? waiting.add(form) : waiting.delete(form);
  showBusy();
}
onChange(showBusy);

// What is wrong is said at its field in our words, before it is sent and when one leaves a field that one has changed;
// the browser's own bubbles are for those without this file.
onChange(() => { for (const form of document.forms) if (form.method === "post") form.noValidate = true; });

const nameOf = (el) => el.labels?.[0]?.firstChild?.textContent.trim() || el.getAttribute("aria-label") || "this field";
function wrong(el) {
  const box = el.closest("[data-picker]");
  if (box) {
    if (el.value.trim()) return "Choose one of the list, or empty the field.";
    return "required" in box.dataset && !$("[data-picked] input", box) ? el.dataset.missing : "";
  }
  const { validity: v, min, max } = el;
  if (!v || v.valid) return el.required && el.matches("textarea, [type=text]") && !el.value.trim() ? el.dataset.missing ?? `Fill in “${nameOf(el)}”.` : "";
  if (v.valueMissing) return el.dataset.missing ?? (el.matches("select, [type=radio]") ? "Choose one of the list." : `Fill in “${nameOf(el)}”.`);
  if (el.type === "email" && v.typeMismatch) return "This is no e-mail address, such as ada@example.org.";
  if (el.type === "url" && v.typeMismatch) return "This is no web address, such as https://example.org.";
  if (v.rangeUnderflow || v.rangeOverflow || v.stepMismatch) return `Give a whole number between ${min} and ${max}.`;
  if (v.badInput) return "Give a number.";
  if (v.patternMismatch) return el.title || "This is not how it is written.";
  return el.validationMessage;
}

export function check(el) {
  const field = el.closest(".field");
  if (!field) return true;
  const first = el.type === "radio" ? $("[type=radio]", field) : el;
  const words = wrong(el);
  const id = `${first.id}-err`;
  const others = (first.getAttribute("aria-describedby") ?? "").split(" ").filter((each) => each && each !== id);
  $(".err", field)?.remove();
  field.classList.toggle("bad", Boolean(words));
  words ? first.setAttribute("aria-invalid", "true") : first.removeAttribute("aria-invalid");
  if (words) {
    const note = Object.assign(document.createElement("p"), { className: "err", id, textContent: words });
    const sprite = $('use[href*="icons.svg"]')?.getAttribute("href").split("#")[0];
    if (sprite) note.insertAdjacentHTML("afterbegin", `<svg class="i sm" aria-hidden="true"><use href="${sprite}#circle-alert"/></svg>`);
    field.append(note);
    others.push(id);
  }
  others.length ? first.setAttribute("aria-describedby", others.join(" ")) : first.removeAttribute("aria-describedby");
  return !words;
}
const checked = (form) => [...form.elements].filter((el) => el.willValidate && el.type !== "submit" && el.checkVisibility() && (el.type !== "radio" || el === $(`[name="${el.name}"]`, form)));

document.addEventListener("submit", (e) => {
  const form = e.target;
  if (form.method !== "post") return;
  const stop = () => { e.preventDefault(); e.stopImmediatePropagation(); };
  if (isBusy(form)) return stop();
  if (!e.submitter?.formNoValidate && checked(form).filter((el) => !check(el)).length) { stop(); return void focusFirstBad(form); }
  // What stays open for the next entry is untouched once this one is sent.
  for (const el of form.elements) touched.delete(el);
  setBusy(form, true);
}, true);

const touched = new WeakSet();
document.addEventListener("input", (e) => {
  // A picker speaks for the field in it when something is chosen.
  const el = (e.target.matches?.("[data-picker]") && $("[role=combobox]", e.target)) || e.target;
  touched.add(el);
  if (el.getAttribute?.("aria-invalid") && !wrong(el)) check(el);
});
document.addEventListener("focusout", (e) => {
  const el = e.target;
  if (touched.has(el) && el.form?.method === "post" && el.willValidate && !el.closest("[data-picker]") && el.checkVisibility()) check(el);
});
addEventListener("pageshow", () => { waiting.clear(); showBusy(); });

export function focusFirstBad(within) {
  const bad = $('.refusal, [aria-invalid="true"]', within);
  bad?.focus();
  return bad;
}

document.addEventListener("keydown", (e) => {
  // Out of what is being written, so that single letters are keys again; what was written stays.
  if (e.key === "Escape" && e.target.matches?.("#main textarea") && !e.defaultPrevented) $("#main").focus({ preventScroll: true });
  if ((e.metaKey || e.ctrlKey) && e.key === "Enter") e.target.closest?.("form")?.requestSubmit();
});

// Somebody new gets the zone of the browser; without this file it is UTC until they choose one.
for (const field of $$("input[data-time-zone]")) field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";

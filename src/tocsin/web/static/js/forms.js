// Forms. A form that was sent is busy until its answer is there; a second press does nothing.
// aria-disabled and not disabled, so that the pressed button keeps the focus.
import { $, $$ } from "./dom.js";

const buttonsOf = (form) => [...form.elements].filter((el) => el.type === "submit");
export function setBusy(form, busy) {
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

export function focusFirstBad(within) {
  const bad = $('[aria-invalid="true"]', within);
  bad?.focus();
  return bad;
}

document.addEventListener("keydown", (e) => {
  if ((e.metaKey || e.ctrlKey) && e.key === "Enter") e.target.closest?.("form")?.requestSubmit();
});

// Somebody new gets the zone of the browser; without this file it is UTC until they choose one.
for (const field of $$("input[data-time-zone]")) field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";

// Toasts hide after 6 s, but not while the pointer or the focus is on them.
import { $, $$, onChange } from "./dom.js";

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

export function say(text) {
  const copy = $("#toast-form").content.cloneNode(true);
  $("[data-text]", copy).textContent = text;
  $("#toasts").append(copy);
  watchToast($("#toasts").lastElementChild);
}

onChange(() => $$("#toasts .toast").forEach(watchToast));

document.addEventListener("click", (e) => {
  if (e.target.closest("[data-dismiss]")) return void e.target.closest(".toast").remove();
  const copy = e.target.closest("[data-copy]");
  if (copy) navigator.clipboard?.writeText(document.getElementById(copy.dataset.copy).textContent.trim()).then(() => say("Copied"));
});

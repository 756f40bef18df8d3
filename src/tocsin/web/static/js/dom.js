// Finding and writing elements.
export const root = document.documentElement;
export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
export const write = (el, text) => { if (el.textContent !== text) el.textContent = text; };

// Does something now, and again whenever a part of the page was swapped (see swaps.js).
export function onChange(work) {
  work();
  document.addEventListener("page:changed", work);
}
export const changed = () => document.dispatchEvent(new CustomEvent("page:changed"));

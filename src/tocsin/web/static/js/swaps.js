// What htmx asks for and swaps in, and what has to be done afterwards.
import { openSheet } from "./dialogs.js";
import { $$, changed } from "./dom.js";
import { accepted } from "./drafts.js";
import { focusFirstBad, setBusy } from "./forms.js";
import { say } from "./toasts.js";

// A form in a dialog that is refused comes back as one of a dialog.
document.addEventListener("htmx:config:request", (e) => {
  const { ctx } = e.detail;
  if (ctx.sourceElement.closest("#sheet")) ctx.request.headers["X-Sheet"] = "1";
});

// What the page has already need not come again: the server leaves an element with its id in the place (see
// web/base/fragments.py), and what stands on the screen is put there before anything is compared.
document.addEventListener("htmx:config:request", (e) => {
  const known = $$("#page [data-digest]").map((el) => el.dataset.digest);
  e.detail.ctx.request.headers["X-Known"] = known.slice(0, 400).join(",") || "none";
});
document.addEventListener("htmx:before:swap", (e) => {
  for (const { fragment } of e.detail.tasks) {
    for (const place of fragment?.querySelectorAll?.("[data-same]") ?? []) {
      const here = document.getElementById(place.id);
      if (here) place.replaceWith(here.cloneNode(true));
      // It has gone since it was asked for: the whole page, then.
      else { e.preventDefault(); return location.reload(); }
    }
  }
});

document.addEventListener("htmx:before:response", (e) => {
  const { response, sourceElement } = e.detail.ctx;
  // The answer is another page (signed out, or the thing has moved): go there.
  if (response.raw.redirected && new URL(response.raw.url).pathname !== location.pathname && sourceElement.id !== "paged") {
    e.preventDefault();
    // Who only looks on stays, with what they have written: the stream ends as well, and it is said (js/live.js).
    if (sourceElement.id === "refresh" && new URL(response.raw.url).pathname.endsWith("/sign-in")) return;
    location.assign(response.raw.url);
  } else if (response.status >= 400 && ![409, 422, 429].includes(response.status)) {
    // Never swap an error page into this page. What is on the screen stays, and stays usable.
    e.preventDefault();
    if (!["refresh", "paged"].includes(sourceElement.id)) say(`That did not work (${response.status}). Nothing was changed. Please try again.`);
  }
});
document.addEventListener("htmx:error", (e) => {
  const source = e.detail.ctx?.sourceElement;
  if (source?.tagName === "FORM") say("Tocsin did not answer. What you wrote is still here: please try again.");
});
document.addEventListener("htmx:finally:request", (e) => {
  const form = e.detail.ctx.request?.form ?? e.detail.ctx.sourceElement;
  if (form?.tagName === "FORM") setBusy(form, false);
});
document.addEventListener("htmx:after:swap", (e) => {
  const { ctx } = e.detail;
  const form = ctx.sourceElement;
  if ([409, 422, 429].includes(ctx.response?.status)) focusFirstBad(form?.isConnected ? form : openSheet() ?? document);
  else if (form?.tagName === "FORM") {
    form.reset();
    accepted(form);
    // The next text of this form is a new one: the server drops what it gets twice under the same value.
    if (form.elements.form_id) form.elements.form_id.value = form.elements.form_id.defaultValue = [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    form.closest("dialog")?.close();
    const menu = form.closest("[popover]");
    if (menu?.matches(":popover-open")) menu.hidePopover();
  }
  changed();
});

// Dialogs and details. An open one is left alone by live updates, so that nobody's half-written note is lost.
import { $, $$, onChange } from "./dom.js";
import { focusFirstBad } from "./forms.js";

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
});

// A dialog that comes open from the server was asked for, or its form was refused.
onChange(() => {
  for (const dialog of $$("dialog[open]:not(:modal)")) { dialog.close(); openDialog(dialog); }
});

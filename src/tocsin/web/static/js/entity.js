// The page of one thing: its title stays in sight, and so does the focus of whoever has just done something there.
import { sayState } from "./announce.js";
import { $, onChange, root } from "./dom.js";

// Once the title has left the screen, the bar above says it.
const title = () => $("[data-title]");
const past = new IntersectionObserver(([seen]) => root.toggleAttribute("data-past", !seen.isIntersecting && seen.boundingClientRect.top < 60), { rootMargin: "-60px 0px 0px" });
onChange(() => {
  past.disconnect();
  if (title()) past.observe(title());
});

// The pressed button may be gone with its act, at once or with the news of it: then the title has the focus, or the main
// part of a page that has none, until somebody goes elsewhere. What has become of it is read out. Seen in the page itself,
// as a form that is gone tells of no answer any more.
let sent;
let menu;
let isActing = false;
const isLost = () => isActing && document.activeElement === document.body;
const acted = new MutationObserver(() => {
  // Its menu is done with; the answer that closes it comes to nobody.
  if (menu && !sent.isConnected && menu.matches(":popover-open")) menu.hidePopover();
  if (isLost()) title()?.focus({ preventScroll: true });
  sayState();
});
document.addEventListener("submit", (e) => {
  sent = e.target;
  menu = sent.closest("[popover]");
  isActing = true;
  acted.observe(document.body, { childList: true, subtree: true });
});
// Before the key acts.
for (const elsewhere of ["pointerdown", "keydown"]) document.addEventListener(elsewhere, () => { isActing = false; acted.disconnect(); }, true);
// After the list, which knows better where one goes on.
onChange(() => { if (isLost()) $("#main")?.focus({ preventScroll: true }); });

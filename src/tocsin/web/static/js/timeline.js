// The timeline of an incident. The reader is told about new events instead of being moved when the timeline's top is out of sight.
import { $, $$, onChange, write } from "./dom.js";

let seen = new Set($$("#timeline .ev").map((el) => el.id));
let waiting = 0;
function showNewEvents(count) {
  waiting = count;
  const pill = $("#new-events");
  if (!pill) return;
  pill.hidden = !count;
  if (count) write($("[data-text]", pill), count === 1 ? "1 new event" : `${count} new events`);
}
// Whoever has come back to the top has seen them.
const top = new IntersectionObserver(([filter]) => { if (filter.isIntersecting) showNewEvents(0); }, { rootMargin: "-48px 0px 0px" });
onChange(() => {
  const timeline = $("#timeline");
  top.disconnect();
  if (!timeline) return;
  const ids = $$(".ev", timeline).map((el) => el.id);
  const fresh = ids.filter((id) => !seen.has(id)).length;
  seen = new Set(ids);
  showNewEvents($("#timeline-filter").getBoundingClientRect().bottom < 48 ? waiting + fresh : 0);
  top.observe($("#timeline-filter"));
});

document.addEventListener("click", (e) => {
  if (!e.target.closest("#new-events")) return;
  $("#timeline-filter").scrollIntoView({ block: "start" });
  showNewEvents(0);
});

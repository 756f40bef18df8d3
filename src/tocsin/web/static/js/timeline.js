// The timeline of an incident. The reader is told about new events instead of being moved when the timeline's top is out of sight.
import { $, $$, onChange, write } from "./dom.js";

let seen = new Set($$("#timeline .ev").map((el) => el.id));
function showNewEvents(count) {
  const pill = $("#new-events");
  if (!pill) return;
  pill.hidden = !count;
  if (count) write($("[data-text]", pill), count === 1 ? "1 new event" : `${count} new events`);
}
let waiting = 0;
onChange(() => {
  const timeline = $("#timeline");
  if (!timeline) return;
  const ids = $$(".ev", timeline).map((el) => el.id);
  const fresh = ids.filter((id) => !seen.has(id)).length;
  seen = new Set(ids);
  waiting = timeline.getBoundingClientRect().top < 0 ? waiting + fresh : 0;
  showNewEvents(waiting);
});

document.addEventListener("click", (e) => {
  if (!e.target.closest("#new-events")) return;
  $("#timeline").scrollIntoView({ block: "start" });
  waiting = 0;
  showNewEvents(0);
});

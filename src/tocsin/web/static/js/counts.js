// What stands around every page: the counts of the navigation, the number in the tab's title and the dot on its picture.
// The server writes them, and the live stream says how they are by now.
import { $, $$, onChange } from "./dom.js";

const MOST = 1000;

// What the stream said last holds until the page itself brings something newer.
export function tellCounts(counts) {
  const around = $("#around");
  if (around) around.dataset.counts = JSON.stringify({ ...JSON.parse(around.dataset.counts), ...counts });
  showCounts(counts);
}

function showCounts(counts) {
  for (const badge of $$("[data-count]")) {
    const number = counts[badge.dataset.count];
    if (number === undefined) continue;
    badge.hidden = !number;
    badge.firstChild.nodeValue = number < MOST ? number : `${MOST - 1}+`;
  }
  const paged = counts.paged?.length ?? 0;
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = paged ? `(${paged}) ${title}` : title;
  const icon = $("link[rel=icon]");
  const wanted = paged ? icon.dataset.iconPaged : icon.dataset.iconQuiet;
  if (wanted && icon.getAttribute("href") !== wanted) icon.href = wanted;
}

onChange(() => {
  const around = $("#around");
  if (around) showCounts(JSON.parse(around.dataset.counts));
});

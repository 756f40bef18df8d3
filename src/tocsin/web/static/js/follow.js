// Follows the live stream of this session (see web/base/stream.py) and tells what comes: `{ state: "live" | "lost" | "over" }`,
// and with it what a message says. Used by the worker that all tabs share, and by a page where there is none.

// The server says every 15 s that the line is open.
const SILENT = 40000;

export function follow(url, after, tell) {
  let wait = 1000;
  let line;
  let heard = 0;
  let retry;
  let stopped = false;

  function read(block) {
    const message = {};
    for (const row of block.split("\n")) {
      if (row.startsWith("id: ")) message.id = after = row.slice(4);
      else if (row.startsWith("data: ")) Object.assign(message, JSON.parse(row.slice(6)));
    }
    tell({ state: "live", ...message });
  }

  async function open() {
    clearTimeout(retry);
    line?.abort();
    const mine = line = new AbortController();
    try {
      heard = Date.now();
      const answer = await fetch(`${url}?after=${encodeURIComponent(after)}`, { signal: mine.signal, cache: "no-store", redirect: "manual" });
      if (answer.status === 401) { stopped = true; return tell({ state: "over" }); }
      if (!answer.ok) throw new Error(String(answer.status));
      wait = 1000;
      let text = "";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        heard = Date.now();
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop();
        blocks.forEach(read);
      }
    } catch { /* Said below. */ }
    if (mine !== line || stopped) return;
    tell({ state: "lost" });
    retry = setTimeout(open, wait);
    wait = Math.min(wait * 2, 15000);
  }

  const watch = setInterval(() => { if (!stopped && Date.now() - heard > SILENT) open(); }, 5000);
  open();
  return {
    again() { stopped = false; wait = 1000; open(); },
    stop() { stopped = true; clearInterval(watch); clearTimeout(retry); line?.abort(); },
  };
}

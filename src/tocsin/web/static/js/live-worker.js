// One stream for all tabs of a session: a browser opens few connections to one place, and each tab would take one.
import { follow } from "./follow.js";

const ports = new Set();
// What came lately, for a page that was made before and looks in only now.
const lately = [];
let latest = { state: "lost" };
let stream;

function tell(message) {
  // The counts stay known, for a tab that looks in later.
  latest = { ...latest, ...message, topics: undefined, id: undefined };
  if (message.id) lately.push(message);
  if (lately.length > 100) lately.shift();
  for (const port of ports) port.postMessage(message);
}

const place = (id) => id.split("-").map(Number);
function isAfter(one, other) {
  const [[a, b], [c, d]] = [place(one), place(other)];
  return a > c || (a === c && b > d);
}

onconnect = ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data.leave) ports.delete(port);
    else if (data.again) stream?.again();
    else if (!stream) stream = follow(data.url, data.after, tell);
    else {
      if (latest.state === "over") stream.again();
      port.postMessage(latest);
      if (lately.length === 100 && isAfter(lately[0].id, data.after)) port.postMessage({ ...latest, topics: ["*"] });
      else for (const message of lately) if (isAfter(message.id, data.after)) port.postMessage(message);
    }
  };
};

// How the thing of this page stands, read out when it has changed, and once only.
import { $ } from "./dom.js";

const state = () => $("#state-words")?.textContent ?? "";
let said = state();

export function sayState() {
  const words = state();
  if (words && words !== said) $("#announcer").textContent = said = words;
}

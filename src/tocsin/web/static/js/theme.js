// Light or dark: a cookie, so that the server renders the next page in it without a flash. It is for this installation,
// which begins above the folder of this file's folder.
import { root } from "./dom.js";

const home = new URL("../../", import.meta.url).pathname;

document.addEventListener("click", (e) => {
  if (!e.target.closest("[data-theme-toggle]")) return;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme};path=${home};max-age=31536000;samesite=lax`;
});

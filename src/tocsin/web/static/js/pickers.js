// Choosing from many: a combobox that asks for what it offers while one types (WAI-ARIA APG, list autocomplete with
// the highlighted option taken by Enter). What is chosen stands before it, and in hidden fields.
import { $, $$, onChange } from "./dom.js";

const html = (tag, given, ...children) => {
  const el = Object.assign(document.createElement(tag), given);
  el.append(...children);
  return el;
};

function paged() {
  for (const el of $$("[data-paged]")) {
    const names = $$(`[data-name="${el.dataset.paged}"] .tag > span`, el.closest("form")).map((each) => each.textContent);
    el.textContent = names.length ? `Pages ${names.join(", ")} at once.` : "Nobody is paged yet.";
  }
}

function picker(box) {
  const input = $("[role=combobox]", box);
  const list = $("[role=listbox]", box);
  const picked = $("[data-picked]", box);
  const many = "many" in box.dataset;
  const has = (value) => $$("input", picked).some((each) => each.value === value);
  const options = () => $$("[role=option]", list);
  let asked = 0;
  // The words that what is offered has; null when nothing is.
  let offered = null;
  let timer;

  const tell = () => { paged(); box.dispatchEvent(new CustomEvent("input", { bubbles: true })); };
  function close() {
    asked += 1;
    offered = null;
    list.replaceChildren();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function highlight(option) {
    for (const each of options()) each.setAttribute("aria-selected", String(each === option));
    option ? input.setAttribute("aria-activedescendant", option.id) : input.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  }
  function choose({ value, text, note = "" }) {
    if (!many) picked.replaceChildren();
    if (!has(value)) {
      const out = html("button", { type: "button", innerHTML: '<span aria-hidden="true">×</span>' });
      out.dataset.unpick = "";
      out.setAttribute("aria-label", `Take out ${text}`);
      picked.append(html("span", { className: "tag" }, html("input", { type: "hidden", name: box.dataset.name, value }), html("span", { textContent: text }), ...(note ? [html("small", { textContent: `(${note})` })] : []), out));
    }
    input.value = "";
    close();
    tell();
  }
  // `takes`: the first that is found is chosen.
  async function look(takes = false) {
    clearTimeout(timer);
    const mine = (asked += 1);
    const words = input.value;
    const answer = await fetch(`${box.dataset.picker}?q=${encodeURIComponent(words)}`).catch(() => null);
    const found = answer?.ok ? await answer.json() : null;
    if (mine !== asked || document.activeElement !== input) return;
    offered = words;
    let group = "";
    list.replaceChildren(...(found ?? []).filter((each) => !has(each.value)).flatMap((each, at) => {
      const option = html("li", { id: `${list.id}-${at}`, className: "mi" }, html("span", { textContent: each.text }), ...(each.note ? [html("small", { textContent: each.note })] : []));
      option.setAttribute("role", "option");
      Object.assign(option.dataset, each);
      if (each.group === group) return [option];
      group = each.group;
      return [html("li", { className: "mh", role: "presentation", textContent: group }), option];
    }));
    if (!options().length) list.append(html("li", { className: "mh", role: "presentation", textContent: found ? "Nothing has these words." : "Tocsin did not answer. Go on typing to try again." }));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    // What one typed for is taken by Enter; what one has not typed for is not.
    highlight(input.value ? options()[0] : null);
    if (takes && options().length) choose(options()[0].dataset);
  }

  input.addEventListener("input", (e) => { e.stopPropagation(); highlight(null); clearTimeout(timer); timer = setTimeout(look, 120); });
  input.addEventListener("click", () => { if (list.hidden) look(); });
  input.addEventListener("blur", () => setTimeout(close, 150));
  input.addEventListener("keydown", (e) => {
    const all = options();
    const at = all.findIndex((each) => each.getAttribute("aria-selected") === "true");
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      if (list.hidden) return look();
      highlight(all.at((at + (e.key === "ArrowDown" ? 1 : at < 0 ? 0 : -1)) % all.length));
    } else if (e.key === "Enter" && !e.metaKey && !e.ctrlKey && (at >= 0 || input.value)) {
      e.preventDefault();
      // Whoever types faster than the answer comes means what they typed, not what is still offered.
      if (input.value !== (offered ?? "")) look(true);
      else if (at >= 0 && !list.hidden) choose(all[at].dataset);
    } else if (e.key === "Escape" && !list.hidden) {
      e.preventDefault();
      e.stopPropagation();
      close();
    } else if (e.key === "Backspace" && !input.value) {
      picked.lastElementChild?.remove();
      tell();
    }
  });
  list.addEventListener("pointerdown", (e) => {
    e.preventDefault();
    const option = e.target.closest("[role=option]");
    if (option) choose(option.dataset);
  });
  box.addEventListener("click", (e) => {
    const out = e.target.closest("[data-unpick]");
    const suggested = e.target.closest("[data-pick]");
    if (out) { out.closest(".tag").remove(); input.focus(); tell(); }
    if (suggested) { choose({ value: suggested.dataset.pick, text: suggested.textContent.trim() }); input.focus(); }
  });
}

onChange(() => {
  for (const box of $$("[data-picker]")) if (!box.dataset.ready) { box.dataset.ready = "1"; picker(box); }
  paged();
});

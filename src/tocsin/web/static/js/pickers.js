// Choosing from many: a combobox that asks for what it offers while one types (WAI-ARIA APG, list autocomplete with
// the highlighted option taken by Enter). What is chosen stands before it, and in hidden fields. On a page of its own
// the menu of all (`data-pick`), which is there without this file, becomes one.
import { $, $$, onChange } from "./dom.js";

export const picks = (box) => $$("[data-picked] input", box).map((each) => each.value).join();

const html = (tag, given, ...children) => {
  const el = Object.assign(document.createElement(tag), given);
  el.append(...children);
  return el;
};

const tag = (name, { value, text, note }) => {
  const out = html("button", { type: "button", innerHTML: '<span aria-hidden="true">×</span>' });
  out.dataset.unpick = "";
  out.setAttribute("aria-label", `Take out ${text}`);
  return html("span", { className: "tag" }, html("input", { type: "hidden", name, value }), html("span", { textContent: text }), ...(note ? [html("small", { textContent: `(${note})` })] : []), out);
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
      picked.append(tag(box.dataset.name, { value, text, note }));
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
    if (!options().length) list.append(html("li", { className: "mh", role: "presentation", textContent: found?.length ? "It is chosen already." : found ? "Nothing has these words." : "Tocsin did not answer. Go on typing to try again." }));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    // What one typed for is taken by Enter; what one has not typed for is not.
    highlight(input.value ? options()[0] : null);
    if (takes && options().length) choose(options()[0].dataset);
  }

  input.addEventListener("input", (e) => { e.stopPropagation(); highlight(null); clearTimeout(timer); timer = setTimeout(look, 120); });
  input.addEventListener("click", () => { if (list.hidden) look(); });
  // Whoever is back by then goes on where they were.
  input.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== input) close(); }, 150));
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

function enhance(menu) {
  const { id, name, dataset } = menu;
  const box = html("div", { className: "picker" });
  Object.assign(box.dataset, { picker: dataset.pick, name, ...("many" in dataset && { many: "" }), ...(menu.required && { required: "" }) });
  const input = html("input", { className: "input", id, type: "text", autocomplete: "off", spellcheck: false, placeholder: menu.options[0]?.value ? "" : menu.options[0]?.textContent ?? "", disabled: menu.disabled });
  const said = { role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": `${id}-list` };
  for (const each of ["aria-label", "aria-describedby", "aria-invalid", "data-missing"]) if (menu.hasAttribute(each)) said[each] = menu.getAttribute(each);
  for (const [each, value] of Object.entries(said)) input.setAttribute(each, value);
  const list = html("ul", { className: "menu picklist", id: `${id}-list`, hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", menu.getAttribute("aria-label") ?? menu.labels?.[0]?.firstChild?.textContent ?? "");
  const picked = html("span", { className: "picked" });
  picked.dataset.picked = "";
  for (const each of menu.selectedOptions) if (each.value) picked.append(tag(name, { value: each.value, text: each.textContent }));
  box.append(html("div", { className: "pickbox" }, picked, input), list);
  const focused = menu === document.activeElement || menu.autofocus;
  menu.replaceWith(box);
  if (focused) input.focus();
}

onChange(() => {
  for (const menu of $$("select[data-pick]")) enhance(menu);
  for (const box of $$("[data-picker]")) if (!box.dataset.ready) { box.dataset.ready = "1"; picker(box); box.dataset.was = picks(box); }
  paged();
});

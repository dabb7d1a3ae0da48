"use strict";

// Language: the reader's last choice, else the browser's. Set before the page is drawn.
const stored = () => { try { return localStorage.getItem("language"); } catch { return null; } };
const language = () => document.documentElement.lang;

function speak(chosen) {
  document.documentElement.lang = chosen;
  document.documentElement.dataset.language = chosen;
  for (const button of document.querySelectorAll(".languages button"))
    button.setAttribute("aria-pressed", String(button.value === chosen));
  for (const input of document.querySelectorAll("input[data-fi]")) input.placeholder = input.dataset[chosen];
}

speak(stored() ?? (/^(fi|sv)\b/.test(navigator.language) ? "fi" : "en"));

// Search: every word must be found; accents, case, _ and - do not count.
const fold = (text) => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/[_.\s-]+/g, " ").trim();

function find(query) {
  const words = fold(query).split(" ").filter(Boolean);
  const has = (text, word) => fold(text).includes(word);
  const whole = (text, word) => ` ${fold(text)} `.includes(` ${word} `);
  return CATALOGUE.map((entry) => {
    const head = [...entry.title, entry.name, entry.topic ?? ""].join(" ");
    let score = 0;
    for (const word of words) {
      if (has(head, word)) score += whole(entry.title.join(" "), word) ? 6 : 4;
      else if (entry.fields.some((field) => has(field[0], word))) score += 2;
      else if (entry.fields.some((field) => has(field.join(" "), word)) || has(entry.theme.join(" "), word)) score += 1;
      else return null;
    }
    const fields = entry.fields.filter((field) => words.some((word) => !has(head, word) && has(field.join(" "), word)));
    return { entry, score, fields };
  }).filter(Boolean).sort((one, other) => other.score - one.score);
}

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  if (text) made.append(text);
  return made;
}

function result({ entry, fields }) {
  const at = language() === "fi" ? 0 : 1;
  const item = element("li");
  const where = [entry.theme[at], entry.topic ?? entry.name].filter(Boolean).join(" · ");
  item.append(element("a", entry.title[at], { href: entry.page }), " ", element("span", where, { className: "where" }));
  for (const [name, fi, en] of fields.slice(0, 3)) {
    const hit = element("span", "", { className: "hit" });
    const anchor = entry.page === "event.html" ? "e" : "f";
    hit.append(element("a", element("code", name), { href: `${entry.page}#${anchor}-${name}` }), ` ${[fi, en][at]}`);
    item.append(hit);
  }
  return item;
}

function show(query) {
  const results = document.getElementById("results");
  const searching = query.trim() !== "";
  results.hidden = !searching;
  document.getElementById("browse").hidden = searching;
  if (!searching) return results.replaceChildren();
  const found = find(query);
  const count = language() === "fi"
    ? `${found.length} ${found.length === 1 ? "osuma" : "osumaa"}`
    : `${found.length} ${found.length === 1 ? "match" : "matches"}`;
  const list = element("ol");
  list.append(...found.map(result));
  results.replaceChildren(element("p", count, { className: "soft" }), list);
}

addEventListener("DOMContentLoaded", () => {
  speak(language());
  const input = document.getElementById("q");
  const here = document.getElementById("results") !== null;
  const again = () => here && show(input.value);
  for (const button of document.querySelectorAll(".languages button"))
    button.addEventListener("click", () => {
      try { localStorage.setItem("language", button.value); } catch { /* the choice lasts for this page */ }
      speak(button.value);
      again();
    });
  if (here) {
    input.value = new URLSearchParams(location.search).get("q") ?? "";
    input.addEventListener("input", () => {
      history.replaceState(null, "", input.value ? `?q=${encodeURIComponent(input.value)}` : location.pathname);
      again();
    });
    input.form.addEventListener("submit", (event) => event.preventDefault());
    again();
  }
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    input.focus();
  });
});

// Shows what /events tells: a snapshot every two seconds, as observe/status.py describes it. No persons are in it.

const WORDS = {
  fi: {
    "state.flowing": "Muutokset kulkevat", "state.catching-up": "Muutoksia haetaan lisää",
    "state.starting": "Palvelu käynnistyy", "state.waiting": "Toinen instanssi tekee työn",
    "state.upstream": "VTJ-rajapinta ei vastaa", "state.kafka": "Kafka ei vastaa",
    "state.stalled": "Muutokset eivät kulje", "state.lost": "Yhteys palveluun on poikki",
    since: (time) => `${time} alkaen`, lostAt: (time) => `Luvut ovat ajalta ${time}. Yhteyttä yritetään uudelleen.`,
    feed: "Virta", cursor: "Kursori (kirjausavain)", buckets: "Osuudet", age: "Kursorin ikä",
    ageMore: "viimeisestä onnistuneesta vastauksesta", next: "Seuraava haku", rate: "Tapahtumia sekunnissa",
    backlog: "Jäljessä arviolta", quota: "Kutsuja jäljellä", perMinute: (n) => `/ ${n} minuutissa`,
    plotRate: "Tapahtumia sekunnissa", plotBacklog: "Jäljessä (sekuntia)", highest: "suurin", now: "nyt",
    ago: (time) => `${time} sitten`, in: (time) => `${time} kuluttua`, never: "ei vielä", atOnce: "heti",
    troubles: "Yritetään uudelleen", trouble: (one) => `${one.what}: yritys ${one.tries}`,
    bucket: "Osuus", shard: "Shardi", upToDate: "Ajan tasalla", yes: "kyllä", no: "ei", commit: "Viimeisin vienti",
    events: "Tapahtumia", took: "Kesto", shards: "Shardit", own: "tämä instanssi", nobody: "ei kenelläkään", asking: "Kysytään Kafkalta…",
    topics: "Tapahtumat aiheittain", topic: "Aihe", count: "Määrä", letters: "Epäkelvot tietueet (dead letter)",
    reason: "Syy", unmapped: "Tuntemattomat ryhmät", group: "Tietoryhmä", none: "Ei yhtään.",
    sinceStart: "käynnistyksestä alkaen", started: "käynnistyi", ms: "ms",
    units: ["s", "min", "h", "pv"],
  },
  en: {
    "state.flowing": "Changes are flowing", "state.catching-up": "Catching up with changes",
    "state.starting": "The service is starting", "state.waiting": "Another instance does the work",
    "state.upstream": "The VTJ interface does not answer", "state.kafka": "Kafka does not answer",
    "state.stalled": "Changes do not flow", "state.lost": "The service cannot be reached",
    since: (time) => `since ${time}`, lostAt: (time) => `The figures are of ${time}. Trying to connect again.`,
    feed: "Feed", cursor: "Cursor (kirjausavain)", buckets: "Buckets", age: "Age of the cursor",
    ageMore: "since the last successful answer", next: "Next poll", rate: "Events a second",
    backlog: "Behind, estimated", quota: "Requests left", perMinute: (n) => `of ${n} a minute`,
    plotRate: "Events a second", plotBacklog: "Behind (seconds)", highest: "highest", now: "now",
    ago: (time) => `${time} ago`, in: (time) => `in ${time}`, never: "not yet", atOnce: "at once",
    troubles: "Being tried again", trouble: (one) => `${one.what}: try ${one.tries}`,
    bucket: "Bucket", shard: "Shard", upToDate: "Up to date", yes: "yes", no: "no", commit: "Last commit",
    events: "Events", took: "Took", shards: "Shards", own: "this instance", nobody: "nobody", asking: "Asking Kafka…",
    topics: "Events by topic", topic: "Topic", count: "Count", letters: "Dead letters",
    reason: "Reason", unmapped: "Unmapped groups", group: "Data group", none: "None.",
    sinceStart: "since the start", started: "started", ms: "ms",
    units: ["s", "min", "h", "d"],
  },
};
const QUIET = 15_000; // ms without a word, after which the figures are old
const OLD = 24 * 3600, TOO_OLD = 10 * 24 * 3600; // s

const stored = { get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* private window */ } } };
let language = stored.get("language") ?? (navigator.language.startsWith("fi") ? "fi" : "en");
let chosen = null, last = null, heard = Date.now(), lost = false;
const $ = (id) => document.getElementById(id);

function make(name, text, more = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(more)) made.setAttribute(key, value);
  return made;
}

const number = (value, digits = 0) =>
  value === null ? "–" : new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
const clock = (ms) => {
  const sameDay = new Date(ms).toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(language, sameDay ? { timeStyle: "medium" } : { dateStyle: "short", timeStyle: "short" }).format(ms);
};
function span(seconds) {
  const [s, min, h, d] = WORDS[language].units;
  if (seconds < 120) return `${Math.round(seconds)} ${s}`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} ${min}`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} ${h}`;
  return `${Math.round(seconds / 86_400)} ${d}`;
}

// Changes nothing that is the same, so that a reader's place and a screen reader's voice are left alone.
function put(node, ...children) {
  const next = document.createElement(node.tagName);
  next.append(...children);
  if (next.innerHTML !== node.innerHTML) node.replaceChildren(...children);
}

function table(columns, rows, cards = false) {
  const made = make("table", undefined, cards ? { class: "cards" } : {});
  const head = make("tr");
  for (const [title, kind] of columns) head.append(make("th", title, { scope: "col", class: kind ?? "" }));
  made.append(make("thead"), make("tbody"));
  made.tHead.append(head);
  for (const row of rows) {
    const line = make("tr");
    row.forEach((value, at) => line.append(make(at ? "td" : "th", value,
      { class: columns[at][1] ?? "", "data-of": columns[at][0], ...(at ? {} : { scope: "row" }) })));
    made.tBodies[0].append(line);
  }
  const wide = make("div", undefined, { class: "wide" });
  wide.append(made);
  return wide;
}

function plot(figure, title, values, step) {
  const words = WORDS[language], highest = Math.max(...values, 0), latest = values.at(-1) ?? 0;
  const points = values.map((value, at) =>
    `${((at + 1 + PLOT - values.length) / PLOT * 600).toFixed(1)} ${(96 - (highest ? value / highest : 0) * 88).toFixed(1)}`);
  const caption = make("figcaption", title);
  caption.append(make("b", `${words.now} ${number(latest, latest < 10 ? 1 : 0)} · ${words.highest} ${number(highest, highest < 10 ? 1 : 0)}`));
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 600 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${caption.lastChild.textContent}`);
  if (points.length > 1) {
    const first = points[0].split(" ")[0], end = points.at(-1).split(" ")[0];
    for (const [kind, path] of [["area", `M${first} 100L${points.join("L")}L${end} 100Z`], ["line", `M${points.join("L")}`]]) {
      const drawn = document.createElementNS(space, "path");
      drawn.setAttribute("class", kind);
      drawn.setAttribute("d", path);
      svg.append(drawn);
    }
  }
  const scale = make("p", undefined, { class: "scale", "aria-hidden": "true" });
  scale.append(make("span", words.ago(span(PLOT * step))), make("span", words.now));
  figure.replaceChildren(caption, svg, scale);
}
const PLOT = 360; // points

function fact(title, value, more, kind) {
  const made = make("div"), shown = make("dd", value, kind ? { class: kind } : {});
  if (more) shown.append(make("small", more));
  made.append(make("dt", title), shown);
  return made;
}

function counted(id, title, first, counts) {
  const words = WORDS[language], rows = Object.entries(counts).sort((one, other) => other[1] - one[1]);
  const told = make("h2", `${title} `);
  told.append(make("small", words.sinceStart));
  put($(id), told, rows.length
    ? table([[first, "code"], [words.count, "number"]], rows.map(([name, count]) => [name, number(count)]))
    : make("p", words.none, { class: "none" }));
}

function show() {
  const words = WORDS[language];
  document.documentElement.lang = language;
  for (const button of document.querySelectorAll("[data-language]"))
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  if (!last) {
    $("state").textContent = words[lost ? "state.lost" : "state.starting"];
    $("verdict").dataset.state = lost ? "lost" : "starting";
    return;
  }
  const names = Object.keys(last.feeds);
  if (!names.includes(chosen)) chosen = names[0];
  $("feeds").hidden = names.length < 2;
  const nav = $("feeds"); // kept as it is, so that the keyboard stays on the button
  if ([...nav.children].map((one) => one.textContent).join() !== names.join())
    nav.replaceChildren(...names.map((name) => make("button", name, { type: "button", "data-feed": name })));
  for (const button of nav.children) button.setAttribute("aria-pressed", String(button.dataset.feed === chosen));
  const feed = last.feeds[chosen], at = last.at, state = lost ? "lost" : feed.state;
  $("verdict").dataset.state = state;
  const headline = words[`state.${state}`];
  if ($("state").textContent !== headline) $("state").textContent = headline;
  $("why").textContent = lost ? "" : [words.since(clock(feed.since)), feed.why].filter(Boolean).join(" · ");
  $("lost").hidden = !lost;
  if (lost) $("lost").textContent = words.lostAt(clock(at));
  document.title = `${headline} – vtj-producer`;

  const one = feed.buckets.length === 1;
  const wait = feed.next === null ? words.never : feed.next <= at ? words.atOnce : words.in(span((feed.next - at) / 1000));
  put($("facts"),
    one ? fact(words.cursor, feed.buckets[0].cursor) : fact(words.buckets, number(feed.buckets.length)),
    fact(words.age, feed.age === null ? "–" : span(feed.age), words.ageMore, feed.age > TOO_OLD ? "bad" : feed.age > OLD ? "warn" : ""),
    fact(words.next, wait),
    fact(words.backlog, span(feed.backlog)),
    ...(feed.quota ? [fact(words.quota, number(feed.quota.left), words.perMinute(number(feed.quota.limit)))] : []),
  );
  plot($("rate"), words.plotRate, feed.plots.rate, last.step);
  plot($("backlog"), words.plotBacklog, feed.plots.backlog, last.step);

  $("troubles").hidden = !feed.troubles.length;
  put($("troubles"), make("h2", words.troubles), ...feed.troubles.map((told) => make("p",
    `${words.trouble(told)} · ${words.since(clock(told.since))} · ${told.why}`)));

  put($("buckets"), make("h2", words.buckets), feed.buckets.length ? table(
    [[words.bucket], [words.cursor, "number"], [words.age, "number"], [words.upToDate], [words.commit], [words.events, "number"], [words.took, "number"]],
    feed.buckets.map((bucket) => [
      bucket.name, bucket.cursor, bucket.age === null ? "–" : span(bucket.age),
      bucket.upToDate ? words.yes : words.no, bucket.committed === null ? words.never : clock(bucket.committed),
      number(bucket.events), bucket.took === null ? "–" : `${number(bucket.took)} ${words.ms}`]), true)
    : make("p", words.none, { class: "none" }));

  const grid = make("ol");
  feed.owners.forEach((owner, shard) => {
    const own = feed.held.includes(shard);
    const cell = make("li", own ? words.own : owner ?? words.nobody, { class: own ? "own" : owner ? "" : "nobody" });
    cell.prepend(make("b", `${words.shard} ${shard}`));
    grid.append(cell);
  });
  put($("shards"), make("h2", words.shards), feed.owners.length ? grid : make("p", words.asking, { class: "none" }));
  counted("topics", words.topics, words.topic, feed.topics);
  counted("letters", words.letters, words.reason, feed.letters);
  counted("unmapped", words.unmapped, words.group, feed.unmapped);
  $("versions").textContent = [feed.instance, `${words.started} ${clock(last.started)}`,
    ...Object.entries(last.versions).map(([name, version]) => `${name} ${version}`)].join(" · ");
}

function gone(now) {
  if (lost !== now) { lost = now; show(); }
}

document.addEventListener("click", (event) => {
  const told = event.target.closest("button")?.dataset ?? {};
  if (told.language) { language = told.language; stored.set("language", language); }
  if (told.feed) chosen = told.feed;
  if (told.language || told.feed) show();
});

const source = new EventSource("events");
source.addEventListener("message", (event) => { last = JSON.parse(event.data); heard = Date.now(); lost = false; show(); });
source.addEventListener("error", () => gone(true));
setInterval(() => { if (Date.now() - heard > QUIET) gone(true); }, 1000);
show();

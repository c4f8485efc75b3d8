"use strict";

// Shows the updates that the relay sends every second. What a peer may have chosen, such as a message or an address,
// is put into the page as text only: nothing here parses markup.

const WINDOW = 300; // seconds that the plots reach back: the texts of the page say 5 minutes
const GAP = 5; // seconds between two updates that a plot's line does not bridge
const SILENCE = 5000; // milliseconds without an update after which the relay counts as gone
const SPOKEN = 30; // seconds after which the descriptions of the plots, for screen readers, are renewed
const RECENT = 60; // seconds for which the verdict mentions cut connections and skipped messages
const BRIEF = 0.5; // seconds: a shorter lag is normal, and no reason for a warning
const BEHIND = 3; // seconds that a mirror may be behind without a word: it is told once a second how far it is
const PAGE = 50; // open connections shown at once
const LEFT = 10; // ended connections shown
const WAITED = { subscribers: "the slowest subscriber", journal: "the journal", backbone: "the backbone", workers: "the slowest worker" };
const FEEDS = ["tcp", "ws", "events"];
const EVERYDAY = ["peer closed", "connection lost", "shutdown", "removed"]; // how connections end when all is well
const SIZES = ["max-message", "buffer", "send-buffer"];
const SECONDS = ["stall-timeout", "frame-timeout", "drain-timeout", "tls-timeout", "keepalive"];

let source = null;
let heard = 0; // when the last update came, or the last attempt to connect began: milliseconds since the page opened
let now = null; // the last update
let samples = []; // parts of the updates in the time that the plots show, oldest first
let spoken = 0; // when the descriptions of the plots were last renewed, by the relay's time
let restarted = ""; // words about the last restart of the relay
let paused = false; // whether the newest messages stay as they are
// The pages of connections up to the one shown, each by the number that it begins after; the number for the following
// page, null after the last; and how many requests were made, so that only the answer to the last one is shown.
const turned = { starts: [0], next: null, asked: 0 };
const drawn = new WeakMap(); // what each part of the page shows, so that it is touched only if that changes

// Parts of the page

const byId = (id) => document.getElementById(id);

function changed(element, content) {
  const key = JSON.stringify(content);
  if (drawn.get(element) === key) return false;
  drawn.set(element, key);
  return true;
}

function write(element, text) {
  if (changed(element, text)) element.textContent = text;
}

function make(name, text = "", className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

/** `content`: a text, or an object with a text, a less important `note` to show below it, and the class `as`. */
function cell(name, content) {
  const { text, note = "", as = "" } = typeof content === "string" ? { text: content } : content;
  const element = make(name, text, as);
  if (note) element.append(make("span", note, "note"));
  return element;
}

function line(cells) {
  const element = make("tr");
  element.append(...cells.map((content, at) => cell(at ? "td" : "th", content)));
  element.firstChild.scope = "row";
  return element;
}

function fill(table, rows, empty) {
  if (!changed(table, rows)) return;
  table.tBodies[0].replaceChildren(...rows.map(line));
  if (rows.length) return;
  const nothing = table.tBodies[0].insertRow().appendChild(make("td", empty, "empty"));
  nothing.colSpan = table.tHead.rows[0].cells.length;
}

function define(list, pairs) {
  if (!changed(list, pairs)) return;
  list.replaceChildren(...pairs.map(([term, text, as = ""]) => {
    const pair = make("div", "", as);
    pair.append(make("dt", term), make("dd", text));
    return pair;
  }));
}

// The verdict

/** What is wrong, as texts, the worst first. */
function findings() {
  const found = [];
  const before = samples.find((sample) => now.time - sample.time <= RECENT);
  const lately = samples.find((sample) => now.time - sample.time <= 10);
  const skipped = now.delivered.skipped - before.delivered.skipped;
  if (now.unready) found.push(now.unready[0].toUpperCase() + now.unready.slice(1));
  if (now.blocked || now.blocked_seconds - lately.blocked_seconds > 1) found.push("Publishers are blocked");
  const away = now.reach.filter((one) => !one.connected && one.role !== "mirror"); // a mirror is not ready then
  if (away.length) found.push(`Not connected to ${away.length > 1 ? `${away.length} other relays or servers` : away[0].remote}`);
  const down = now.workers.filter((one) => !one.up);
  if (down.length) found.push(count(down.length, "worker does not accept connections", "workers do not accept connections"));
  if (connected() >= now.most_connections) found.push("No more connections are accepted");
  const lagging = now.furthest.seconds < BRIEF ? 0 : now.lagging;
  if (lagging) found.push(count(lagging, "subscriber lags", "subscribers lag"));
  if (skipped) found.push(`${count(skipped, "message", "messages")} skipped in the last minute`);
  const discarded = now.published.discarded - before.published.discarded;
  const replaced = now.replaced - before.replaced;
  if (replaced) found.push(`${count(replaced, "worker", "workers")} replaced in the last minute`);
  if (discarded) found.push(`${count(discarded, "message", "messages")} too long, discarded in the last minute`);
  const cut = cuts(before);
  const reasons = Object.keys(cut).join(", ");
  if (reasons) found.push(`${count(sum(cut), "connection", "connections")} cut in the last minute: ${reasons}`);
  return found;
}

/** How many connections were cut since the update `before`, or lately as the list of the last ones has it, by reason. */
function cuts(before) {
  const recent = now.ended.filter((one) => now.time - parsed(one.until) < RECENT);
  const cut = {};
  for (const [role, reasons] of Object.entries(now.closed)) {
    for (const [reason, total] of Object.entries(reasons).filter(([reason]) => !EVERYDAY.includes(reason))) {
      const last = recent.filter((one) => one.role === role && one.reason === reason);
      const number = Math.max(total - (before.closed[role]?.[reason] ?? 0), last.length);
      if (number) cut[reason] = (cut[reason] ?? 0) + number;
    }
  }
  return cut;
}

const connected = () => sum(now.connections.publisher) + sum(now.connections.subscriber);

function judge(level, verdict, notes) {
  byId("health").dataset.level = level;
  write(byId("verdict"), verdict);
  write(byId("notes"), notes);
  document.title = `${verdict} – Relay`;
}

function showVerdict() {
  const [worst, ...others] = findings();
  const { publisher, subscriber } = now.connections;
  const publishers = count(sum(publisher), "publisher", "publishers");
  const subscribers = count(sum(subscriber), "subscriber", "subscribers");
  judge(worst ? "warn" : "good", worst ?? "All is well", [...others, `${publishers}, ${subscribers}`].join(" · "));
}

function lose() {
  document.body.classList.add("stale");
  judge("lost", now ? `No connection to the relay since ${clock(now.time)}` : "No connection to the relay",
    "This page tries again every few seconds.");
}

// The plots

/** The rate per second between each two samples; null where they are too far apart. */
function rates(total, of) {
  return samples.slice(1).map((sample, at) => {
    const seconds = sample.time - samples[at].time;
    return { time: sample.time, value: seconds > GAP ? null : (sample[total][of] - samples[at][total][of]) / seconds };
  });
}

/** The smallest of 1, 2, 5, 10, 20 ... that is at least `value`. */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= value);
}

/** SVG paths, 300 wide and 100 high: the line through the points, and the area below it, with gaps where values are
 * null. */
function trace(points, top) {
  const runs = [[]];
  for (const { time, value } of points) {
    if (value === null) runs.push([]);
    else runs.at(-1).push([((time - now.time) / WINDOW + 1) * 300, 100 - (value / top) * 98]);
  }
  const lines = runs.filter((run) => run.length).map((run) => [run, run.map((place) => place.join()).join("L")]);
  return {
    area: lines.map(([run, line]) => `M${run[0][0]},100L${line}L${run.at(-1)[0]},100Z`).join(""),
    line: lines.map(([, line]) => `M${line}`).join(""),
  };
}

function plot(figure, speak) {
  const { total, of } = figure.dataset;
  const points = rates(total, of);
  const current = points.at(-1)?.value ?? null;
  const most = Math.max(0, ...points.map((point) => point.value ?? 0));
  const top = round(most);
  const [value, unit] = current === null ? ["–", rate(0, of)[1]] : rate(current, of);
  write(figure.querySelector("strong"), value);
  write(figure.querySelector(".unit"), unit);
  const picture = figure.querySelector("svg");
  const paths = trace(points, top);
  for (const name of ["area", "line"]) picture.querySelector(`.${name}`).setAttribute("d", paths[name]);
  write(figure.querySelector(".top"), `0 to ${of === "bytes" ? rate(top, of).join(" ") : whole.format(top)}`);
  if (speak) {
    const spread = `at most ${rate(most, of).join(" ")} in the last 5 minutes`;
    picture.setAttribute("aria-label", `${total} ${of}: ${value} ${unit} now, ${spread}`);
  }
}

function showTraffic() {
  const speak = samples.length > 1 && now.time - spoken >= SPOKEN;
  if (speak) spoken = now.time;
  for (const figure of document.querySelectorAll("figure")) plot(figure, speak);
  const { published, delivered } = now;
  const skipped = delivered.skipped ? `, skipped ${whole.format(delivered.skipped)}` : "";
  const discarded = published.discarded ? `, discarded ${whole.format(published.discarded)} too long` : "";
  write(byId("totals"), `Since the start: published ${count(published.messages, "message", "messages")} `
    + `(${size(published.bytes)})${discarded}, delivered ${whole.format(delivered.messages)} (${size(delivered.bytes)})${skipped}`);
}

// The rest of the page, except for the list of all connections

function showCounts() {
  const { publisher, subscriber } = now.connections;
  const number = (value) => ({ text: whole.format(value), as: "number" });
  const row = (name, of) => [name, ...FEEDS.map((feed) => number(of[feed] ?? 0)), number(sum(of))];
  fill(byId("counts"), [row("Publishers", publisher), row("Subscribers", subscriber)]);
  const others = sum(subscriber) + sum(now.connections.push ?? {}) - now.live - now.lagging;
  const whom = now.blocked_by.map((name) => WAITED[name]).join(" and ");
  const blocked = now.blocked_seconds ? `; ${now.blocked ? "" : "blocked for "}${duration(now.blocked_seconds)} in all` : "";
  define(byId("states"), [
    ["Publishers", (now.blocked ? `wait for ${whom}` : "are read") + blocked, now.blocked ? "warn" : ""],
    ["Subscribers live", whole.format(now.live)],
    ["Lagging", whole.format(now.lagging), now.lagging ? "warn" : ""],
    ...(others > 0 ? [["Beginning or ending", whole.format(others)]] : []),
    ["Room for", `${whole.format(Math.max(0, now.most_connections - connected()))} more`],
  ]);
}

/** Shown only once there has been a session. */
function showSessions() {
  const { open, resumed, lost, acks, names } = now.sessions;
  const ever = sum(open) + sum(resumed) + lost + acks + names > 0;
  byId("sessions").hidden = !ever;
  if (!ever) return;
  const outcomes = Object.entries(resumed).filter(([, number]) => number)
    .map(([outcome, number]) => `${whole.format(number)} ${outcome}`);
  define(byId("sessions").querySelector("dl"), [
    ["Open", `${count(open.publisher ?? 0, "publisher", "publishers")}, `
      + count(open.subscriber ?? 0, "subscriber", "subscribers")],
    ["Resumed", outcomes.join(", ") || "none"],
    ["Lost, as they were told", count(lost, "message", "messages"), lost ? "warn" : ""],
    ["Acknowledgements sent", whole.format(acks)],
    ["Names of publishers", whole.format(names)],
  ]);
}

/** Fill a meter up to `value` of `limit`, and more lightly up to `more`. Returns the percentage of `value`. */
function measure(meter, value, more, limit, text) {
  const share = Math.min(100, (value / limit) * 100);
  meter.setAttribute("aria-valuenow", share.toFixed(0));
  meter.setAttribute("aria-valuetext", text);
  meter.firstElementChild.style.width = `${share}%`;
  meter.lastElementChild.style.width = `${Math.max(0, Math.min(100, (more / limit) * 100) - share)}%`;
  return share;
}

function showBuffer() {
  const { used, needed, limit, oldest, next } = now.buffer;
  const share = measure(byId("fill"), needed, used, limit, `${size(needed)} of ${size(limit)} needed`);
  const { messages, bytes, seconds } = now.furthest;
  define(byId("buffer"), [
    ["Needed by who lags", needed ? `${size(needed)}, ${share < 1 ? "less than 1" : whole.format(share)} %` : "nothing"],
    ["Used", `${size(used)} of ${size(limit)}`],
    ["Messages kept", next > oldest ? `${whole.format(oldest)} to ${whole.format(next - 1)}` : "none"],
    ["Furthest behind",
      now.lagging ? `${count(messages, "message", "messages")}, ${size(bytes)}, ${duration(seconds)}` : "nobody is"],
  ]);
}

/** Shown only if there is one. */
function showJournal() {
  const { journal, buffer } = now;
  byId("journal").hidden = !journal;
  if (!journal) return;
  const { used, limit, free, oldest, unsynced, readers, trouble, held_seconds } = journal;
  const room = used + free; // what the journal could have if nothing else is written to the disk
  const taken = `${size(used)} of ${size(limit)}`;
  measure(byId("journal").querySelector(".fill"), used, used, limit, taken);
  const age = duration(Math.max(0, now.time - journal.oldest_time));
  const held = held_seconds ? `${trouble ? "; " : ""}${duration(held_seconds)} in all` : "";
  define(byId("journal").querySelector("dl"), [
    ["Reaches back to", buffer.next > oldest ? `message ${whole.format(oldest)}, ${age} ago` : "nothing yet"],
    ["On disk", taken],
    ["Left on the disk", `${size(free)}${room < limit ? ", too little for all of it" : ""}`, room < limit ? "warn" : ""],
    ["Not synced yet", unsynced ? size(unsynced) : "nothing"],
    ["Read from disk by", readers ? count(readers, "subscriber", "subscribers") : "nobody"],
    ...(held ? [["Publishers have waited", (trouble ?? "") + held, trouble ? "warn" : ""]] : []),
  ]);
}

/** Shown only if there is one. The round trip is the mean of the last ten seconds. */
function showBackbone() {
  const { backbone } = now;
  byId("backbone").hidden = !backbone;
  if (!backbone) return;
  const { behind, sequence, window, window_bytes, waiting, trouble, held, held_seconds } = backbone;
  const lately = samples.find((sample) => now.time - sample.time <= 10).backbone;
  const trips = backbone.round_trips - lately.round_trips;
  const trip = 1000 * (backbone.round_trip_seconds - lately.round_trip_seconds) / trips;
  define(byId("backbone").querySelector("dl"), [
    ["State", trouble ?? (held ? "publishers are faster than the stream" : "publishers are read"), trouble ? "warn" : ""],
    ["Behind the stream", behind ? count(behind, "message", "messages") : `nothing; message ${whole.format(sequence)} is read`],
    ["On their way", `${count(window, "proposal", "proposals")}, ${size(window_bytes)}`],
    ["Waiting for room", waiting ? size(waiting) : "nothing"],
    ["Round trip", trips ? `${trip.toFixed(1)} ms` : "nothing was proposed lately"],
    ["Publishers have waited", duration(held_seconds)],
  ]);
}

const who = (row) => ({
  text: row.peer, as: row.peer.length > 21 ? "" : "whole", // 255.255.255.255:65535 has 21 characters
  note: [row.name, `${row.role} #${row.number}`, row.feed, row.session && "session", row.tls_subject]
    .filter(Boolean).join(" · "),
});

/** Where a session is: the message that a subscriber is given next, or what a publisher was not told of yet. */
function progress(row) {
  if (!row.session || row.role === "pull") return "";
  return row.role !== "subscriber" ? `${whole.format(row.unacknowledged)} not acknowledged`
    : `next is ${whole.format(row.position)}`;
}

const lacks = (lag) => lag
  ? { text: size(lag.bytes), note: count(lag.messages, "message", "messages"), as: "number" } : "";
const passed = (row) => row.skipped ? `${whole.format(row.skipped)} skipped` : "";

function showReach() {
  byId("reach").hidden = !now.reach.length;
  fill(byId("remotes"), now.reach.map((one) => [
    { text: one.remote, note: one.role },
    { text: one.connected ? "connected" : "not connected", as: one.connected ? "" : "warn",
      note: one.why ?? count(one.connections, "connection", "connections") },
    { text: whole.format(one.messages), as: "number", note: [one.behind?.seconds > BEHIND && `${duration(one.behind.seconds)} behind`, one.waiting && `${whole.format(one.waiting)} waiting`, one.lost && `${whole.format(one.lost)} lost`]
        .filter(Boolean).join(" · ") },
  ]), "");
}

function showWorkers() {
  byId("workers").hidden = !now.workers.length;
  fill(byId("places"), now.workers.map((one) => [
    { text: whole.format(one.place) },
    { text: one.up ? "accepts connections" : "does not accept connections", as: one.up ? "" : "warn" },
    { text: whole.format(one.connections), as: "number" },
    { text: size(one.memory), as: "number", note: `${duration(one.cpu)} of a processor` },
  ]), "");
}

function showPeers() {
  fill(byId("slowest"), now.slowest.map((row) => [
    who(row), lacks(row.lag), { text: duration(row.lag.seconds), as: "number" }, row.why,
  ]), "Nobody lags.");
  fill(byId("ended"), now.ended.slice(0, LEFT).map((row) => [
    who(row),
    { text: clock(parsed(row.until)), as: "brief",
      note: `after ${duration(parsed(row.until) - parsed(row.since))}` },
    { text: row.reason, as: EVERYDAY.includes(row.reason) ? "" : "warn" },
    { text: whole.format(row.messages), as: "number minor", note: passed(row) },
  ]), "No connection has ended yet.");
  const reasons = ["publisher", "subscriber"].flatMap((role) => Object.entries(now.closed[role] ?? {})
    .map(([reason, number]) => `${count(number, role, `${role}s`)}: ${reason}`));
  write(byId("closed"), reasons.length ? `Since the start: ${reasons.join(", ")}.` : "");
}

function showTail() {
  if (paused) return;
  fill(byId("tail"), [...now.tail].reverse().map((message) => [
    { text: whole.format(message.position), as: "number" }, { text: size(message.size), as: "number minor" },
    { text: message.text, as: "message" },
  ]), "The buffer is empty.");
}

function setting(name, value) {
  if (typeof value !== "number") return String(value);
  if (SIZES.includes(name)) return value % 1024 ? `${whole.format(value)} bytes` : size(value);
  return SECONDS.includes(name) ? `${value} s` : whole.format(value);
}

function showSettings() {
  const up = duration(Math.max(0, now.time - now.started));
  write(byId("facts"), [location.host, `version ${now.version}`, `up ${up}`, `since ${clock(now.started)}`, restarted]
    .filter(Boolean).join(" · "));
  define(byId("settings"), [
    ...Object.entries(now.settings).map(([name, value]) => [name, setting(name, value)]),
    ["connections, at most", whole.format(now.most_connections)],
  ]);
}

// All connections, a page at a time

async function turn(starts) {
  const asked = ++turned.asked;
  try {
    const answer = await fetch(`connections?after=${starts.at(-1)}&most=${PAGE}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = await answer.json();
    if (asked === turned.asked) showPage(starts, page);
  } catch (error) {
    write(byId("range"), `The connections could not be loaded: ${error.message}`);
  }
}

function showPage(starts, { connections, next }) {
  Object.assign(turned, { starts, next });
  const first = (starts.length - 1) * PAGE;
  const last = first + connections.length;
  const all = next === null ? last : Math.max(last, now ? connected() : 0);
  fill(byId("connections"), connections.map((row) => [
    who(row),
    { text: row.state, as: ["lagging", "blocked"].includes(row.state) ? "warn" : "", note: progress(row) },
    { text: clock(parsed(row.since)), as: "minor" },
    { text: whole.format(row.messages), as: "number", note: passed(row) },
    { text: size(row.bytes), as: "number minor" },
    lacks(row.lag),
  ]), "Nobody is connected.");
  const [from, to, of] = [first + 1, last, all].map(whole.format);
  write(byId("range"), connections.length ? `${from} to ${to} of ${of}` : "");
  write(byId("load"), "Refresh");
  for (const id of ["connections", "previous", "next"]) byId(id).hidden = false;
  // Not `disabled`: a button that becomes disabled loses the keyboard's focus, right after it was pressed.
  byId("previous").setAttribute("aria-disabled", String(starts.length === 1));
  byId("next").setAttribute("aria-disabled", String(next === null));
}

function prepareButtons() {
  byId("load").addEventListener("click", () => turn(turned.starts));
  byId("previous").addEventListener("click", () => turned.starts.length > 1 && turn(turned.starts.slice(0, -1)));
  byId("next").addEventListener("click", () => turned.next !== null && turn([...turned.starts, turned.next]));
  byId("pause").addEventListener("click", (event) => {
    paused = !paused;
    event.target.setAttribute("aria-pressed", String(paused));
    byId("tail").classList.toggle("paused", paused);
    if (now) showTail();
  });
}

// Updates

function receive(status) {
  heard = performance.now();
  const last = samples.at(-1);
  if (now && now.started !== status.started) { // not the epoch: a journal or a backbone keeps it
    samples = [];
    turned.starts = [0];
    restarted = `restart noticed ${clock(status.time)}`;
  } else if (last && status.time <= last.time) {
    samples = []; // the relay's clock was set back
  }
  now = status;
  const { time, published, delivered, blocked_seconds, closed, backbone, replaced } = status;
  samples.push({ time, published, delivered, blocked_seconds, closed, backbone, replaced });
  samples = samples.filter((sample) => status.time - sample.time <= WINDOW);
  document.body.classList.remove("stale");
  const parts = [showVerdict, showTraffic, showCounts, showSessions, showReach, showWorkers, showBuffer, showJournal, showBackbone,
    showPeers, showTail, showSettings];
  for (const show of parts) show();
}

/** Connects anew. An EventSource does so by itself after most errors, but not after all, and not if a network fell
 * silent. */
function connect() {
  heard = performance.now();
  source?.close();
  source = new EventSource("status");
  source.onmessage = (event) => receive(JSON.parse(event.data));
  source.onerror = lose;
}

function watch() {
  if (performance.now() - heard < SILENCE) return;
  lose();
  connect();
}

prepareButtons();
connect();
setInterval(watch, 1000);

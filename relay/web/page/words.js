"use strict";

// Spells numbers, sizes and times for the status page.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const few = (value) => (value < 1000 ? digits : whole).format(value);
const count = (number, one, many) => `${whole.format(number)} ${number === 1 ? one : many}`;
const sum = (values) => Object.values(values).reduce((a, b) => a + b, 0);

function scaled(value, base, units) {
  const power = value < base ? 0 : Math.min(units.length - 1, Math.floor(Math.log(value) / Math.log(base)));
  return [few(value / base ** power), units[power]];
}

const size = (bytes) => scaled(bytes, 1024, ["bytes", "KiB", "MiB", "GiB", "TiB"]).join(" ");

function rate(value, of) {
  if (of === "bytes") return scaled(value, 1000, ["B/s", "kB/s", "MB/s", "GB/s"]);
  return [few(value), "messages/s"];
}

function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const first = units.findIndex(([, length]) => seconds >= length);
  const [[large, length], [small, part]] = units.slice(first);
  return `${Math.floor(seconds / length)} ${large} ${Math.floor((seconds % length) / part)} ${small}`;
}

function clock(seconds) {
  const time = new Date(seconds * 1000);
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" }).format(time);
  const shown = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(time);
  return time.toDateString() === new Date().toDateString() ? shown : `${day}, ${shown}`;
}

const parsed = (text) => Date.parse(text) / 1000;

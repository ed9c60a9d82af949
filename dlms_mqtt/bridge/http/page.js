// The page: asks /state.json every few seconds and draws it. Text goes in as text, never as markup.
"use strict";
const EVERY = 5000; // ms
const SVG = "http://www.w3.org/2000/svg";
const opened = new Set(); // meters whose list of all values is open
let texts = {};
const t = (text) => (texts[text] || text).replaceAll("_", " ");

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function number(value, unit) {
  if (typeof value !== "number") return String(value);
  const digits = unit === "kWh" ? 2 : unit === "A" ? 2 : unit === "V" || unit === "Hz" ? 1 : 3;
  const text = value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: digits });
  return unit ? `${text} ${unit}` : text;
}

const time = (text) => (text ? new Date(text).toLocaleString(document.documentElement.lang) : "");

function rows(pairs) {
  const list = make("dl");
  for (const [name, value] of pairs) list.append(make("dt", {}, name), make("dd", {}, value));
  return list;
}

function group(meter, title, pattern) {
  const found = Object.entries(meter.values).filter(([key]) => pattern.test(key));
  if (!found.length) return [];
  return [make("h3", {}, t(title)), rows(found.map(([, row]) => [row.name, number(row.value, row.unit)]))];
}

function trouble(health) {
  if (!health.error) return [];
  const box = make("div", { class: "error" }, make("p", {}, health.error.message));
  if (health.hint) box.append(make("p", {}, health.hint));
  if (health.next_try) box.append(make("p", {}, `${t("Next try")}: ${time(health.next_try)}`));
  return [box];
}

function shape(tag, attributes, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

function curve(meter, now) {
  const flows = Object.entries(meter.curve || {}).filter(([, points]) => points.length);
  if (!flows.length) return [];
  const start = new Date(now * 1000).setHours(0, 0, 0, 0) / 1000;
  const most = Math.max(100, ...flows.flatMap(([, points]) => points.map(([, watts]) => watts)));
  const x = (seconds) => 34 + (Math.min(Math.max((seconds - start) / 86400, 0), 1)) * 280;
  const y = (watts) => 100 - (watts / most) * 88;
  const picture = shape("svg", { viewBox: "0 0 320 118", role: "img", "aria-label": t("Power today") });
  for (const hour of [0, 6, 12, 18, 24]) {
    const place = x(start + hour * 3600);
    picture.append(shape("line", { class: "grid", x1: place, x2: place, y1: 8, y2: 100 }));
    picture.append(shape("text", { x: place, y: 114, "text-anchor": "middle" }, String(hour)));
  }
  picture.append(shape("line", { class: "grid", x1: 34, x2: 314, y1: 100, y2: 100 }));
  picture.append(shape("text", { x: 30, y: 16, "text-anchor": "end" }, `${(most / 1000).toFixed(1)}`));
  picture.append(shape("text", { x: 30, y: 28, "text-anchor": "end" }, "kW"));
  for (const [flow, points] of flows) {
    const line = points.map(([seconds, watts]) => `${x(seconds).toFixed(1)},${y(watts).toFixed(1)}`).join(" ");
    picture.append(shape("polyline", { class: flow, points: line }));
  }
  return [make("h3", {}, `${t("Power today")} (${flows.map(([flow]) => t(flow)).join(", ")})`), picture];
}

function everything(id, meter) {
  const list = rows(Object.values(meter.values).map((row) => [row.name, number(row.value, row.unit)]));
  const box = make("details", {}, make("summary", {}, t("All values")), list);
  box.open = opened.has(id);
  box.addEventListener("toggle", () => (box.open ? opened.add(id) : opened.delete(id)));
  return box;
}

function card(id, meter, now) {
  const { health, values } = meter;
  const state = health.status === "ok" ? (meter.online ? "online" : "offline") : health.status;
  const tone = meter.online && health.status === "ok" ? "online" : { waiting: "waiting", paused: "paused" }[state] || "bad";
  const box = make("article", {}, make("div", { class: "head" }, make("h2", {}, meter.name),
    make("span", { class: tone }, t(state))));
  const power = values.power || values.power_import;
  if (power) box.append(make("p", { class: "power", title: t("Power") }, number(power.value, power.unit)));
  box.append(...trouble(health));
  box.append(...group(meter, "Energy import", /^energy_import(_t\d+)?$/));
  box.append(...group(meter, "Energy export", /^energy_export(_t\d+)?$/));
  box.append(...group(meter, "Voltages", /^voltage_l[123]$/), ...group(meter, "Currents", /^current_l[123]$/));
  box.append(...curve(meter, now));
  const quality = health.line_quality === null ? [] : [[t("Line quality"), number(health.line_quality, "%")]];
  const success = health.last_success ? [[t("Last success"), time(health.last_success)]] : [];
  box.append(rows([...quality, ...success]), everything(id, meter));
  return box;
}

function draw(state) {
  texts = state.texts;
  document.documentElement.lang = state.language;
  document.title = document.getElementById("title").textContent = state.bridge.name;
  const verdict = document.getElementById("verdict");
  verdict.className = state.status;
  verdict.textContent = t(state.status);
  document.getElementById("reasons").replaceChildren(...state.reasons.map((text) => make("li", {}, text)));
  const cards = Object.entries(state.meters).map(([id, meter]) => card(id, meter, state.time));
  document.getElementById("meters").replaceChildren(...(cards.length ? cards : [make("p", {}, t("no meters"))]));
  const line = state.bridge.connected ? "Connected to the broker" : "Not connected to the broker";
  document.getElementById("foot").textContent = `dlms-mqtt ${state.bridge.version} · ${t(line)} · ${time(state.time * 1000)}`;
}

async function look() {
  const verdict = document.getElementById("verdict");
  try {
    const language = encodeURIComponent(navigator.language.slice(0, 2));
    const answer = await fetch(`state.json?language=${language}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    draw(await answer.json());
  } catch {
    verdict.className = "failing"; // what is shown is not now any more
    verdict.textContent = t("The bridge does not answer");
    for (const power of document.querySelectorAll(".power")) power.textContent = "–";
  }
  setTimeout(look, EVERY);
}

look();

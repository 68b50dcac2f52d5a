// The exam screen: the clock, the outbox that carries choices to the server, and the state of both on screen.
// Everything works without this file by plain form posts; the server owns the deadline and the order of saves.
(() => {
  "use strict";

  const STORE = "examsim.outbox"; // { "attempt/position": {url, letters, flagged, base, op} }, no question text
  const RETRY = [1, 2, 4, 8, 15, 30]; // seconds between tries
  const $ = (selector, root = document) => root.querySelector(selector);

  // --- The outbox ---------------------------------------------------------------------------------

  const inFlight = new Set();
  let failures = 0;
  let timer = 0;
  let trouble = ""; // why saving is held up, in words

  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(STORE)) || {};
    } catch {
      return {};
    }
  };
  const memory = {}; // stands in where the browser keeps no storage
  const load = () => ({ ...memory, ...read() });
  const store = (box) => {
    Object.keys(memory).forEach((key) => delete memory[key]);
    try {
      if (Object.keys(box).length) localStorage.setItem(STORE, JSON.stringify(box));
      else localStorage.removeItem(STORE);
    } catch {
      Object.assign(memory, box);
    }
  };

  const attempt = () => ($("[data-attempt]") || { dataset: {} }).dataset.attempt;
  const waiting = () => Object.keys(load()).filter((key) => key.startsWith(`${attempt()}/`));
  const token = () => ($("[name=csrfmiddlewaretoken]") || {}).value || "";

  function enqueue(form, change) {
    const key = `${form.dataset.attempt}/${form.dataset.position}`;
    const box = load();
    box[key] = {
      url: form.getAttribute("action"),
      letters: chosen(form),
      flagged: pressed(form),
      base: Number(form.elements.version.value),
      ...change,
      op: uuid(),
    };
    store(box);
    pump();
  }

  function pump() {
    clearTimeout(timer);
    for (const key of waiting()) if (!inFlight.has(key)) send(key);
    show();
  }

  async function send(key) {
    const entry = load()[key];
    inFlight.add(key);
    show();
    let reply = null;
    let data = {};
    try {
      const body = new URLSearchParams({ version: entry.base, op: entry.op, flagged: entry.flagged ? "1" : "0" });
      for (const letter of entry.letters) body.append("letters", letter);
      const seconds = key === shownKey() ? takeSeconds() : 0;
      if (seconds) body.append("seconds", seconds);
      reply = await fetch(entry.url, {
        method: "POST",
        body,
        headers: { Accept: "application/json", "X-CSRFToken": token() },
        keepalive: true,
        redirect: "error",
        signal: AbortSignal.timeout(15000),
      });
      data = await reply.json();
    } catch {
      // No answer, or one that is not ours: the choice stays here and is sent again.
      if (reply && [200, 409, 410, 422].includes(reply.status)) reply = null;
    }
    inFlight.delete(key);
    settle(key, entry, reply ? reply.status : 0, data);
  }

  function settle(key, entry, status, data) {
    const box = load();
    const newer = box[key] && box[key].op !== entry.op;
    trouble = "";
    if ([200, 409, 410, 422].includes(status)) {
      failures = 0;
      if (status === 200 && newer) box[key].base = data.version;
      else delete box[key];
      store(box);
      if (data.now) setClock(data.now, data.deadline);
      if (status === 410) return location.reload();
      if (data.version !== undefined) adopt(key, data, status === 409 || !newer);
      if (status === 409) problem("This question was changed in another window. What is stored is shown; choose again if you want something else.");
      if (status === 422) problem((data.problems || ["This choice was refused. Choose again."]).join(" "));
      return pump();
    }
    failures += 1;
    if (status === 401) trouble = "signed-out";
    timer = setTimeout(pump, RETRY[Math.min(failures, RETRY.length) - 1] * 1000);
    show();
  }

  // Wait until nothing is waiting, or the time is over; true when all is saved.
  async function flushed(milliseconds) {
    const end = Date.now() + milliseconds;
    pump();
    while (waiting().length && Date.now() < end) await new Promise((done) => setTimeout(done, 50));
    return waiting().length === 0;
  }

  function uuid() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16)); // plain http off this machine has no randomUUID
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  // --- What the screen shows ----------------------------------------------------------------------

  const form = () => $("#sitting");
  const shownKey = () => (form() ? `${form().dataset.attempt}/${form().dataset.position}` : "");
  const chosen = (f) => [...f.querySelectorAll("[name=letters]:checked")].map((input) => input.value).join("");
  const asServed = (f) => [...f.elements.letters].filter((input) => input.defaultChecked).map((input) => input.value).join("");
  const pressed = (f) => $("[name=flagged]", f).getAttribute("aria-pressed") === "true";

  function say(text, warn) {
    const state = $("#save-state");
    if (!state || state.dataset.said === text) return;
    state.dataset.said = text;
    state.textContent = text;
    state.classList.toggle("warn", Boolean(warn));
    if (trouble === "signed-out") {
      const link = document.createElement("a");
      link.href = `/sign-in/?next=${encodeURIComponent(location.pathname)}`;
      link.textContent = "Sign in";
      state.append(" ", link, " to save.");
    }
  }

  function show() {
    const count = waiting().length;
    if (trouble === "signed-out") say(`You are signed out. Not saved: ${count} waiting.`, true);
    else if (failures && count) say(`Not saved: ${count} waiting. Trying again.`, true);
    else if (count) say("Saving…");
    else if ($("#save-state") && $("#save-state").dataset.said) say("Saved");
  }

  function problem(text) {
    const line = $("#problem");
    if (!line) return;
    line.textContent = text;
    line.hidden = !text;
  }

  function setFlag(f, on) {
    const button = $("[name=flagged]", f);
    button.setAttribute("aria-pressed", String(on));
    button.value = on ? "0" : "1";
  }

  // Take what the server has stored for a slot into the page.
  function adopt(key, data, all) {
    const f = form();
    mark(key.split("/")[1], data.letters, data.flagged);
    if (!f || key !== shownKey()) return;
    f.elements.version.value = data.version;
    if (!all) return;
    for (const input of f.querySelectorAll("[name=letters]")) input.checked = data.letters.includes(input.value);
    setFlag(f, data.flagged);
  }

  function mark(position, letters, flagged) {
    const button = $(`.palette button[value="${position}"]`);
    if (!button) return;
    button.classList.toggle("answered", Boolean(letters));
    button.classList.toggle("flagged", Boolean(flagged));
    $("span", button).textContent = (letters ? ", answered" : "") + (flagged ? ", flagged" : "");
    $("#answered").textContent = document.querySelectorAll(".palette button.answered").length;
  }

  // --- Time spent on a question ------------------------------------------------------------------

  let since = 0;
  let spent = 0;
  const pause = () => {
    if (since) spent += performance.now() - since;
    since = 0;
  };
  const resume = () => {
    if (!since) since = performance.now();
  };
  function takeSeconds() {
    const running = since > 0;
    pause();
    const seconds = Math.round(spent / 1000);
    spent -= seconds * 1000;
    if (running) resume();
    return Math.max(seconds, 0);
  }
  function leave() {
    const f = form();
    const seconds = f ? takeSeconds() : 0;
    if (seconds < 1) return;
    const url = f.getAttribute("action").replace(/answer\/$/, "time/");
    const headers = { Accept: "application/json", "X-CSRFToken": token() };
    fetch(url, { method: "POST", body: new URLSearchParams({ seconds }), headers, keepalive: true }).catch(() => {});
  }

  // --- The clock ----------------------------------------------------------------------------------

  let ahead = 0; // the server's clock minus this one, milliseconds
  let deadline = 0;
  let over = false;
  function setClock(now, end) {
    ahead = now - Date.now();
    deadline = end;
  }
  function readClock() {
    const clock = $("#clock");
    if (clock) setClock(Number(clock.dataset.now), Number(clock.dataset.deadline));
  }
  function tick() {
    const clock = $("#clock");
    if (!clock || over) return;
    const left = Math.max(0, Math.floor((deadline - Date.now() - ahead) / 1000));
    const two = (n) => String(n).padStart(2, "0");
    const hours = Math.floor(left / 3600);
    const minutes = Math.floor(left / 60) % 60;
    clock.textContent = hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
    clock.classList.toggle("short", left < 300);
    if (left > 0) return;
    over = true;
    // The server says whether it is really over: it answers a reload with the report, or with the right clock.
    flushed(4000).then(() => location.reload());
  }

  // --- Events -------------------------------------------------------------------------------------

  document.addEventListener("change", (event) => {
    const f = event.target.closest("#sitting");
    if (!f || event.target.name !== "letters") return;
    if (chosen(f).length > Number(f.dataset.choose)) {
      event.target.checked = false;
      problem("Two options are asked for. Untick one before you choose another.");
      return;
    }
    problem("");
    enqueue(f, {});
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#sitting button");
    if (!button || !["flagged", "clear"].includes(button.name)) return;
    event.preventDefault();
    const f = button.form;
    if (button.name === "flagged") setFlag(f, !pressed(f));
    else for (const input of f.querySelectorAll("[name=letters]")) input.checked = false;
    enqueue(f, {});
  });

  // A form is sent only after what waits has arrived, so that it carries the right version and misses nothing.
  document.addEventListener("submit", async (event) => {
    const f = event.target;
    if (f.id !== "sitting" && f.id !== "submit-form") return;
    leave();
    if (!waiting().length) return;
    event.preventDefault();
    if (await flushed(8000)) f.requestSubmit(event.submitter);
    else problem(`${waiting().length} answers are not saved yet. Check the connection, then try again.`);
  });

  document.addEventListener("htmx:before:request", () => {
    problem("");
    leave();
  });
  document.addEventListener("htmx:error", () => problem("The next page could not be fetched. Check the connection, then try again."));
  document.addEventListener("htmx:response:error", () => problem("The server could not answer. Try again in a moment."));
  document.addEventListener("htmx:after:swap", () => {
    begin();
    const f = form();
    if (!f) return;
    document.title = f.dataset.title;
    $("h1", f).focus({ preventScroll: true });
    window.scrollTo(0, 0);
  });

  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : (resume(), tick(), pump())));
  window.addEventListener("pagehide", leave);
  window.addEventListener("online", pump);

  function begin() {
    const f = form();
    readClock();
    spent = since = 0;
    if (!document.hidden) resume();
    if (f) {
      f.elements.since.disabled = true; // seconds are counted here
      if (window.matchMedia("(max-width: 64rem)").matches) $(".palette", f).open = false;
      const entry = load()[shownKey()];
      if (entry) adopt(shownKey(), { version: f.elements.version.value, ...entry }, true);
      else if (chosen(f) !== asServed(f)) enqueue(f, {}); // chosen before this script was there
    }
    tick();
    pump();
  }

  begin();
  setInterval(tick, 500);
})();

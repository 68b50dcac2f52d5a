// The exam screen: the clock, the outbox that carries choices to the server, and the state of both on screen.
// Every page of a signed-in taker has this file, so that what still waits is delivered at the next visit.
// Everything works without it by plain form posts; the server owns the deadline and the order of saves.
(() => {
  "use strict";

  const $ = (selector, root = document) => root.querySelector(selector);
  const state = $("#save-state"); // where the state is told; it also names the taker and three addresses
  if (!state) return;

  // --- The outbox ---------------------------------------------------------------------------------

  // One key per slot, "examsim/taker/attempt/position", so that two windows never write over each other's slots:
  // {letters, flagged, base, op, earlier}, no question text. `earlier` are the operations this one took the place of,
  // which may have arrived although no answer came back. `stale` marks one that the taker has to decide about.
  const PREFIX = `examsim/${state.dataset.taker}/`;
  const RETRY = [1, 2, 4, 8]; // seconds between tries, each a little off so that not all takers come at once
  const LONGEST_TRY = 15000; // milliseconds
  const TOLD = {
    refused: "Not saved. Choose again.",
    late: "An answer came after the end of its exam. It is kept, but not scored.",
    gone: "Not saved: its exam is no longer there.",
  };

  const inFlight = new Map(); // slot -> what aborts its save
  let failures = 0; // rounds without success
  let timer = 0;
  let trouble = ""; // "signed-out", or one of TOLD
  let told = ""; // what was said last
  let leaving = false; // the next page may be made before a save under way is stored: it shall find the choice here

  let box = {}; // stands in where the browser keeps nothing
  try {
    box = localStorage;
  } catch {
    // refused by the browser's settings
  }
  const get = (key) => JSON.parse(box[PREFIX + key] || "null");
  const kept = () => Object.keys(box).filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length));
  const remove = (key) => delete box[PREFIX + key];
  function put(key, entry) {
    const text = JSON.stringify(entry);
    try {
      box[PREFIX + key] = text;
    } catch {
      box = { ...box, [PREFIX + key]: text }; // it is full
    }
  }
  const waiting = () => kept().filter((key) => !get(key).stale);
  const undecided = () => kept().filter((key) => get(key).stale);

  function enqueue(f) {
    const before = get(keyOf(f));
    put(keyOf(f), {
      letters: chosen(f),
      flagged: pressed(f),
      base: Number(f.elements.version.value),
      op: newOp(),
      earlier: before && !before.stale ? [...before.earlier, before.op].slice(-20) : [],
    });
    trouble = "";
    pump();
  }

  function pump() {
    clearTimeout(timer);
    timer = 0;
    if (!waiting().length) failures = 0;
    for (const key of waiting()) if (!inFlight.has(key)) send(key);
    show();
  }

  async function send(key) {
    const entry = get(key);
    const line = new AbortController();
    const limit = setTimeout(() => line.abort(), LONGEST_TRY);
    const seconds = key === shownKey() ? takeSeconds() : 0;
    inFlight.set(key, line);
    let status = 0; // no answer, or one that is not ours: the choice stays here and is sent again
    let data = {};
    try {
      const body = new URLSearchParams({ version: entry.base, op: entry.op, flagged: entry.flagged ? "1" : "0", seconds });
      for (const letter of entry.letters) body.append("letters", letter);
      const reply = await fetch(`${state.dataset.home}exams/${key}/answer/`, {
        method: "POST",
        body,
        headers: { Accept: "application/json", "X-CSRFToken": token() },
        keepalive: true,
        redirect: "error",
        signal: line.signal,
      });
      if ([401, 403, 404].includes(reply.status)) status = reply.status;
      else data = await reply.json();
      if (data.result || data.problems) status = reply.status;
    } catch {
      // told below as status 0
    }
    clearTimeout(limit);
    inFlight.delete(key);
    if (status !== 200 && key === shownKey()) spent += seconds * 1000;
    if (!leaving) settle(key, entry, status, data);
  }

  function settle(key, sent, status, data) {
    const entry = get(key); // by now perhaps a newer one, or none when another window was quicker
    const newer = entry && entry.op !== sent.op;
    if (![200, 404, 409, 410, 422].includes(status)) {
      if (status === 401) trouble = "signed-out";
      if (!timer) timer = setTimeout(pump, RETRY[Math.min(failures++, RETRY.length - 1)] * (800 + 400 * Math.random()));
      if (status === 403) look(); // signing in again changed the token
      return show();
    }
    failures = 0;
    if (trouble === "signed-out") trouble = "";
    if (data.now) setClock(data.now, data.deadline);
    if (status === 200) {
      if (!newer) remove(key);
      else if (entry.earlier.includes(sent.op)) put(key, { ...entry, base: data.version });
      adopt(key, data, !newer);
    } else if (status === 409) {
      if (entry) conflict(key, entry, data);
    } else if (status !== 422 || !newer) {
      remove(key);
      trouble = { 404: "gone", 410: "late", 422: "refused" }[status];
      if (status === 422 && key === shownKey()) problem((data.problems || [TOLD.refused]).join(" "));
      if (status === 410 && key.startsWith(`${attempt()}/`)) end();
    }
    pump();
  }

  function conflict(key, entry, data) {
    const ours = entry.earlier.includes(data.op); // what is stored is an earlier choice of this browser
    put(key, { ...entry, ...(ours ? { base: data.version } : { stale: true }) });
    adopt(key, data, !ours);
    if (!ours) offerChoice(key);
  }

  // Try every second until nothing is waiting, or the time is over; true when all is saved.
  async function flushed(milliseconds) {
    const end = Date.now() + milliseconds;
    for (let round = 0; waiting().length && Date.now() < end; round += 1) {
      if (round % 20 === 0) pump();
      await new Promise((done) => setTimeout(done, 50));
    }
    return waiting().length === 0;
  }

  // Not randomUUID, which plain http off this machine lacks.
  const newOp = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  const reachable = (to) => fetch(to, { method: "HEAD" }).then((reply) => reply.status < 500, () => false);

  // --- A look at the server's page ----------------------------------------------------------------

  // Fetch this page again, unseen, for what may have changed: the clock, the token, what another device stored here.
  async function look() {
    let page;
    try {
      const reply = await fetch(here(), { redirect: "manual" });
      if (reply.type === "opaqueredirect" && $("#clock")) return end(); // to the report or the sign-in
      if (!reply.ok) return;
      page = new DOMParser().parseFromString(await reply.text(), "text/html");
    } catch {
      return; // no line: the next reply sets things right
    }
    const fresh = $("[name=csrfmiddlewaretoken]", page);
    if (fresh) for (const input of document.querySelectorAll("[name=csrfmiddlewaretoken]")) input.value = fresh.value;
    const clock = $("#clock", page);
    if (clock) readClock(clock);
    else if ($("#clock")) return end();
    const theirs = $("#sitting", page);
    if (!theirs || keyOf(theirs) !== shownKey() || get(shownKey())) return;
    const version = Number(theirs.elements.version.value);
    if (version > Number(form().elements.version.value)) adopt(shownKey(), { version, letters: chosen(theirs), flagged: pressed(theirs) }, true);
  }

  // --- What the screen shows ----------------------------------------------------------------------

  const form = () => $("#sitting");
  const here = () => (form() ? form().getAttribute("action").replace(/answer\/$/, "") : location.pathname);
  const attempt = () => ($("[data-attempt]") || { dataset: {} }).dataset.attempt;
  const keyOf = (f) => `${f.dataset.attempt}/${f.dataset.position}`;
  const shownKey = () => (form() ? keyOf(form()) : "");
  const token = () => ($("[name=csrfmiddlewaretoken]") || {}).value || "";
  const chosen = (f) => [...f.querySelectorAll("[name=letters]:checked")].map((input) => input.value).join("");
  const asServed = (f) => [...f.elements.letters].filter((input) => input.defaultChecked).map((input) => input.value).join("");
  const pressed = (f) => $("[name=flagged]", f).getAttribute("aria-pressed") === "true";
  const numbers = (keys) => keys.map((key) => key.split("/")[1]).sort((one, other) => one - other).join(", ");

  // Only a change is said, so that a screen reader hears each state once.
  function say(text, warn) {
    if (told === text) return;
    told = text;
    state.textContent = text;
    state.classList.toggle("warn", Boolean(warn));
    if (trouble !== "signed-out") return;
    const href = `${state.dataset.signIn}?next=${encodeURIComponent(here())}`;
    state.append(" ", Object.assign(document.createElement("a"), { href, textContent: "Sign in" }), " to save.");
  }

  function show() {
    const count = waiting().length;
    const open = undecided();
    if (trouble === "signed-out") say(`You are signed out. Not saved: ${count} waiting.`, true);
    else if (failures && count) say(`Not saved: ${count} waiting. Trying again.`, true);
    else if (count) say("Saving…");
    else if (open.length) say(`Not saved: question ${numbers(open)} was changed elsewhere. Open it to choose.`, true);
    else if (TOLD[trouble]) say(TOLD[trouble], true);
    else if (told) say("Saved");
  }

  function problem(text, ...buttons) {
    const line = $("#problem");
    if (!line) return say(text, true);
    line.textContent = text;
    line.append(...buttons.flatMap((button) => [" ", button]));
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
    if (!f || !key.startsWith(`${attempt()}/`)) return;
    mark(key.split("/")[1], data.letters, data.flagged);
    if (key !== shownKey()) return;
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

  // The question on screen was saved elsewhere in between. What is stored is ticked; the taker says which one counts.
  function offerChoice(key) {
    const f = form();
    if (key !== shownKey()) return;
    const mine = get(key);
    const inWords = (letters, flagged) => ([...letters].join(" and ") || "no answer") + (flagged ? ", flagged" : "");
    const decide = (text, act) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "secondary", textContent: text });
      button.addEventListener("click", () => {
        problem("");
        act();
        show();
        $("h1", f).focus(); // the button is gone
      });
      return button;
    };
    problem(
      `This question was changed in another window or on another device. Stored is: ${inWords(chosen(f), pressed(f))}. Yours was: ${inWords(mine.letters, mine.flagged)}.`,
      decide("Keep what is stored", () => remove(key)),
      decide("Use mine", () => {
        adopt(key, { ...mine, version: f.elements.version.value }, true);
        enqueue(f);
      }),
    );
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
    const headers = { Accept: "application/json", "X-CSRFToken": token() };
    fetch(`${here()}time/`, { method: "POST", body: new URLSearchParams({ seconds }), headers, keepalive: true }).catch(() => {});
  }

  // --- The clock ----------------------------------------------------------------------------------

  let ahead = 0; // the server's clock minus this one, milliseconds
  let deadline = 0;
  let over = false;
  function setClock(now, end) {
    ahead = now - Date.now();
    deadline = end;
  }
  const readClock = (clock) => setClock(Number(clock.dataset.now), Number(clock.dataset.deadline));
  let ticked = Date.now();
  function tick() {
    const clock = $("#clock");
    if (!clock || over) return;
    const gap = Date.now() - ticked;
    ticked += gap;
    if (!document.hidden && (gap < 0 || gap > 2000)) look(); // this computer slept, or its clock was set
    const left = Math.max(0, Math.floor((deadline - Date.now() - ahead) / 1000));
    const two = (n) => String(n).padStart(2, "0");
    const hours = Math.floor(left / 3600);
    const minutes = Math.floor(left / 60) % 60;
    clock.textContent = hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
    clock.classList.toggle("short", left < 300);
    if (left === 0) end();
  }

  // The server says whether it is really over: it answers with the report, or with the right clock.
  async function end() {
    if (over) return;
    over = true;
    await flushed(4000);
    while (!(await reachable(here()))) await new Promise((done) => setTimeout(done, 2000));
    location.replace(here());
  }

  // --- Events -------------------------------------------------------------------------------------

  document.addEventListener("change", (event) => {
    const f = event.target.closest("#sitting");
    if (!f || event.target.name !== "letters") return;
    if (chosen(f).length > Number(f.dataset.choose)) {
      event.target.checked = false;
      return problem("Two options are asked for. Untick one before you choose another.");
    }
    problem("");
    enqueue(f);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#sitting button");
    if (!button || !["flagged", "clear"].includes(button.name)) return;
    event.preventDefault();
    const f = button.form;
    if (button.name === "flagged") setFlag(f, !pressed(f));
    else for (const input of f.querySelectorAll("[name=letters]")) input.checked = false;
    problem("");
    enqueue(f);
  });

  // A form is sent only after what waits has arrived, so that it misses nothing.
  let ready = null;
  document.addEventListener("submit", async (event) => {
    const f = event.target;
    const signOut = f.getAttribute("action") === state.dataset.signOut;
    if (f.id === "sitting") return goOn(event);
    if (f === ready || (!signOut && f.id !== "submit-form")) return;
    event.preventDefault();
    await flushed(8000);
    if (!(await reachable(here()))) return problem("The server cannot be reached. Try again in a moment; what you chose is kept.");
    const lost = kept();
    if (lost.length && !confirm(`Not saved: question ${numbers(lost)}. ${signOut ? "Sign out and lose this?" : "Submit without it?"}`)) return;
    if (signOut) lost.forEach(remove); // after a submission the next page sends it, to be kept as late
    ready = f;
    f.requestSubmit(event.submitter);
  });

  // The outbox has saved the form: only the page it leads to is opened, and only when the server has it.
  async function goOn(event) {
    event.preventDefault();
    const to = here().replace(/\d+\/$/, `${event.submitter.value}/`);
    const saved = await flushed(8000);
    if (await reachable(to)) location.assign(to);
    else if (saved) problem(NO_PAGE);
    else problem(`Not saved yet: question ${numbers(waiting())}. Check the connection, then try again.`);
  }

  const NO_PAGE = "The next page could not be fetched. Check the connection, then try again.";
  document.addEventListener("htmx:before:request", () => {
    problem("");
    leave();
  });
  document.addEventListener("htmx:error", () => problem(NO_PAGE));
  // Whatever else comes than a question (an error, a page of some proxy) never takes the place of this one.
  document.addEventListener("htmx:before:swap", (event) => {
    if (/<form id="sitting"/.test(event.detail.ctx.text)) return;
    event.preventDefault();
    problem("The server could not answer. Try again in a moment.");
  });
  document.addEventListener("htmx:after:swap", () => {
    begin();
    const f = form();
    if (!f) return;
    document.title = f.dataset.title;
    $("h1", f).focus({ preventScroll: true });
    window.scrollTo(0, 0);
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return pause();
    resume();
    pump();
    tick();
    if ($("#clock")) look();
  });
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", (event) => event.persisted && $("#clock") && location.replace(here())); // by the back button
  window.addEventListener("online", () => {
    for (const line of inFlight.values()) line.abort(); // what went into the dead line is not waited for
    failures = 0;
    pump();
  });
  window.addEventListener("storage", (event) => {
    show();
    if (event.key === PREFIX + shownKey() && !event.newValue) look(); // another window saved this question
  });
  window.addEventListener("beforeunload", (event) => {
    if (!(box instanceof Storage) && kept().length) return event.preventDefault(); // nothing would be sent later
    leaving = true;
    setTimeout(() => {
      leaving = false; // still here
      pump();
    }, 5000);
  });

  function begin() {
    const f = form();
    if ($("#clock")) readClock($("#clock"));
    spent = since = 0;
    if (!document.hidden) resume();
    if (f) {
      f.elements.since.disabled = true; // seconds are counted here
      if (window.matchMedia("(max-width: 64rem)").matches) $(".palette", f).open = false;
      const entry = get(shownKey());
      if (entry && entry.stale) offerChoice(shownKey());
      else if (entry) adopt(shownKey(), { ...entry, version: f.elements.version.value }, true);
      else if (chosen(f) !== asServed(f)) enqueue(f); // chosen before this script was there
    } else {
      for (const key of undecided()) put(key, { ...get(key), stale: false }); // perhaps its exam is over
    }
    tick();
    pump();
  }

  begin();
  setInterval(tick, 500);
})();

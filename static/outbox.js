// The outbox: what a taker decides waits here until the server has it, and the page says how that stands.
// Every page of a signed-in taker has this file, so that what still waits is delivered at the next visit.
// Everything works without it by plain form posts; the server owns the deadline and the order of saves.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);

// The page brings the texts of another language than English; `fill` puts values in.
const texts = JSON.parse(($("#texts") || {}).textContent || "{}");
const gettext = (text) => texts[text] || text;
const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (all, name) => values[name]);

const outbox = (() => {
  const state = $("#save-state"); // where the state is told; it also names the taker and three addresses

  // One key per slot, "examsim/taker/attempt/position", so that two windows never write over each other's slots:
  // {parts, base, op, earlier}, no question text. `parts` are what the taker decided, under the names of the form's
  // fields. `earlier` are the operations this one took the place of, which may have arrived although no answer came
  // back. `stale` marks one that the taker has to decide about.
  const PREFIX = `examsim/${state.dataset.taker}/`;
  const RETRY = [1, 2, 4, 8]; // seconds between tries, each a little off so that not all takers come at once
  const LONGEST_TRY = 15000; // milliseconds
  const TOLD = {
    refused: gettext("Not saved. Choose again."),
    late: gettext("An answer came after the end of its exam. It is kept, but not scored."),
    gone: gettext("Not saved: its exam is no longer there."),
  };

  // What the exam screen, if this page is one, does about it; sitting.js fills this in.
  const screen = {
    shown: () => "", // the key of the slot on screen
    here: () => location.pathname, // the page's own address, also where a refused form stands in its place
    takeSeconds: () => 0, // spent on the slot since the last save
    giveBack: () => {}, // seconds that did not arrive
    adopt: () => {}, // take what the server has stored for a slot into the page
    offerChoice: () => {}, // the slot was changed elsewhere
    problem: (text) => say(text, true),
    clock: () => {}, // the server's time and the deadline, in milliseconds
    renew: () => {}, // the same page as the server has it now, or null where it leads elsewhere
    over: () => {}, // the exam has ended
  };

  const inFlight = new Map(); // key -> what aborts its save
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

  // Not randomUUID, which plain http off this machine lacks.
  const newOp = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  function save(key, base, parts) {
    const before = get(key);
    const earlier = before && !before.stale ? [...before.earlier, before.op].slice(-20) : [];
    put(key, { parts, base, op: newOp(), earlier });
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

  const token = () => ($("[name=csrfmiddlewaretoken]") || {}).value || "";
  const post = (to, body, more) =>
    fetch(to, { method: "POST", body: new URLSearchParams(body), headers: { Accept: "application/json", "X-CSRFToken": token() }, keepalive: true, ...more });

  async function send(key) {
    const entry = get(key);
    const line = new AbortController();
    const limit = setTimeout(() => line.abort(), LONGEST_TRY);
    const seconds = key === screen.shown() ? screen.takeSeconds() : 0;
    inFlight.set(key, line);
    let status = 0; // no answer, or one that is not ours: it stays here and is sent again
    let data = {};
    try {
      const { letters, flagged, ...others } = entry.parts;
      const body = Object.entries({ version: entry.base, op: entry.op, seconds, flagged: flagged ? "1" : "0", ...others });
      for (const letter of letters) body.push(["letters", letter]);
      const reply = await post(`${state.dataset.home}exams/${key}/answer/`, body, { redirect: "error", signal: line.signal });
      if ([401, 403, 404].includes(reply.status)) status = reply.status;
      else data = await reply.json();
      if (data.result || data.problems) status = reply.status;
    } catch {
      // told below as status 0
    }
    clearTimeout(limit);
    inFlight.delete(key);
    if (status !== 200 && key === screen.shown()) screen.giveBack(seconds);
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
    if (data.now) screen.clock(data.now, data.deadline);
    if (status === 200) {
      if (!newer) remove(key);
      else if (entry.earlier.includes(sent.op)) put(key, { ...entry, base: data.version });
      screen.adopt(key, data, !newer);
    } else if (status === 409) {
      if (entry) conflict(key, entry, data);
    } else if (status !== 422 || !newer) {
      remove(key);
      trouble = { 404: "gone", 410: "late", 422: "refused" }[status];
      if (status === 422 && key === screen.shown()) screen.problem((data.problems || [TOLD.refused]).join(" "));
      if (status === 410) screen.over(key);
    }
    pump();
  }

  // Over an answer the taker decides; of strikes and how sure the last one counts, and no note or highlight gives way to none.
  function conflict(key, entry, data) {
    const ours = entry.earlier.includes(data.op); // what is stored is an earlier choice of this browser
    const same = ["letters", "flagged"].every((part) => entry.parts[part] === data[part]);
    if (!ours) for (const part of ["note", "marks"]) entry.parts[part] ||= data[part];
    put(key, { ...entry, ...(ours || same ? { base: data.version } : { stale: true }) });
    screen.adopt(key, data, !ours && !same);
    if (!ours && !same) screen.offerChoice(key);
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

  const reachable = (to) => fetch(to, { method: "HEAD" }).then((reply) => reply.status < 500, () => false);

  // Fetch this page again, unseen, for what may have changed: the token, the clock, what another device stored here.
  async function look() {
    let page = null;
    try {
      const reply = await fetch(screen.here(), { redirect: "manual" });
      if (!reply.ok && reply.type !== "opaqueredirect") return;
      if (reply.ok) page = new DOMParser().parseFromString(await reply.text(), "text/html");
    } catch {
      return; // no line: the next reply sets things right
    }
    const fresh = page && $("[name=csrfmiddlewaretoken]", page);
    if (fresh) for (const input of document.querySelectorAll("[name=csrfmiddlewaretoken]")) input.value = fresh.value;
    screen.renew(page);
  }

  // --- What the page tells ------------------------------------------------------------------------

  const numbers = (keys) => keys.map((key) => key.split("/")[1]).sort((one, other) => one - other).join(", ");

  // Only a change is said, so that a screen reader hears each state once.
  function say(text, warn) {
    if (told === text) return;
    told = text;
    state.textContent = text;
    state.classList.toggle("warn", Boolean(warn));
    if (trouble !== "signed-out") return;
    const href = `${state.dataset.signIn}?next=${encodeURIComponent(screen.here())}`;
    state.append(" ", Object.assign(document.createElement("a"), { href, textContent: gettext("Sign in to save.") }));
  }

  function show() {
    const count = waiting().length;
    const open = numbers(undecided());
    if (trouble === "signed-out") say(fill(gettext("You are signed out. Not saved: %(count)s waiting."), { count }), true);
    else if (failures && count) say(fill(gettext("Not saved: %(count)s waiting. Trying again."), { count }), true);
    else if (count) say(gettext("Saving…"));
    else if (open) say(fill(gettext("Not saved: question %(open)s was changed elsewhere. Open it to choose."), { open }), true);
    else if (TOLD[trouble]) say(TOLD[trouble], true);
    else if (told) say(gettext("Saved"));
  }

  // --- Events -------------------------------------------------------------------------------------

  // The exam is handed in, and somebody signs out, only after what waits has arrived.
  let ready = null;
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const signOut = form.getAttribute("action") === state.dataset.signOut;
    if (form === ready || (!signOut && form.id !== "submit-form")) return;
    event.preventDefault();
    await flushed(8000);
    if (!(await reachable(screen.here()))) return screen.problem(gettext("The server cannot be reached. Try again in a moment; what you chose is kept."));
    const lost = kept();
    const question = signOut ? gettext("Not saved: question %(lost)s. Sign out and lose this?") : gettext("Not saved: question %(lost)s. Submit without it?");
    if (lost.length && !confirm(fill(question, { lost: numbers(lost) }))) return;
    if (signOut) lost.forEach(remove); // after a submission the next page sends it, to be kept as late
    ready = form;
    form.requestSubmit(event.submitter);
  });

  window.addEventListener("online", () => {
    for (const line of inFlight.values()) line.abort(); // what went into the dead line is not waited for
    failures = 0;
    pump();
  });
  window.addEventListener("storage", show);
  document.addEventListener("visibilitychange", () => document.hidden || pump());
  window.addEventListener("beforeunload", (event) => {
    if (!(box instanceof Storage) && kept().length) return event.preventDefault(); // nothing would be sent later
    leaving = true;
    setTimeout(() => {
      leaving = false; // still here
      pump();
    }, 5000);
  });

  // After sitting.js, should this page have it.
  document.addEventListener("DOMContentLoaded", () => {
    if (!screen.shown()) for (const key of undecided()) put(key, { ...get(key), stale: false }); // perhaps its exam is over
    pump();
  });

  return { screen, save, get, put, remove, flushed, reachable, look, post, show, numbers, waiting, slotOf: (name) => name && name.slice(PREFIX.length) };
})();

// The exam screen: what the taker decides goes into the outbox; the clock, the tools, the keys, moving on.
"use strict";

(() => {
  const { screen } = outbox;
  const form = () => $("#sitting");
  const attempt = () => ($("[data-attempt]") || { dataset: {} }).dataset.attempt;
  const keyOf = (f) => `${f.dataset.attempt}/${f.dataset.position}`;
  const shown = () => (form() ? keyOf(form()) : "");
  const here = () => (form() ? form().getAttribute("action").replace(/answer\/$/, "") : location.pathname);
  const inputs = (f, name) => [...f.querySelectorAll(`[name=${name}]`)];

  function speak(text) {
    $("#spoken").textContent = text;
  }

  const tell = screen.problem; // where the page has no line for it
  function problem(text, ...buttons) {
    const line = $("#problem");
    if (!line) return tell(text);
    line.textContent = text;
    line.append(...buttons.flatMap((button) => [" ", button]));
    line.hidden = !text;
  }

  // --- What the taker decided about the slot on screen --------------------------------------------

  const chosen = (f) => inputs(f, "letters").filter((input) => input.checked).map((input) => input.value).join("");
  const isOn = (button) => button.getAttribute("aria-pressed") === "true";
  const partsOf = (f) => ({
    letters: chosen(f),
    flagged: isOn($("[name=flagged]", f)),
    confidence: Number((inputs(f, "confidence").find((input) => input.checked) || {}).value || 0),
    struck: f.elements.struck.value,
    marks: f.elements.marks.value,
    note: f.elements.note.value.replace(/[\0\uFFFD]|\p{Surrogate}/gu, ""), // which the server would refuse
  });

  function setParts(f, parts) {
    for (const input of inputs(f, "letters")) input.checked = parts.letters.includes(input.value);
    for (const input of inputs(f, "confidence")) input.checked = Number(input.value) === parts.confidence;
    const flag = $("[name=flagged]", f);
    flag.setAttribute("aria-pressed", String(parts.flagged));
    flag.value = parts.flagged ? "0" : "1";
    f.elements.struck.value = parts.struck;
    for (const button of inputs(f, "strike")) button.setAttribute("aria-pressed", String(parts.struck.includes(button.value)));
    f.elements.marks.value = parts.marks;
    paint($(".stem", f), parts.marks);
    const { note } = f.elements;
    if (note === document.activeElement) return; // it is being written
    note.value = parts.note;
    if (parts.note) note.closest("details").open = true;
  }

  // While two answers wait for the taker's word, only what decides between them is sent; the rest is kept with theirs.
  function save(changes = {}, decides = false) {
    const f = form();
    const parts = { ...partsOf(f), ...changes };
    const entry = outbox.get(keyOf(f));
    setParts(f, parts);
    if (entry && entry.stale && !decides) {
      const { letters, flagged } = entry.parts;
      return outbox.put(keyOf(f), { ...entry, parts: { ...parts, letters, flagged } });
    }
    problem("");
    outbox.save(keyOf(f), Number(f.elements.version.value), parts);
  }

  // Take what the server has stored for a slot into the page.
  const newest = new Map(); // key -> what was stored last, as far as this page was told: a page fetched ahead may be older
  function adopt(key, data, all) {
    const f = form();
    if (!f || !key.startsWith(`${attempt()}/`)) return;
    newest.set(key, data);
    mark(key.split("/")[1], data);
    if (key !== shown()) return;
    f.elements.version.value = data.version;
    if (all) setParts(f, data);
  }

  function mark(position, { letters, flagged }) {
    const button = $(`.palette button[value="${position}"]`);
    if (!button) return;
    button.classList.toggle("answered", Boolean(letters));
    button.classList.toggle("seen", !letters);
    button.classList.toggle("flagged", flagged);
    button.setAttribute("aria-label", position + (letters ? gettext(", answered") : gettext(", not answered")) + (flagged ? gettext(", flagged") : ""));
    $("#answered").textContent = document.querySelectorAll(".palette button.answered").length;
  }

  // The question on screen was saved elsewhere in between. What is stored is ticked; the taker says which one counts.
  function offerChoice(key) {
    const f = form();
    if (key !== shown()) return;
    const theirs = partsOf(f);
    const mine = () => outbox.get(key).parts;
    const inWords = ({ letters, flagged }) => ([...letters].join(gettext(" and ")) || gettext("no answer")) + (flagged ? gettext(", flagged") : "");
    const decide = (text, act) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "secondary", textContent: text });
      button.addEventListener("click", () => {
        problem("");
        act();
        outbox.show();
        $("h1", f).focus(); // the button is gone
      });
      return button;
    };
    const text = gettext("This question was changed in another window or on another device. Stored is: %(stored)s. Yours was: %(yours)s.");
    problem(
      fill(text, { stored: inWords(theirs), yours: inWords(mine()) }),
      decide(gettext("Keep what is stored"), () => save({}, true)),
      decide(gettext("Use mine"), () => save(mine(), true)),
    );
  }

  document.addEventListener("change", ({ target }) => {
    const f = target.closest("#sitting");
    if (!f || f !== form() || !["letters", "confidence", "note"].includes(target.name)) return;
    if (chosen(f).length > Number(f.dataset.choose)) {
      target.checked = false;
      return problem(gettext("Two options are asked for. Untick one before you choose another."));
    }
    clearTimeout(writing);
    writing = 0;
    const letters = chosen(f);
    save({ struck: [...f.elements.struck.value].filter((letter) => !letters.includes(letter)).join("") }, target.name === "letters");
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#sitting button");
    if (!button || !["flagged", "clear", "strike"].includes(button.name)) return;
    event.preventDefault();
    if (button.name === "flagged") save({ flagged: !isOn(button) }, true);
    else if (button.name === "clear") save({ letters: "", confidence: 0 }, true);
    else strike(button.value);
  });

  // An option is chosen or struck out, not both.
  function strike(letter) {
    const { letters, struck } = partsOf(form());
    const on = !struck.includes(letter);
    save({ letters: letters.replace(letter, ""), struck: on ? [...struck, letter].sort().join("") : struck.replace(letter, "") });
    speak(fill(on ? gettext("%(letter)s struck out") : gettext("%(letter)s no longer struck out"), { letter }));
  }

  let writing = 0; // a note is saved once a second while it is written
  const written = () => {
    if (!writing) return;
    clearTimeout(writing);
    writing = 0;
    save();
  };
  document.addEventListener("input", ({ target }) => {
    if (target.name !== "note") return;
    if (!writing) writing = setTimeout(written, 1000);
  });

  // --- Highlights: "12-40,55-60" in characters of the stem's text ---------------------------------

  function paint(stem, marks) {
    for (const old of stem.querySelectorAll("mark")) old.replaceWith(...old.childNodes);
    stem.normalize();
    for (const range of marks ? marks.split(",") : []) {
      const [start, end] = range.split("-").map(Number);
      let at = 0;
      const walker = document.createTreeWalker(stem, NodeFilter.SHOW_TEXT);
      const inside = [];
      while (walker.nextNode()) {
        const node = walker.currentNode;
        if (at < end && at + node.length > start && node.data.trim()) inside.push([node, Math.max(start - at, 0), Math.min(end - at, node.length)]);
        at += node.length;
      }
      for (const [node, from, to] of inside) {
        const part = document.createRange();
        part.setStart(node, from);
        part.setEnd(node, to);
        part.surroundContents(document.createElement("mark"));
      }
    }
  }

  let selected = null; // the newest selection in the stem: pressing a button may end it
  document.addEventListener("selectionchange", () => {
    const selection = getSelection();
    const stem = $("#sitting .stem");
    if (selection.isCollapsed || !stem || !selection.rangeCount) return;
    const range = selection.getRangeAt(0);
    if (!stem.contains(range.commonAncestorContainer)) return;
    const before = document.createRange();
    before.setStart(stem, 0);
    before.setEnd(range.startContainer, range.startOffset);
    const start = before.toString().length;
    selected = [start, start + range.toString().length];
  });

  // Highlight the selected text; where all of it is highlighted already, take that back.
  function highlight() {
    if (!selected) return speakUp(gettext("Select text of the question first, then highlight it."));
    let [start, end] = selected;
    selected = null;
    getSelection().removeAllRanges();
    const old = partsOf(form()).marks;
    const ranges = old ? old.split(",").map((range) => range.split("-").map(Number)) : [];
    const within = ranges.find(([from, to]) => from <= start && end <= to);
    const apart = ranges.filter(([from, to]) => to < start || from > end);
    if (within) {
      const pieces = [[within[0], start], [end, within[1]]];
      apart.push(...pieces.filter(([from, to]) => from < to));
    } else {
      for (const [from, to] of ranges.filter((range) => !apart.includes(range))) [start, end] = [Math.min(start, from), Math.max(end, to)];
      apart.push([start, end]);
    }
    const marks = apart.sort((one, other) => one[0] - other[0]).map((range) => range.join("-")).join(",");
    if (marks.length > 500) return speakUp(gettext("There is no room for more highlights on this question."));
    save({ marks });
    speak(within ? gettext("Highlight taken back") : gettext("Highlighted"));
  }

  // --- Time spent on a question -------------------------------------------------------------------

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
    written();
    const seconds = form() ? takeSeconds() : 0;
    if (seconds > 0) outbox.post(`${here()}time/`, { seconds }).then((reply) => reply.status === 404 && outbox.look(), () => {});
  }

  // --- The clock ----------------------------------------------------------------------------------

  const NOTICES = [30, 10, 5, 1]; // minutes before the end; one more at half time
  let ahead = 0; // the server's clock minus this one, milliseconds
  let deadline = 0;
  let over = false;
  let last = null; // what was left at the last tick, seconds
  let ticked = Date.now();

  function setClock(now, end) {
    ahead = now - Date.now();
    if (deadline && Math.abs(end - deadline) > 1000) moved(end);
    deadline = end;
  }
  const readClock = (clock) => setClock(Number(clock.dataset.now), Number(clock.dataset.deadline));

  // Extra time was given, or taken back.
  function moved(end) {
    last = null;
    const time = showEnd(end);
    if (time) speakUp(fill(gettext("The exam now ends at %(time)s."), { time }));
  }

  function showEnd(end) {
    const line = $("#ends");
    const zone = { timeZone: line.dataset.zone, timeZoneName: "short" };
    let time = "";
    try {
      time = new Date(end).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...zone });
    } catch {
      return ""; // a zone that this browser does not know; the next page has the time
    }
    line.textContent = fill(gettext("until %(time)s"), { time });
    return time;
  }

  function tick() {
    const clock = $("#clock");
    if (!clock || over) return;
    const gap = Date.now() - ticked;
    ticked += gap;
    if (!document.hidden && (gap < 0 || gap > 2000)) outbox.look(); // this computer slept, or its clock was set
    const left = Math.max(0, Math.floor((deadline - Date.now() - ahead) / 1000));
    const two = (n) => String(n).padStart(2, "0");
    const [hours, minutes] = [Math.floor(left / 3600), Math.floor(left / 60) % 60];
    const text = hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
    if (clock.textContent !== text) clock.textContent = text;
    clock.classList.toggle("short", left < 300);
    const half = Math.floor((deadline - Number(clock.dataset.start)) / 2000);
    const passed = (seconds) => last !== null && last > seconds && left <= seconds;
    const minute = NOTICES.find((each) => passed(60 * each));
    if (minute) speakUp(minute === 1 ? gettext("1 minute left.") : fill(gettext("%(minute)s minutes left."), { minute }));
    else if (passed(half)) speakUp(gettext("Half of the time is over."));
    if (passed(300)) hideClock(false);
    last = left;
    if (Date.now() + ahead >= deadline) end();
  }

  // On screen for a while, and spoken politely.
  let clearing = 0;
  function speakUp(text) {
    const notice = $("#notice");
    if (!notice) return;
    notice.textContent = text;
    clearTimeout(clearing);
    clearing = setTimeout(() => {
      notice.textContent = "";
      striking = false; // nobody remembers S any more
    }, 15000);
  }

  let hidden = false;
  function hideClock(on) {
    hidden = on;
    const button = $("#hide-clock");
    button.hidden = false;
    button.setAttribute("aria-pressed", String(on));
    button.closest(".clock").classList.toggle("off", on);
  }

  // The server says whether it is really over: it answers with the report, or with the right clock.
  async function end() {
    if (over) return;
    over = true;
    written();
    if (Date.now() + ahead >= deadline && attempt() !== "warm-up") problem(gettext("Time is up. What you chose is being handed in; the result follows in a moment."));
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    for (const part of document.querySelectorAll(".question, .moves, .more, .palette, .bar button")) part.inert = true; // not what tells why
    await outbox.flushed(4000);
    while (!(await outbox.reachable(here()))) await new Promise((done) => setTimeout(done, 2000));
    location.replace(here());
  }

  // --- Moving on ----------------------------------------------------------------------------------

  const NO_PAGE = gettext("The next page could not be fetched. Check the connection, then try again.");

  const isQuestion = (text) => /<form id="sitting"/.test(text);

  // The next question is fetched while this one is read, so that it is there at once.
  let fetched = null; // {path, reply}
  let fetching = 0;
  const fetchSoon = () => {
    clearTimeout(fetching);
    fetching = setTimeout(prefetch, 300);
  };
  function prefetch() {
    const next = $(".next");
    if (!next || !navigator.onLine || document.hidden) return;
    const path = next.getAttribute("hx-get");
    if (!path) return; // the last one
    const read = async (reply) => {
      const text = await reply.text();
      return reply.ok && !reply.redirected && isQuestion(text) ? new Response(text, { headers: reply.headers }) : null;
    };
    fetched = { path, reply: fetch(path, { headers: { "HX-Request": "true" } }).then(read).catch(() => null) };
  }

  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    problem("");
    leave();
    const ready = fetched;
    fetched = null;
    if (!ready || new URL(ctx.request.action, location.href).pathname !== ready.path) return;
    ctx.fetch = async (to, request) => {
      const reply = await ready.reply;
      if (!reply) return fetch(to, request);
      ctx.early = true;
      return reply;
    };
  });
  document.addEventListener("htmx:error", () => problem(NO_PAGE));
  // Whatever else comes than a question (an error, a page of some proxy) never takes the place of this one.
  document.addEventListener("htmx:before:swap", (event) => {
    if (isQuestion(event.detail.ctx.text)) return written();
    event.preventDefault();
    problem(gettext("The server could not answer. Try again in a moment."));
  });
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (!form()) return;
    begin(Boolean(ctx.early));
    document.title = form().dataset.title;
    for (const button of document.querySelectorAll(".palette button")) {
      if (button.value === form().dataset.position) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    $("h1").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  });

  // The outbox has saved the form: only the page it leads to is opened, and only when the server has it.
  let again = false;
  document.addEventListener("submit", async (event) => {
    if (event.target.id !== "sitting") return;
    event.preventDefault();
    if (window.htmx && !again && event.submitter.hasAttribute("hx-get")) {
      const { submitter } = event; // pressed in the moment before htmx took up the new question
      again = true;
      return setTimeout(() => {
        htmx.process($(".exam"));
        submitter.click();
        again = false;
      });
    }
    written();
    const to = here().replace(/\d+\/$/, `${event.submitter.value}/`);
    const saved = await outbox.flushed(8000);
    if (await outbox.reachable(to)) location.assign(to);
    else if (saved) problem(NO_PAGE);
    else problem(fill(gettext("Not saved yet: question %(open)s. Check the connection, then try again."), { open: outbox.numbers(outbox.waiting()) }));
  });

  // --- Keys ---------------------------------------------------------------------------------------

  let striking = false; // S was pressed: a letter is to follow
  const press = (selector) => {
    const button = $(selector);
    if (button && !button.disabled) button.click();
  };
  const KEYS = {
    J: () => press(".next"),
    ARROWRIGHT: () => press(".next"),
    K: () => press(".previous"),
    ARROWLEFT: () => press(".previous"),
    F: () => {
      press("[name=flagged]");
      speak(partsOf(form()).flagged ? gettext("Flagged") : gettext("Flag taken off"));
    },
    G: () => $("#go-to").showModal(),
    H: highlight,
    N: () => {
      $(".note").open = true;
      form().elements.note.focus();
    },
    S: () => {
      striking = true;
      speakUp(gettext("Strike out: press the letter of an option."));
    },
    U: () => {
      const confidence = (partsOf(form()).confidence + 1) % 4;
      save({ confidence });
      const radio = inputs(form(), "confidence").find((input) => input.checked);
      speak(radio ? radio.parentElement.textContent.trim() : gettext("Not said how sure"));
    },
    "?": () => $("#keys").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const key = event.key.toUpperCase();
    if (target.name === "note" && key === "ESCAPE") return $("h1").focus();
    if (!form() || over || event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat || key === "SHIFT") return;
    if (!$("#single-keys").checked || $("dialog[open]") || target.closest("textarea, select, input:not([type=radio], [type=checkbox])")) return;
    const letter = /^[1-5]$/.test(key) ? "ABCDE"[key - 1] : key;
    const option = inputs(form(), "letters").find((input) => input.value === letter);
    const struckOut = striking;
    striking = false;
    if (struckOut) speakUp("");
    if (struckOut && option) strike(letter);
    else if (option) {
      option.click();
      speak(fill(option.checked ? gettext("%(letter)s chosen") : gettext("%(letter)s not chosen"), { letter }));
    } else if (KEYS[key] && !(key.startsWith("ARROW") && (target.closest("input, pre, .scroll") || event.shiftKey))) KEYS[key]();
    else return;
    event.preventDefault();
  });

  document.addEventListener("click", ({ target }) => {
    striking = false;
    const button = target.closest("#show-keys, #highlight, #hide-clock");
    if (!button) return;
    if (button.id === "show-keys") KEYS["?"]();
    else if (button.id === "highlight") highlight();
    else hideClock(!hidden);
  });

  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("close", () => {
      const number = $("input[type=number]", dialog);
      if (number && dialog.returnValue) press(`.palette button[value="${Number(number.value)}"]`);
      if (number) number.value = dialog.returnValue = "";
    });
  }
  const single = $("#single-keys");
  if (single) single.addEventListener("change", () => outbox.post($("#keys").dataset.address, { on: single.checked ? "1" : "0" }).catch(() => {}));

  // --- The page comes, goes and comes back --------------------------------------------------------

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      written();
      return pause();
    }
    resume();
    tick();
    fetched = null;
    if (form()) fetchSoon();
    if ($("#clock")) outbox.look();
  });
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", (event) => event.persisted && $("#clock") && location.replace(here())); // by the back button
  window.addEventListener("storage", (event) => {
    fetched = null;
    if (!form() || outbox.slotOf(event.key) !== shown()) return;
    const entry = outbox.get(shown());
    if (!entry) outbox.look(); // another window saved this question
    else if (!entry.stale) setParts(form(), entry.parts); // it is about to
  });

  // The same page as the server has it now; null: it leads elsewhere, to the report or the sign-in.
  function renew(page) {
    const clock = page && $("#clock", page);
    if (!clock) return $("#clock") && end();
    readClock(clock);
    const theirs = $("#sitting", page);
    if (!theirs || keyOf(theirs) !== shown() || outbox.get(shown())) return;
    const version = Number(theirs.elements.version.value);
    if (version > Number(form().elements.version.value)) adopt(shown(), { version, ...partsOf(theirs) }, true);
  }

  // A question is on screen; `early`: it was fetched some time ago, so its clock is not to be trusted.
  function begin(early) {
    const f = form();
    const clock = $("#clock");
    if (clock) {
      if (!early) readClock(clock);
      else if (Math.abs(Number(clock.dataset.deadline) - deadline) > 1000) showEnd(deadline);
      hideClock(hidden);
    }
    spent = since = 0;
    selected = null;
    striking = false;
    if (!document.hidden) resume();
    if (f) {
      f.elements.since.disabled = true; // seconds are counted here
      for (const button of f.querySelectorAll("[type=button]")) button.hidden = false;
      const entry = outbox.get(shown());
      const decided = [...f.elements].some((input) => input.checked !== input.defaultChecked || (input.name === "note" && input.value !== input.defaultValue));
      paint($(".stem", f), f.elements.marks.value);
      const known = newest.get(shown());
      if (known && known.version > Number(f.elements.version.value)) adopt(shown(), known, true);
      if (entry && entry.stale) offerChoice(shown());
      else if (entry) setParts(f, entry.parts);
      else if (decided) save(); // decided before this script was there
      mark(f.dataset.position, partsOf(f));
      fetchSoon();
    }
    tick();
  }

  Object.assign(screen, { shown, here, takeSeconds, giveBack: (seconds) => (spent += seconds * 1000), adopt, offerChoice, problem, clock: setClock, renew, over: (key) => key.startsWith(`${attempt()}/`) && end() });

  for (const stem of document.querySelectorAll("[data-marks]")) paint(stem, stem.dataset.marks);
  const palette = $(".palette");
  if (palette && window.matchMedia("(max-width: 74.99rem)").matches) palette.open = false;
  const exam = $(".exam");
  if (exam && window.htmx) {
    exam.removeAttribute("hx-ignore"); // without this script the plain form has to save what htmx would pass over
    htmx.process(exam);
  }
  begin(false);
  setInterval(tick, 500);
})();

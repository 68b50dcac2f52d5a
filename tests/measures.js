// What a page is measured by, after WCAG 2.2: each function returns what falls short, so that [] is good.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const tell = (each) => `${each.localName}${each.id && `#${each.id}`}${[...each.classList].map((name) => `.${name}`).join("")} ${(each.value && each.localName !== "li" ? each.value : each.textContent).trim().slice(0, 30)}`.trim();
  const seen = (each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !each.closest(".visually-hidden") && getComputedStyle(each).clipPath === "none";
  const off = (each) => each.closest(":disabled, [inert]") || (document.querySelector("dialog:modal") && !each.closest("dialog:modal"));

  // --- Colours: [r, g, b, alpha], all from 0 to 1 ---

  function parse(colour) {
    const numbers = colour.match(/-?[\d.]+(e-?\d+)?/g).map(Number);
    if (colour.startsWith("color(srgb")) return [...numbers.slice(0, 3), numbers[3] ?? 1];
    if (!colour.startsWith("rgb")) throw new Error(`A colour of another kind: ${colour}`);
    return [...numbers.slice(0, 3).map((part) => part / 255), numbers[3] ?? 1];
  }
  const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3])).concat(1);
  const above = (each) => each.parentElement;
  const opacity = (each) => (each ? Number(getComputedStyle(each).opacity) * opacity(above(each)) : 1);
  // What lies behind the content of an element.
  function ground(each) {
    if (!each) return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [1, 1, 1, 1];
    const colour = parse(getComputedStyle(each).backgroundColor);
    return colour[3] === 1 ? colour : over(colour, ground(above(each)));
  }
  function luminance(colour) {
    const [r, g, b] = colour.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  }
  function ratio(front, back) {
    const [one, other] = [luminance(over(front, back)), luminance(back)];
    return Math.max(one, other) / Math.min(one, other);
  }
  const short = (number) => Math.floor(number * 100) / 100;

  // 1.4.3
  function faintText() {
    const found = [];
    for (const each of all("body, body *")) {
      if (![...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || !seen(each) || off(each)) continue;
      const style = getComputedStyle(each);
      const size = parseFloat(style.fontSize);
      const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      const colour = parse(each.closest("svg") ? style.fill : style.color);
      colour[3] *= opacity(each);
      const contrast = ratio(colour, ground(each));
      if (contrast < least) found.push(`${tell(each)}: ${short(contrast)}`);
    }
    return found;
  }

  // 1.4.11. The border of a control, or its own ground; what looks like a link is told by its underlined text.
  function faintControls() {
    const controls = "main :is(input:not([type=hidden]), select, textarea, button:not(.link, .icon, .strike), .button, .options label, .filters a)";
    return all(controls).filter((each) => seen(each) && !off(each)).flatMap((each) => {
      const style = getComputedStyle(each);
      const around = ground(above(each));
      const contrast = Math.max(...["Top", "Bottom", "Left", "Right"].map((side) => (parseFloat(style[`border${side}Width`]) ? ratio(parse(style[`border${side}Color`]), around) : 1)), ratio(ground(each), around));
      return contrast < 3 ? [`${tell(each)}: ${short(contrast)}`] : [];
    });
  }

  // 2.4.7, and 1.4.11 for what shows the focus: a line that was not there before, 2 pixels or more, 3:1.
  function focusNotSeen() {
    const lines = (each) => {
      const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(each);
      return outlineStyle === "none" || parseFloat(outlineWidth) < 2 ? "" : outlineColor;
    };
    const found = [];
    const before = document.activeElement;
    for (const each of all("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")) {
      if (!seen(each) || off(each) || each.closest("[aria-hidden=true]")) continue;
      const shown = each.closest(":is(.options, .confidence) label") || each;
      before.blur();
      const without = lines(shown);
      each.focus({ focusVisible: true });
      if (document.activeElement !== each) continue;
      const line = lines(shown);
      if (!line || line === without || ratio(parse(line), ground(above(shown))) < 3) found.push(`${tell(each)}: ${line || "no line"}`);
    }
    before.focus();
    return found;
  }

  // 1.3.1: one h1, no level left out.
  function headingGaps() {
    const levels = all("h1, h2, h3, h4, h5, h6").filter((each) => each.checkVisibility()).map((each) => Number(each.localName[1]));
    const gaps = levels.filter((level, i) => level > (i ? levels[i - 1] : 0) + 1);
    return levels.filter((level) => level === 1).length === 1 && levels[0] === 1 && !gaps.length ? [] : [levels.join(" ")];
  }

  // 2.3.3, where the taker asked for less motion
  function motion() {
    const long = (times) => times.split(",").some((time) => parseFloat(time) * (time.trim().endsWith("ms") ? 0.001 : 1) > 0.01);
    return all("*").flatMap((each) => ["", "::before", "::after"].map((part) => [each, getComputedStyle(each, part || null)]))
      .filter(([, style]) => long(style.transitionDuration) || (style.animationName !== "none" && long(style.animationDuration)) || style.scrollBehavior === "smooth")
      .map(([each]) => tell(each));
  }

  // 1.4.10, 1.4.12: text beyond the side of the screen, cut off by what it stands in, or out of its own control.
  function lost() {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const found = wide > 0 ? [`the page scrolls sideways by ${wide}`] : [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const each = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !seen(each) || each.closest("svg, option, script, noscript")) continue;
      const range = document.createRange();
      range.selectNodeContents(walker.currentNode);
      const boxes = [...range.getClientRects()].filter((box) => box.width > 1);
      let [left, right, top, bottom] = [0, document.documentElement.clientWidth, -Infinity, Infinity];
      for (let box = each; box; box = above(box)) {
        const style = getComputedStyle(box);
        if (style.position === "absolute" && box.matches(".skip")) [left, right] = [-Infinity, Infinity];
        const limit = box.getBoundingClientRect();
        const control = box.matches("button, .button, .options label, .filters a, .save-state, .notice");
        const clips = (overflow) => ["hidden", "clip"].includes(overflow);
        if (["auto", "scroll"].includes(style.overflowX) && box !== document.documentElement) { // it can be scrolled to
          [left, right] = [-Infinity, Infinity];
          if (["auto", "scroll"].includes(style.overflowY)) [top, bottom] = [-Infinity, Infinity];
          break;
        }
        if (control || clips(style.overflowX)) [left, right] = [Math.max(left, limit.left), Math.min(right, limit.right)];
        if (control || clips(style.overflowY)) [top, bottom] = [Math.max(top, limit.top), Math.min(bottom, limit.bottom)];
        if (style.display === "inline") continue;
      }
      if (boxes.some((box) => box.left < left - 1 || box.right > right + 1 || box.top < top - 3 || box.bottom > bottom + 3)) found.push(tell(each));
    }
    return found;
  }

  // 1.4.12: the spacing that a reader may ask for.
  let spacing = null;
  function space(on) {
    if (!spacing) {
      spacing = new CSSStyleSheet();
      spacing.replaceSync("* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-bottom: 2em !important }");
    }
    document.adoptedStyleSheets = on ? [spacing] : [];
  }

  // 2.5.8; a link within a sentence may be smaller. What is hit is the label, where a control to tick has one.
  function smallTargets(least) {
    const inline = (each) => getComputedStyle(each).display === "inline" && [...each.parentElement.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    return all("a[href], button, input:not([type=hidden]), select, textarea, summary").flatMap((each) => {
      if (!seen(each) || off(each) || (each.localName === "a" && inline(each))) return [];
      const { width, height, right } = ((["radio", "checkbox"].includes(each.type) && each.labels[0]) || each).getBoundingClientRect();
      return right > 0 && (width < least - 0.5 || height < least - 0.5) ? [`${tell(each)}: ${Math.round(width)} × ${Math.round(height)}`] : [];
    });
  }

  // How much of the height of the screen stays covered while the page is scrolled.
  function covered() {
    const stays = all("body *").filter((each) => ["sticky", "fixed"].includes(getComputedStyle(each).position) && seen(each));
    return stays.reduce((sum, each) => sum + each.getBoundingClientRect().height, 0) / innerHeight;
  }

  // 2.4.11: what has the focus, when nothing of it can be seen.
  function obscured() {
    const each = document.activeElement;
    const shown = each.closest("label") || each;
    const box = shown.getBoundingClientRect();
    const points = [0.1, 0.3, 0.5, 0.7, 0.9].flatMap((x) => [0.1, 0.5, 0.9].map((y) => [box.left + x * box.width, box.top + y * box.height]));
    const free = points.filter(([x, y]) => {
      const top = document.elementFromPoint(x, y);
      return top && (shown.contains(top) || top.contains(shown));
    });
    return free.length ? [] : [tell(each)];
  }

  window.measure = { faintText, faintControls, focusNotSeen, headingGaps, motion, lost, space, smallTargets, covered, obscured };
})();

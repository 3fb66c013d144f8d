// What the page does by itself: it shows what the server sends, and says when the server is gone.
(() => {
  const show = (commands) => {
    for (const command of commands) {
      if (command.kind === "html") {
        held.set("f-" + command.id, command.html);
      } else if (command.kind === "query") {
        history.replaceState(null, "", location.pathname + command.query + location.hash);
      }
    }
    release();
  };
  // What has the keyboard or is being selected stays under the reader's hands, and so does what a
  // button is pressed on: its click would go nowhere. It catches up when they let go.
  const held = new Map();
  let isPressed = false;
  const release = () => {
    if (isPressed) return;
    for (const [id, html] of [...held]) {
      const element = document.getElementById(id);
      if (element && holdsReader(element)) continue;
      held.delete(id);
      if (element) put(element, html);
    }
  };
  const letGo = () => { isPressed = false; setTimeout(release); };
  document.addEventListener("pointerdown", (event) => { isPressed = event.button === 0; }, true);
  // Where it was let go in a menu or another window nothing says so.
  document.addEventListener("pointermove", (event) => {
    if (isPressed && event.buttons === 0) letGo();
  }, true);
  document.addEventListener("pointerup", letGo, true);
  document.addEventListener("pointercancel", letGo, true);
  document.addEventListener("selectionchange", () => setTimeout(release));
  document.addEventListener("focusout", () => setTimeout(release));
  // What has the keyboard keeps it, what is opened or closed stays so, what is scrolled stays there.
  const put = (element, html) => {
    const before = [...named(element, FOCUSABLE)];
    const place = before.findIndex(([, each]) => each === document.activeElement);
    const folds = named(element, "details");
    const scrolled = [...element.querySelectorAll(SCROLLABLE)].map(
      (each) => [each.scrollLeft, each.scrollTop]);
    element.innerHTML = html;
    for (const [name, each] of named(element, "details")) {
      if (folds.has(name)) each.open = folds.get(name).open;
    }
    const scrollables = element.querySelectorAll(SCROLLABLE);
    scrolled.forEach((to, number) => scrollables[number]?.scrollTo(...to));
    if (place < 0) return;
    const after = named(element, FOCUSABLE);
    const next = after.get(before[place][0]) ?? [...after.values()].slice(0, place + 1).at(-1);
    next?.focus({ preventScroll: true });
  };
  const SCROLLABLE = ".scroll, pre";
  // Browsers let the keyboard scroll what is scrolled.
  const FOCUSABLE = `a[href], button, summary, [tabindex], ${SCROLLABLE}`;
  // What a selector finds, by id, address or text, and which of several such: rows come between
  // others, so that a place alone does not say what stood there.
  const named = (element, selector) => {
    const counts = new Map();
    return new Map([...element.querySelectorAll(selector)].map((each) => {
      const name = each.id || each.getAttribute("href")
        || (each.querySelector(":scope > summary") ?? each).textContent;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return [`${counts.get(name)} ${name}`, each];
    }));
  };
  const holdsReader = (element) => {
    const selection = document.getSelection();
    return (element.contains(document.activeElement) && document.activeElement !== document.body
        && ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName))
      || (selection && !selection.isCollapsed && element.contains(selection.anchorNode));
  };
  window.otelParsl = { show };

  const say = (text) => {
    const notice = document.getElementById("connection");
    notice.textContent = text;
    notice.hidden = !text;
  };
  const lost = async () => {
    say("The connection is lost: what you see no longer changes. Trying again …");
    for (;;) {
      await new Promise((done) => setTimeout(done, 2000));
      try {
        const answer = await fetch(location.href, { cache: "no-store" });
        if (answer.status === 401) { say("The server was started anew: open the address that it printed."); return; }
        if (answer.ok) { location.reload(); return; }
      } catch (_) { /* still away */ }
    }
  };
  window.otelParsl.lost = lost;

  // Draws what the server sends from now on. Loading the page again helps where its session has
  // ended; where no connection is let through it does not, and is not tried for ever.
  window.otelParsl.connect = async (item) => {
    const views = window.Bokeh ? await Bokeh.embed.embed_items({}, [item]) : [];
    if (views.length) return;
    const [{ type }] = performance.getEntriesByType("navigation");
    if (type !== "reload") lost();
    else say("No connection to the server: plots are not drawn, and numbers are those of when the "
      + "page was loaded. A proxy between may not let WebSockets through.");
  };

  // Times of the brushed range, in milliseconds of the submit host's clock.
  window.otelParsl.range = (start, end) => {
    for (const page of Bokeh.documents) {
      const time = page.get_model_by_name("time");
      if (time) time.setv({ start: start ?? time.reset_start, end: end ?? time.reset_end });
    }
  };
  // Lanes of the task stream, counted from 1; the axis goes from the top.
  const showLanes = (first, last) => {
    for (const page of Bokeh.documents) {
      page.get_model_by_name("lanes")?.setv({ start: last, end: first - 1 });
    }
  };
  window.otelParsl.openTask = (task) => {
    location.assign(document.getElementById("f-header").dataset.runRoot + "task/" + task);
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-whole-run]")) window.otelParsl.range();
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-stretch]")) return;
    event.preventDefault();
    const { from, until, first, last } = event.target.elements;
    if (first) showLanes(...[first.valueAsNumber, last.valueAsNumber].sort((a, b) => a - b));
    // What has no zone is taken for UTC, as the times of plots are.
    const [start, end] = [from.valueAsNumber, until.valueAsNumber].sort((a, b) => a - b);
    // The form has milliseconds, and what is shown has more: it stays where nothing else is asked.
    const isAsked = [from, until].some(
      (field) => field.valueAsNumber !== Date.parse(`${field.defaultValue}Z`));
    if (start < end && isAsked) window.otelParsl.range(start, end);
    for (const field of [from, until]) field.defaultValue = field.value;
  });
})();

"use strict";
// Everything listens at the document and looks things up when they are needed, as a live page replaces parts of
// itself; it then sends "odibi:changed".
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const nodes = () => all("details.node");
  const on = (kind, selector, act) => document.addEventListener(kind, (event) => {
    const found = event.target.closest && event.target.closest(selector);
    if (found) act(found, event);
  });

  // --- colours: remembered, where the browser remembers anything of a file
  const KEY = "odibi-story-theme";
  try {
    const known = byId("theme-" + localStorage.getItem(KEY));
    if (known) known.checked = true;
  } catch { /* not allowed here */ }
  on("change", "[name=theme]", (input) => {
    try { localStorage.setItem(KEY, input.value); } catch { /* not allowed here */ }
  });

  // --- what a node is about stands in a noscript, which costs nothing before somebody asks
  const parsed = (waiting) => new DOMParser().parseFromString(waiting.textContent, "text/html").body;
  const fill = (node) => {
    const waiting = node.querySelector(":scope > .body > noscript");
    if (waiting) waiting.replaceWith(...parsed(waiting).childNodes);
  };
  document.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.matches("details.node")) fill(event.target);
  }, true);
  const fromAddress = () => {
    const body = /^#n\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (!body) return;
    const node = body.parentElement;
    fill(node);
    node.open = true;
    node.hidden = false;
    node.scrollIntoView({ block: "start" });
    node.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", fromAddress);
  on("click", "a[href^='#n']", (link) => { if (link.getAttribute("href") === location.hash) fromAddress(); });

  // --- the list
  let group = null;
  let texts = new WeakMap();
  const text = (node) => {
    if (!texts.has(node)) {
      const waiting = node.querySelector("noscript");
      const said = waiting
        ? node.querySelector("summary").textContent + " " + parsed(waiting).textContent
        : node.textContent;
      texts.set(node, said.toLowerCase());
    }
    return texts.get(node);
  };
  const chips = () => all(".chip");
  const press = (wanted) => { for (const chip of chips()) chip.ariaPressed = String(wanted(chip)); };
  const filter = () => {
    const find = byId("find");
    if (!find) return;
    const wanted = find.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set(chips().filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.show));
    const every = nodes();
    let number = 0;
    for (const node of every) {
      const fits = (!shown.size || shown.has(node.dataset.state))
        && (group === null || node.dataset.group === group)
        && wanted.every((word) => text(node).includes(word));
      node.hidden = !fits;
      number += fits;
    }
    const said = number === every.length ? "" : number + " of " + every.length + " nodes";
    const why = group === null ? "" : ", those of one box of the graph; Esc shows all";
    if (byId("found").textContent !== said + why) byId("found").textContent = said + why;
  };
  const orders = {
    graph: (one, other) => one.id.slice(1) - other.id.slice(1),
    slow: (one, other) => other.dataset.took - one.dataset.took,
    state: (one, other) => rank(one) - rank(other),
    name: (one, other) => one.querySelector("h3").textContent.localeCompare(other.querySelector("h3").textContent),
  };
  const rank = (node) => chips().findIndex((chip) => chip.dataset.show === node.dataset.state);
  const reorder = () => {
    const list = byId("list");
    if (list) list.append(...nodes().sort(orders[byId("order").value] || orders.graph));
  };
  let soon = 0;
  on("input", "#find", () => { clearTimeout(soon); soon = setTimeout(filter, 120); });
  on("change", "#order", reorder);
  on("submit", "form.filter", (form, event) => event.preventDefault());
  on("click", ".chip", (chip) => {
    chip.ariaPressed = String(chip.ariaPressed !== "true");
    group = null;
    filter();
  });
  on("click", ".counts a", (link) => {
    press((chip) => chip.dataset.show === link.dataset.state);
    group = null;
    filter();
  });
  on("click", ".box.many", (box) => {
    press(() => false);
    byId("find").value = "";
    group = box.dataset.group;
    filter();
  });
  on("click", "#all", (button) => {
    const shut = button.textContent === "Open all";
    for (const node of nodes()) {
      if (node.hidden) continue;
      if (shut) fill(node);
      node.open = shut;
    }
    button.textContent = shut ? "Shut all" : "Open all";
  });
  document.addEventListener("keydown", (event) => {
    const find = byId("find");
    if (!find) return;
    if (event.key === "Escape" && (group !== null || find.value)) {
      group = null;
      find.value = "";
      filter();
    }
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName || "");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      find.focus();
    }
  });

  // --- the graph: what a node hangs on, and what hangs on it
  const leave = () => {
    for (const graph of all(".looking")) graph.classList.remove("looking");
    for (const each of all(".lit")) each.classList.remove("lit");
  };
  const look = (box) => {
    leave();
    const graph = box.closest("svg.graph");
    const edges = all(".edge", graph);
    graph.classList.add("looking");
    for (const [from, to] of [["s", "t"], ["t", "s"]]) {
      const seen = new Set([box.dataset.box]);
      for (const at of seen) { // grows while it is gone through
        for (const edge of edges) {
          if (edge.dataset[from] === at) { edge.classList.add("lit"); seen.add(edge.dataset[to]); }
        }
      }
      for (const each of all(".box", graph)) if (seen.has(each.dataset.box)) each.classList.add("lit");
    }
  };
  on("mouseover", ".box", look);
  on("mouseout", ".box", leave);
  on("focusin", ".box", (box) => { if (box.matches(":focus-visible")) look(box); });
  on("focusout", ".box", leave);

  // --- copying
  on("click", "[data-copy]", async (button) => {
    const text = byId(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  const begin = () => {
    for (const each of all(".scripted")) each.hidden = false;
    for (const node of nodes()) if (node.open) fill(node);
    texts = new WeakMap();
    filter();
    if (byId("order") && byId("order").value !== "graph") reorder();
  };
  document.addEventListener("odibi:changed", begin);
  begin();
  fromAddress();
})();

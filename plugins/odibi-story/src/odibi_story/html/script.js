"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const nodes = all("details.node");
  for (const each of all(".scripted")) each.hidden = false;

  // --- colours: remembered, where the browser remembers anything of a file
  const remember = (value) => { try { localStorage.setItem("odibi-story-theme", value); } catch { /* not allowed */ } };
  try {
    const known = document.getElementById("theme-" + localStorage.getItem("odibi-story-theme"));
    if (known) known.checked = true;
  } catch { /* not allowed */ }
  for (const each of all("[name=theme]")) each.addEventListener("change", () => remember(each.value));

  // --- what a node is about stands in a noscript, which costs nothing before somebody asks
  const fill = (node) => {
    const waiting = node.querySelector(":scope > .body > noscript");
    if (!waiting) return;
    const made = new DOMParser().parseFromString(waiting.textContent, "text/html");
    waiting.replaceWith(...made.body.childNodes);
  };
  document.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.matches("details.node")) fill(event.target);
  }, true);
  const open = (node) => {
    fill(node);
    node.open = true;
    node.hidden = false;
    node.scrollIntoView({ block: "start" });
    node.querySelector("summary").focus({ preventScroll: true });
  };
  const fromAddress = () => {
    const body = /^#n\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (body) open(body.parentElement);
  };
  addEventListener("hashchange", fromAddress);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const target = link && (link.getAttribute("href") || "");
    if (target && target === location.hash) fromAddress();
  });

  // --- the list
  const list = document.getElementById("list");
  if (list) {
    const find = document.getElementById("find");
    const found = document.getElementById("found");
    const chips = all(".chip");
    const texts = new Map();
    let group = null;
    const text = (node) => {
      if (!texts.has(node)) {
        const waiting = node.querySelector("noscript");
        let said = node.textContent;
        if (waiting) {
          const made = new DOMParser().parseFromString(waiting.textContent, "text/html");
          said = node.querySelector("summary").textContent + " " + made.body.textContent;
        }
        texts.set(node, said.toLowerCase());
      }
      return texts.get(node);
    };
    const filter = () => {
      const wanted = find.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const shown = new Set(chips.filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.show));
      let number = 0;
      for (const node of nodes) {
        const fits = (!shown.size || shown.has(node.dataset.state))
          && (group === null || node.dataset.group === group)
          && wanted.every((word) => text(node).includes(word));
        node.hidden = !fits;
        number += fits;
      }
      found.textContent = number === nodes.length ? "" : number + " of " + nodes.length + " nodes";
      if (group !== null) found.textContent += " (those of one box of the graph; Esc shows all)";
    };
    let soon = 0;
    find.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(filter, 120); });
    all("form.filter")[0].addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && (group !== null || find.value)) { group = null; find.value = ""; filter(); }
      const typing = /^(input|select|textarea)$/i.test(event.target.tagName || "");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); find.focus(); }
    });
    for (const chip of chips) {
      chip.addEventListener("click", () => {
        chip.ariaPressed = chip.ariaPressed === "true" ? "false" : "true";
        group = null;
        filter();
      });
    }
    for (const each of all(".counts a")) {
      each.addEventListener("click", () => {
        for (const chip of chips) chip.ariaPressed = String(chip.dataset.show === each.dataset.state);
        group = null;
        filter();
      });
    }
    for (const each of all(".box.many")) {
      each.addEventListener("click", () => {
        for (const chip of chips) chip.ariaPressed = "false";
        find.value = "";
        group = each.dataset.group;
        filter();
      });
    }
    const states = chips.map((chip) => chip.dataset.show);
    const orders = {
      graph: () => 0,
      slow: (one, other) => other.dataset.took - one.dataset.took,
      state: (one, other) => states.indexOf(one.dataset.state) - states.indexOf(other.dataset.state),
      name: (one, other) => one.querySelector("h3").textContent.localeCompare(other.querySelector("h3").textContent),
    };
    const order = document.getElementById("order");
    const reorder = () => list.replaceChildren(...[...nodes].sort(orders[order.value]));
    order.addEventListener("change", reorder);
    const every = document.getElementById("all");
    every.addEventListener("click", () => {
      const shut = every.textContent === "Open all";
      for (const node of nodes) if (!node.hidden) { if (shut) fill(node); node.open = shut; }
      every.textContent = shut ? "Shut all" : "Open all";
    });
    // A browser may bring back what was typed before the page was loaded anew.
    if (find.value) filter();
    if (order.value !== "graph") reorder();
  }

  // --- the graph: what a node hangs on, and what hangs on it
  for (const graph of all("svg.graph")) {
    const edges = all(".edge", graph).map((line) => ({ line, s: line.dataset.s, t: line.dataset.t }));
    const boxes = new Map(all(".box", graph).map((box) => [box.dataset.box, box]));
    const follow = (start, from, to) => {
      const seen = new Set([start]);
      for (const at of seen) {
        for (const edge of edges) if (edge[from] === at) { edge.line.classList.add("lit"); seen.add(edge[to]); }
      }
      for (const at of seen) boxes.get(at).classList.add("lit");
    };
    const look = (box) => {
      graph.classList.add("looking");
      follow(box.dataset.box, "s", "t");
      follow(box.dataset.box, "t", "s");
    };
    const leave = () => {
      graph.classList.remove("looking");
      for (const each of all(".lit", graph)) each.classList.remove("lit");
    };
    for (const box of boxes.values()) {
      box.addEventListener("mouseenter", () => { leave(); look(box); });
      box.addEventListener("mouseleave", leave);
      box.addEventListener("focus", () => { leave(); if (box.matches(":focus-visible")) look(box); });
      box.addEventListener("blur", leave);
    }
  }

  // --- copying
  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(text.textContent);
      } catch {
        getSelection().selectAllChildren(text);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  fromAddress();
})();

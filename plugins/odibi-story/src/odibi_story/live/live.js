"use strict";
(() => {
  const follows = document.getElementById("follows");

  // --- the list of runs: what is typed shows those that have all of its words
  const runs = document.getElementById("runs");
  const filter = () => {
    if (!runs) return;
    const wanted = runs.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    for (const each of document.querySelectorAll("[data-parts=past] > .run")) {
      each.hidden = !wanted.every((word) => each.dataset.words.includes(word));
    }
  };
  if (runs) {
    runs.addEventListener("input", filter);
    runs.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    filter();
  }

  if (!follows || !follows.dataset.events) return;

  // --- what of a page is which part: comments say so
  const parts = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_COMMENT);
  while (walker.nextNode()) {
    const key = walker.currentNode.data;
    if (key.startsWith("[")) parts.set(key.slice(1), walker.currentNode.nextElementSibling);
  }
  const holder = (key) => document.querySelector(`[data-parts="${CSS.escape(key)}"]`);

  // --- an element becomes another in place, so that what a reader has opened, typed, chosen or scrolled to stays
  const opened = new WeakSet(document.querySelectorAll("details[open]"));
  const ours = (element, name) => name === "aria-pressed"
    || (name === "open" && element.matches("details"))
    || (name === "hidden" && element.matches(".scripted, .node, .run"));
  const heading = (element) => {
    for (const child of element.children) if (/^(h4|summary)$/i.test(child.localName)) return child.firstChild?.data || "";
    return "";
  };
  const keyOf = (node) => node.nodeType !== Node.ELEMENT_NODE ? node.nodeName
    : [node.localName, node.id, node.dataset.box || "", node.dataset.show || node.dataset.state || "", heading(node)].join("\n");

  const attributes = (old, now) => {
    for (const { name, value } of now.attributes) {
      if (!ours(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!ours(old, name) && !now.hasAttribute(name)) old.removeAttribute(name);
    }
    // What went wrong is opened, once: whoever shuts it has seen it.
    if (now.localName === "details" && now.hasAttribute("open") && !opened.has(old)) {
      opened.add(old);
      old.open = true;
    }
  };
  const contents = (old, now) => {
    const first = now.firstElementChild;
    if (first && first.localName === "noscript" && !old.querySelector(":scope > noscript") && old.children.length) {
      return fragment(first.textContent, old); // what was asked for stands here already, as itself
    }
    return now;
  };
  const children = (old, now) => {
    let at = old.firstChild;
    for (const node of [...contents(old, now).childNodes]) {
      let match = at;
      if (node.nodeType === Node.ELEMENT_NODE) {
        const key = keyOf(node);
        while (match && keyOf(match) !== key) match = match.nextSibling;
        while (match && at !== match) { const gone = at; at = at.nextSibling; gone.remove(); }
      } else if (!at || at.nodeName !== node.nodeName) {
        match = null;
      }
      if (match) {
        at = match.nextSibling;
        become(match, node);
      } else {
        old.insertBefore(node, at);
      }
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  };
  const become = (old, now) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== now.data) old.data = now.data;
      return;
    }
    attributes(old, now);
    if (!old.hasAttribute("data-parts")) children(old, now); // what holds parts is told without them
  };
  const fragment = (html, inside) => {
    const range = document.createRange();
    range.selectNodeContents(inside);
    return range.createContextualFragment(html);
  };

  const put = ([parent, key, html]) => {
    const now = fragment(html, holder(parent) || document.body).firstElementChild;
    if (!now) return;
    const old = parts.get(key);
    if (old && old.localName === now.localName) become(old, now);
    else {
      if (old) old.replaceWith(now);
      parts.set(key, now);
      for (const each of now.querySelectorAll("details[open]")) opened.add(each);
    }
  };
  const place = (parent, keys) => {
    const inside = holder(parent);
    if (!inside) return;
    let before = null;
    for (const key of keys) {
      const each = parts.get(key);
      if (!each) continue;
      if (each.parentElement !== inside) {
        if (before) before.after(each); else inside.prepend(each);
      }
      before = each;
    }
  };
  // Until a reader chooses, the two newest runs are what is compared.
  const chosen = new Set();
  document.addEventListener("change", (event) => {
    if (event.target.matches(".choose input")) chosen.add(event.target.name);
  });
  const choice = () => [...document.querySelectorAll(".choose input:checked")].filter((each) => chosen.has(each.name));
  const take = ({ title, put: changed, orders }) => {
    if (title) document.title = title;
    const kept = choice();
    changed.forEach(put);
    for (const [parent, keys] of Object.entries(orders)) place(parent, keys);
    const there = new Set();
    for (const keys of Object.values(orders)) for (const key of keys) there.add(key);
    for (const parent of Object.keys(orders)) {
      const inside = holder(parent);
      for (const [key, each] of [...parts]) {
        if (inside && each.parentElement === inside && !there.has(key)) { each.remove(); parts.delete(key); }
      }
    }
    for (const each of document.querySelectorAll(".choose input")) {
      if (each.defaultChecked && !chosen.has(each.name)) each.checked = true;
    }
    for (const each of kept) each.checked = true;
    document.dispatchEvent(new CustomEvent("odibi:changed"));
    filter();
  };

  // --- following: not while nobody looks, as a browser has few connections to spare
  let source = null;
  let again = 0;
  let over = false;
  const say = (kind, text) => {
    follows.className = "follows " + kind;
    if (follows.textContent !== text) follows.textContent = text;
  };
  const leave = () => {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  };
  const follow = () => {
    leave();
    if (over) return;
    source = new EventSource(follows.dataset.events + "?since=" + encodeURIComponent(follows.dataset.version));
    source.addEventListener("open", () => say("on", "Following"));
    source.addEventListener("parts", (event) => {
      follows.dataset.version = event.lastEventId;
      take(JSON.parse(event.data));
    });
    source.addEventListener("over", () => { over = true; leave(); say("", "Over"); });
    source.addEventListener("gone", () => { over = true; leave(); say("off", "Removed meanwhile"); });
    source.addEventListener("error", () => {
      say("off", "Not connected; trying again");
      leave(); // it would give up on some answers, and not try again
      again = setTimeout(follow, 2000);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") follow();
    else if (!over) { leave(); say("", "Resting"); }
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => { if (event.persisted) follow(); });
  if (document.visibilityState === "visible") follow();
})();

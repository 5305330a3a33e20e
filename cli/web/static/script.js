// What the page does beyond links and forms: it follows changes, follows topics, and asks in a dialogue before an action.
// Everything works without it, one click later.
"use strict";

const main = document.getElementById("main");
const state = document.getElementById("state");
const dialog = document.getElementById("dialog");
const RETRY_MS = 2000;
const AGAIN_MS = 700;

function tell(text) {
  state.textContent = text;
  state.hidden = !text;
  const live = document.getElementById("live");
  if (live) {
    live.classList.toggle("lost", Boolean(text));
    live.textContent = text ? "does not update" : "updates live";
  }
}

// Changes the old node into the new one, and leaves alone what did not change: the focus, what is marked and typed, what is open.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  // Not by .id: a form with a field of that name has the field there.
  const isAnother = old.nodeType === Node.ELEMENT_NODE && fresh.nodeType === Node.ELEMENT_NODE && old.getAttribute("id") !== fresh.getAttribute("id");
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || isAnother) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.hasAttribute("data-keep")) return;
  if (old.matches("form.filter") && old.contains(document.activeElement)) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value && !(old.nodeName === "DETAILS" && name === "open")) old.setAttribute(name, value);
  }
  if (old.nodeName === "TBODY") {
    morphRows(old, fresh);
    return;
  }
  morphChildren(old, [...fresh.childNodes]);
}

// A part with a name stays the same part when others come and go before it: what follows a topic goes on.
function nameOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("id") || node.getAttribute("aria-labelledby") : null;
}

function morphChildren(old, after) {
  const named = new Map([...old.childNodes].filter(nameOf).map((node) => [nameOf(node), node]));
  const wanted = new Set(after.map(nameOf));
  const isKept = (node) => nameOf(node) && wanted.has(nameOf(node));
  let place = old.firstChild;
  const pass = () => {
    const node = place;
    place = place.nextSibling;
    return node;
  };
  for (const node of after) {
    const same = named.get(nameOf(node));
    if (same) {
      named.delete(nameOf(node));
      while (place && place !== same && !isKept(place)) pass().remove();
      if (place === same) pass();
      else old.insertBefore(same, place);
      morph(same, node);
    } else if (place && !isKept(place)) {
      morph(pass(), node);
    } else {
      old.insertBefore(node, place);
    }
  }
  while (place) pass().remove();
}

// Rows keep their check box by the job that they show, not by their place.
function morphRows(old, fresh) {
  const marked = new Set([...old.querySelectorAll("input:checked")].map((box) => box.value));
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") || document.activeElement.value : null;
  old.replaceChildren(...fresh.childNodes);
  for (const box of old.querySelectorAll("input[name=id]")) box.checked = marked.has(box.value);
  if (focused) {
    const again = [...old.querySelectorAll("a, input")].find((each) => (each.getAttribute("href") || each.value) === focused);
    if (again) again.focus({ preventScroll: true });
  }
}

function show(html) {
  const fresh = document.createElement("main");
  fresh.innerHTML = html;
  morphChildren(main, [...fresh.childNodes]);
  for (const list of main.querySelectorAll("[data-tail]")) follow(list);
}

const sources = new Set();
addEventListener("pagehide", () => sources.forEach((source) => source.close()));

function listen(address) {
  const source = new EventSource(address);
  sources.add(source);
  return source;
}

function leave(source) {
  source.close();
  sources.delete(source);
}

function followChanges() {
  const address = main.dataset.live;
  if (!address) return;
  const source = listen(address + (address.includes("?") ? "&" : "?") + "_mark=" + encodeURIComponent(main.dataset.mark || ""));
  source.addEventListener("open", () => tell(""));
  source.addEventListener("update", (event) => {
    const { html, title, mark } = JSON.parse(event.data);
    main.dataset.mark = mark;
    document.title = `${title} · Notify`;
    show(html);
    tell("");
  });
  source.addEventListener("away", (event) => tell(`Redis is away: ${JSON.parse(event.data).text}. This page comes back by itself.`));
  source.addEventListener("gone", (event) => tell(JSON.parse(event.data).text));
  source.addEventListener("error", async () => {
    tell("The connection to the page is lost. It comes back by itself.");
    if (source.readyState !== EventSource.CLOSED) return;
    leave(source);
    const status = await fetch(location.href, { method: "HEAD", credentials: "same-origin" }).then((answer) => answer.status, () => 0);
    if (status === 401 || status === 403) tell("Your session has ended, or you may look no longer: open this page again.");
    setTimeout(followChanges, RETRY_MS);
  });
}

const tails = new WeakMap();
const MOST_LINES = 500;

function follow(list) {
  if (tails.has(list)) return;
  const source = listen(list.dataset.tail);
  tails.set(list, source);
  source.addEventListener("events", (event) => {
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
    const lines = document.createElement("ol");
    lines.innerHTML = event.data;
    list.append(...lines.children);
    while (list.children.length > MOST_LINES) list.firstElementChild.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  });
  source.addEventListener("error", () => {
    if (!list.lastElementChild?.matches(".lost")) {
      const gap = document.createElement("li");
      gap.className = "gap lost";
      gap.textContent = "The connection was lost: events may be missing here.";
      list.append(gap);
    }
    if (source.readyState !== EventSource.CLOSED) return; // it connects again by itself
    leave(source);
    tails.delete(list);
    setTimeout(() => list.isConnected && follow(list), RETRY_MS);
  });
}

// Says in the dialogue what went wrong, and leaves in it how far the action had come.
function tellInDialog(text) {
  let told = dialog.querySelector("[role=alert]");
  if (!told) {
    told = document.createElement("p");
    told.className = "bad-text";
    told.setAttribute("role", "alert");
    const close = document.createElement("button");
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(told, close);
  }
  told.textContent = text;
  if (!dialog.open) dialog.showModal();
  return told;
}

let asked = 0; // grows with each question, and when the dialogue is closed: an answer that comes later belongs to none that is shown

async function ask(address, options) {
  const number = ++asked;
  let html;
  try {
    const answer = await fetch(address, { ...options, credentials: "same-origin", headers: { accept: "text/html" } });
    html = await answer.text();
  } catch {
    if (number !== asked && !options) return;
    if (options) {
      tellInDialog("The page did not answer. Topic ops tells whether this was done: look there before you do it again.");
    } else {
      const told = tellInDialog("The page does not answer. It is asked again by itself.");
      setTimeout(() => told.isConnected && ask(address), RETRY_MS);
    }
    return;
  }
  if (number !== asked && !options) return;
  const page = new DOMParser().parseFromString(html, "text/html");
  const content = page.getElementById("main");
  if (!content) {
    location.assign(address);
    return;
  }
  dialog.replaceChildren(...content.childNodes);
  if (!dialog.open) dialog.showModal();
  const again = dialog.querySelector("[data-again]"); // an action that goes on
  if (again) setTimeout(() => again.isConnected && dialog.open && ask(again.href), AGAIN_MS);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link && link.matches("[data-action]") && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    const address = new URL(link.href);
    if (!address.searchParams.has("back")) address.searchParams.set("back", location.pathname + location.search);
    ask(address.href);
  } else if (link && link.matches("[data-close]") && dialog.open) {
    const target = new URL(link.href);
    dialog.close();
    event.preventDefault();
    const isElsewhere = target.pathname !== location.pathname;
    if (isElsewhere && dialog.dataset.done) location.assign(link.href);
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-action-form]") && event.submitter) {
    event.preventDefault();
    const query = new URLSearchParams(new FormData(form));
    query.set("back", location.pathname + location.search);
    ask(`${event.submitter.formAction}?${query}`);
  } else if (form.matches(".confirm") && dialog.contains(form)) {
    event.preventDefault();
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    dialog.dataset.done = "1";
    ask(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  } else if (form.matches("[data-tail-form]")) {
    event.preventDefault();
    const list = form.parentElement.querySelector("[data-tail]");
    const fresh = list.cloneNode(false);
    if (tails.has(list)) leave(tails.get(list));
    const fields = new URLSearchParams(new FormData(form));
    fresh.dataset.tail = `${list.dataset.tail.split("?")[0]}?${fields}`;
    list.replaceWith(fresh);
    follow(fresh);
    const address = new URL(location.href); // can be sent to somebody, as every filter
    for (const [name, value] of fields) address.searchParams.set(name, value);
    history.replaceState(null, "", address);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-mark-all]")) {
    for (const box of document.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
  }
});

dialog.addEventListener("close", () => {
  asked += 1;
  delete dialog.dataset.done;
  dialog.replaceChildren();
});
followChanges();
for (const list of document.querySelectorAll("[data-tail]")) follow(list);

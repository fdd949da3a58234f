// How fragments enter the page: in place where they say data-morph, and never for a part of the page that is not there.
/* global htmx, Idiomorph */
import { alertReader, announce, byId, say, showStrip } from "./page.js";

const MORPH = {
  morphStyle: "outerHTML",
  callbacks: {
    // a drawn formula keeps its drawing
    beforeNodeMorphed: (node) => !(node instanceof Element && node.hasAttribute("data-keep")),
    // whether a block is unfolded is the reader's choice
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  },
};

document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { fragment, target } = event.detail;
  const incoming = fragment.firstElementChild;
  if (target.id === "messages") withoutTwins(fragment);
  if (!incoming?.hasAttribute("data-morph")) return;
  event.detail.shouldSwap = false;
  incoming.removeAttribute("data-morph");
  // it spares the children of what has the focus, too, and a link's have to change
  const isWritten = document.activeElement?.matches("input, textarea, select") ?? false;
  Idiomorph.morph(target, incoming, { ...MORPH, ignoreActiveValue: isWritten });
  if (!target.classList.contains("b")) htmx.process(byId(target.id) ?? target);
});

// A new turn comes by two ways to the tab that sent it: as the answer to its request and over the socket. The second is dropped;
// the subscription that follows with the request's cursor brings the answer up to date.
function withoutTwins(fragment) {
  for (const article of [...fragment.children]) if (article.matches("article[id]") && byId(article.id)) article.remove();
}

function parsed(html, change) {
  const template = document.createElement("template");
  template.innerHTML = html;
  change(template.content);
  return template.innerHTML;
}

// The batch without elements whose place is gone: the reader may have moved on since the server wrote it.
function onlyPresent(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  let isWhole = true;
  for (const element of [...template.content.children]) {
    const how = element.getAttribute("hx-swap-oob");
    if (how === null || how.includes(":") || byId(element.id)) continue;
    element.remove();
    isWhole = false;
  }
  return isWhole ? html : template.innerHTML;
}

htmx.defineExtension("present", { transformResponse: onlyPresent });
document.addEventListener("htmx:beforeSwap", (event) => {
  const { detail } = event;
  if (!detail.shouldSwap) return;
  if (isLateStop(detail.requestConfig.path)) {
    detail.shouldSwap = false;
    return;
  }
  const html = onlyPresent(detail.serverResponse);
  detail.serverResponse = detail.target.id === "messages" ? parsed(html, withoutTwins) : html;
  if (detail.requestConfig.elt.isConnected) return;
  // the socket was quicker and has replaced the button; htmx would look for the places of the parts around it
  detail.shouldSwap = false;
  applyBatch(detail.serverResponse);
});

// "Stopping", when the socket has already told that it stopped.
function isLateStop(path) {
  const article = byId(`m-${/^\/g\/([^/]+)\/stop$/.exec(path)?.[1]}`);
  return article !== null && !RUNNING.has(article.dataset.state);
}

// One batch that came by polling, applied like one from the socket.
export function applyBatch(html) {
  htmx.swap(byId("live"), onlyPresent(html), { swapStyle: "none", swapDelay: 0, settleDelay: 0 });
  follow();
}

const RUNNING = new Set(["queued", "loading", "reading", "thinking", "writing", "stopping"]);

// Copies the state in the cursor to the article it speaks of, and says aloud what a reader must know.
export function follow() {
  for (const cursor of document.querySelectorAll('i[id^="cur-c:"]')) {
    const { g, n, state } = cursor.dataset;
    if (state === "gone") showStrip("gone", say("gone"), say("newChat"), () => byId("rail-new").click());
    const article = g && byId(`m-${g}`);
    if (!article || !state) continue;
    const fraction = byId(`m-${g}-status`)?.firstElementChild?.dataset.p;
    if (fraction) article.dataset.p = fraction;
    const before = article.dataset.state;
    if (before !== state) {
      article.dataset.state = state;
      if (RUNNING.has(state)) article.setAttribute("aria-busy", "true");
      else article.removeAttribute("aria-busy");
      if (state === "thinking" || state === "writing") showLoaded(article);
      speakOf(state, article);
    }
    if (!RUNNING.has(state) && n) compareCount(article, g, Number(n));
  }
}

// A model that writes is loaded: the picker says so without asking.
function showLoaded(article) {
  const name = article.querySelector("h2").textContent;
  if (byId("picked")?.textContent === name) byId("picker").querySelector(".mark").dataset.state = "done";
}

const NEWS = { thinking: "thinking", writing: "started", loading: "loading", stopped: "stopped" };

function speakOf(state, article) {
  if (state === "failed") alertReader(say("failed"));
  else if (NEWS[state]) announce(say(NEWS[state]));
  else if (state === "done" || state === "limit") announce(say("finished", countWords(article)));
}

function countWords(article) {
  const text = article.querySelector(".prose").textContent;
  if (!("Segmenter" in Intl)) return text.split(/\s+/).filter(Boolean).length;
  let words = 0;
  for (const part of new Intl.Segmenter(document.documentElement.lang, { granularity: "word" }).segment(text)) {
    if (part.isWordLike) words += 1;
  }
  return words;
}

const asked = new Set();

// A finished answer with another number of blocks than the server has is fetched whole, once.
function compareCount(article, g, n) {
  if (byId(`m-${g}-body`).children.length === n || asked.has(g)) return;
  asked.add(g);
  const url = article.dataset.src;
  if (url) htmx.ajax("GET", url, { target: `#m-${g}`, swap: "outerHTML" });
}

document.addEventListener("htmx:wsAfterMessage", follow);

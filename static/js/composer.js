// The box to write in: its height, what Enter does, the draft that survives everything, and what a send leaves behind.
import { announce, byId, chatId, hideStrip, say, showStrip } from "./page.js";
import { signIn } from "./live.js";

const DRAFT_MS = 250;
const grows = CSS.supports("field-sizing", "content");
const isCoarse = matchMedia("(pointer: coarse)");
const text = () => byId("text");
const draftKey = () => `draft:${chatId() || "new"}`;

function fit() {
  const box = text();
  if (grows || !box) return;
  box.style.blockSize = "auto";
  box.style.blockSize = `${box.scrollHeight}px`;
}

// Storage may be full or forbidden: then the draft simply lives in the page.
function store(key, value) {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch { /* nothing to do */ }
}

function recall(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

let draftTimer = 0;
document.addEventListener("input", (event) => {
  if (event.target.id !== "text") return;
  fit();
  clearTimeout(draftTimer);
  draftTimer = setTimeout(saveDraft, DRAFT_MS);
});
addEventListener("pagehide", saveDraft);
document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.requestConfig.verb === "get") saveDraft(); });
document.addEventListener("htmx:historyCacheMiss", saveDraft);

function saveDraft() {
  clearTimeout(draftTimer);
  draftTimer = 0;
  if (text()) store(draftKey(), text().value);
}

function restoreDraft() {
  const box = text();
  if (!box) return;
  if (box.value) saveDraft();
  else box.value = recall(draftKey());
  fit();
  showKeys();
  showThink();
}

// What Enter does is written under the box; fingers send with the button.
function showKeys() {
  const hint = document.querySelector(".composer-hint");
  if (hint) hint.hidden = isCoarse.matches;
  text().enterKeyHint = isCoarse.matches ? "enter" : "send";
}

function submit() {
  const button = byId("send");
  if (!button || !text().value.trim()) return;
  byId("composer").requestSubmit(button);
}

const isComposing = (event) => event.isComposing || event.keyCode === 229 || event.key === "Process";

document.addEventListener("keydown", (event) => {
  if (isComposing(event)) return;
  if (event.key === "Enter" && event.target.id === "text") return enter(event);
  if (event.key === "Enter" && event.target.matches?.("#models input, #think-switch input")) return enterChoice(event);
  if (event.key === "Escape") return escape(event);
  if (event.key.toLowerCase() === "o" && event.shiftKey && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    byId("rail-new").click();
  }
});

function enter(event) {
  if (event.shiftKey) return;
  if (isCoarse.matches && !event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  submit();
}

// In a choice of the form Enter would press the form's first button, which is another message's.
function enterChoice(event) {
  event.preventDefault();
  if (event.target.name === "model") byId("models").hidePopover();
  else event.target.click();
}

// Closes the top layer (the browser does), else stops the answer, else leaves the field.
function escape(event) {
  if (document.querySelector(":popover-open, dialog[open]")) return;
  if (!event.target.closest?.("#composer, #messages")) return;
  const stop = byId("stop");
  if (stop) stop.click();
  else event.target.blur();
}

document.addEventListener("click", (event) => {
  const suggestion = event.target.closest("[data-suggest]");
  if (!suggestion || !text()) return;
  event.preventDefault();
  kept = text().value;
  text().value = suggestion.value;
  submit();
});

// What was typed while the message was on its way belongs to the next one, and so does what stood there before a suggestion.
let sent = "";
let kept = "";
let rest = null;
const isSend = (event) => event.detail.requestConfig?.path.endsWith("/send");

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!isSend(event)) return;
  sent = text().value;
  if (!sent.trim()) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (!isSend(event) || !event.detail.shouldSwap || event.detail.xhr.status !== 200) return;
  hideStrip("error");
  const now = text().value;
  rest = kept + (now.startsWith(sent) ? now.slice(sent.length).trimStart() : now);
  kept = "";
  clearTimeout(draftTimer);
  store(draftKey(), "");
  store("draft:new", "");
  store(`draft:${event.detail.requestConfig.path.split("/").at(-2)}`, "");
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (rest === null || !isSend(event)) return;
  const box = text();
  if (box.value !== rest) box.value = rest;
  rest = null;
  fit();
  saveDraft();
});

// A failure leaves the page as it was, the words in the box, and says so.
function failed(event, sentence) {
  const { elt } = event.detail;
  const again = () => (elt.matches("form") ? submit() : elt.click());
  hideStrip("error");
  showStrip("error", sentence, say("retry"), () => {
    hideStrip("error");
    again();
  });
}

document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) return signIn();
  failed(event, say("refused", event.detail.xhr.status));
});
document.addEventListener("htmx:sendError", (event) => failed(event, say("unreachable")));

// Which model answers next: the button in the header says so, and whether it can think.
document.addEventListener("change", (event) => {
  if (event.target.name !== "model") return;
  byId("picked").textContent = event.target.value;
  byId("picker").querySelector(".mark").dataset.state = event.target.dataset.loaded;
  showThink();
  announce(event.target.value);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#models label") && event.detail > 0) byId("models").hidePopover();
});

function showThink() {
  const picked = document.querySelector('#models input[name="model"]:checked');
  const toggle = byId("think-switch");
  if (picked && toggle) toggle.hidden = picked.dataset.think !== "1";
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-sign-out]")) return;
  text()?.remove();
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith("draft:")) localStorage.removeItem(key);
  } catch { /* nothing is stored then */ }
});

document.addEventListener("htmx:load", (event) => { if (event.detail.elt.id === "main") restoreDraft(); });
document.addEventListener("htmx:historyRestore", restoreDraft);
restoreDraft();

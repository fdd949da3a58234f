// Around the chat: token of the forms, which chat is current, the rail on phones, theme, dialogs, long messages, keyboard room.
import { byId, chatId, say } from "./page.js";

const token = document.querySelector('meta[name="csrf-token"]').content;

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = token;
});

// The server renders rail items for all tabs; which one is open only this tab knows.
function markCurrent() {
  for (const link of document.querySelectorAll("#rail a.rail-item")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

document.addEventListener("htmx:pushedIntoHistory", markCurrent);
document.addEventListener("htmx:historyRestore", markCurrent);
document.addEventListener("htmx:wsAfterMessage", markCurrent);
document.addEventListener("htmx:afterSettle", markCurrent);

// After navigation the heading has the focus, except in a new chat on a desk, where one begins to write.
document.addEventListener("htmx:afterSettle", (event) => {
  const { requestConfig } = event.detail;
  if (event.detail.elt?.id !== "main" || requestConfig?.verb !== "get") return;
  closeRail();
  arriveAt();
});
document.addEventListener("htmx:historyRestore", arriveAt);

function arriveAt() {
  const isFresh = !chatId();
  if (isFresh && matchMedia("(pointer: fine)").matches) byId("text")?.focus();
  else document.querySelector("#main h1")?.focus({ preventScroll: true });
}

if (!chatId() && matchMedia("(pointer: fine)").matches) byId("text")?.focus();

// Rail: a drawer on phones, foldable on desks.
const rail = byId("rail");
const menuButton = document.querySelector("[data-rail]");
const foldButton = document.querySelector("[data-fold]");
const isDrawer = matchMedia("(max-width: 1199.98px)");

function openRail() {
  rail.dataset.open = "";
  menuButton.setAttribute("aria-expanded", "true");
  for (const part of document.querySelectorAll("#main, #brand, .skip")) part.inert = true;
  history.pushState({ ...history.state, rail: true }, "");
  rail.querySelector("a, button").focus();
}

// The step back closes the drawer; htmx, whose handler comes after this one, must not take it for navigation.
addEventListener("popstate", (event) => {
  if (!("open" in rail.dataset)) return;
  event.stopImmediatePropagation();
  closeRail();
  menuButton.focus();
});

function closeRail() {
  if (!("open" in rail.dataset)) return;
  delete rail.dataset.open;
  menuButton.setAttribute("aria-expanded", "false");
  for (const part of document.querySelectorAll("#main, #brand, .skip")) part.inert = false;
}

function leaveRail() {
  if ("open" in rail.dataset) history.back();
}

menuButton.addEventListener("click", openRail);
document.querySelector("[data-rail-close]").addEventListener("click", leaveRail);
isDrawer.addEventListener("change", closeRail);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector(":popover-open")) leaveRail();
  if (event.key.toLowerCase() === "b" && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
    event.preventDefault();
    if (isDrawer.matches) menuButton.click();
    else fold();
  }
});
document.addEventListener("click", (event) => {
  if ("open" in rail.dataset && event.target === document.body) leaveRail();
});

function fold() {
  const isFolded = document.body.toggleAttribute("data-folded");
  foldButton.setAttribute("aria-pressed", String(isFolded));
  foldButton.setAttribute("aria-label", say(isFolded ? "showChats" : "hideChats"));
}
foldButton.addEventListener("click", fold);

// Theme: at once here, remembered by the server for the next page.
document.querySelector("[data-theme-form]").addEventListener("submit", (event) => {
  event.preventDefault();
  const { submitter } = event;
  document.documentElement.dataset.theme = submitter.value;
  for (const button of event.target.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === submitter));
  const body = new FormData(event.target, submitter);
  fetch(event.target.action, { method: "POST", body, headers: { "HX-Request": "true" } }).catch(() => {});
});

// Whatever htmx puts into the dialog is shown as one.
const dialog = byId("dialog");
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === dialog && dialog.childElementCount && !dialog.open) dialog.showModal();
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) event.target.closest("dialog, [popover]")?.close?.();
});
dialog.addEventListener("close", () => dialog.replaceChildren());

// Times are the reader's, whatever clock the server has.
const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });

function localize() {
  for (const time of document.querySelectorAll("time.when:not([data-local])")) {
    time.textContent = clock.format(new Date(time.dateTime));
    time.dataset.local = "";
  }
}
for (const name of ["htmx:afterSettle", "htmx:wsAfterMessage", "htmx:historyRestore"]) document.addEventListener(name, localize);
localize();
document.cookie = `llmsite_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;

// A long message of one's own is folded until asked for.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-unfold]");
  if (!button) return;
  const isOpen = button.parentElement.toggleAttribute("data-open");
  button.setAttribute("aria-expanded", String(isOpen));
  button.textContent = say(isOpen ? "showLess" : "showAll");
});

// Where the on-screen keyboard covers the page instead of making it smaller, the composer moves up by its height.
const view = window.visualViewport;
view?.addEventListener("resize", () => {
  const isWriting = document.activeElement?.matches("textarea, input") && view.scale === 1;
  const covered = isWriting ? Math.max(0, innerHeight - view.height - view.offsetTop) : 0;
  document.documentElement.style.setProperty("--kb", `${covered}px`);
});

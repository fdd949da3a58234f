// Who moves the view: the reader. `isPinned` changes by the reader's own input only, never by what the layout does.
// A sent question goes to the top and its answer grows in place (Hold); Jump or scrolling to the end follows the text.
import { byId, chatId } from "./page.js";

const NEAR_END_PX = 24;
const TOP_PX = 16;
const scroller = () => byId("scroller");
let isPinned = false;
let lastInput = -Infinity;
const touched = () => { lastInput = performance.now(); };

const unpin = () => { isPinned = false; };
const spaceBelow = (box) => box.scrollHeight - box.clientHeight - box.scrollTop;
const inScroller = (event) => event.target instanceof Element && event.target.closest("#scroller");

addEventListener("wheel", (event) => {
  if (!inScroller(event)) return;
  touched();
  if (event.deltaY < 0) unpin();
}, { passive: true });
addEventListener("touchmove", (event) => {
  if (!inScroller(event)) return;
  touched();
  unpin();
}, { passive: true });
addEventListener("pointerdown", (event) => {
  const box = scroller();
  if (event.target === box && event.offsetX > box.clientWidth) {
    touched();
    unpin();
  }
});
addEventListener("keydown", (event) => {
  if (event.target.matches?.("textarea, input")) return;
  if (["PageUp", "Home", "ArrowUp"].includes(event.key)) unpin();
  if (["PageUp", "PageDown", "Home", "End", "ArrowUp", "ArrowDown", " "].includes(event.key)) touched();
});
document.addEventListener("selectionchange", () => {
  const selection = getSelection();
  if (!selection.isCollapsed && byId("messages")?.contains(selection.anchorNode)) unpin();
});
document.addEventListener("focusin", (event) => {
  const article = event.target.closest?.("#messages > .turn");
  if (article?.nextElementSibling) unpin();
});

document.addEventListener("scroll", (event) => {
  if (event.target !== scroller()) return;
  if (performance.now() - lastInput < 1000 && spaceBelow(event.target) <= NEAR_END_PX) isPinned = true;
  remember();
  showJump();
}, { capture: true, passive: true });

function toEnd() {
  const box = scroller();
  if (box) box.scrollTop = box.scrollHeight;
}

// Text below the composer's upper edge that the reader has not been shown.
function showJump() {
  const jump = byId("jump");
  const last = byId("messages")?.lastElementChild;
  if (!jump || !last) return;
  const box = last.querySelector(".prose, .said") ?? last;
  const end = Math.max(box.getBoundingClientRect().bottom, endOfStatus(last));
  jump.hidden = isPinned || end <= byId("composer").getBoundingClientRect().top + NEAR_END_PX;
}

const endOfStatus = (article) => article.querySelector(".turn-status")?.getBoundingClientRect().bottom ?? 0;

export function grown() {
  if (isPinned) toEnd();
  showJump();
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("#jump")) return;
  isPinned = true;
  toEnd();
  showJump();
  byId("text")?.focus({ preventScroll: true });
});

// The last turn is given the height of the view, so that its question can stand at the top from the first word on.
function hold() {
  const box = scroller();
  const question = [...document.querySelectorAll('#messages > [data-role="user"]')].at(-1);
  const answer = question?.nextElementSibling;
  if (!box || !answer) return;
  const room = box.clientHeight - byId("composer").offsetHeight - question.offsetHeight - TOP_PX;
  byId("messages").style.setProperty("--hold", `${Math.max(room, 0)}px`);
  box.scrollTop += question.getBoundingClientRect().top - box.getBoundingClientRect().top - TOP_PX;
  unpin();
  showJump();
}

const places = new Map();

function remember() {
  if (!chatId()) return;
  places.set(chatId(), scroller().scrollTop);
  try {
    sessionStorage.setItem(`place:${chatId()}`, String(scroller().scrollTop));
  } catch { /* the place is then forgotten at reload */ }
}

// Where the reader was in this chat, else its end.
function arrive() {
  const box = scroller();
  if (!box) return;
  unpin();
  let place = places.get(chatId());
  try {
    place ??= sessionStorage.getItem(`place:${chatId()}`);
  } catch { /* as above */ }
  box.scrollTop = place ?? box.scrollHeight;
  showJump();
}

const isSend = (event) => event.detail.requestConfig?.path?.endsWith("/send");

document.addEventListener("htmx:afterSettle", (event) => {
  if (isSend(event)) hold();
});
document.addEventListener("htmx:load", (event) => {
  if (event.detail.elt.id === "main") arrive();
});
document.addEventListener("htmx:historyRestore", arrive);
document.addEventListener("htmx:wsAfterMessage", grown);
addEventListener("resize", showJump);
arrive();

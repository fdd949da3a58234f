// Downloads beside every page: how far they are while the tab is hidden and for screen readers, the dock's fold, and where the
// focus goes when a row goes.
import { alertReader, announce, byId } from "./page.js";

const KEY = "llmsite-dock-folded";
const PREFIX = /^\d+% · /;
const STEP = 25;
const CHANGES = ["htmx:wsAfterMessage", "htmx:afterSettle"];

// The percentage stands in the tab's title only while nobody looks at the page.
function showInTitle() {
  const bare = document.title.replace(PREFIX, "");
  const percent = byId("cur-pulls")?.dataset.percent;
  document.title = document.hidden && percent !== undefined ? `${percent}% · ${bare}` : bare;
}
for (const name of [...CHANGES, "visibilitychange"]) document.addEventListener(name, showInTitle);

// Each quarter and each end is said once. What was there when the page came is known.
const told = new Map();

function tell() {
  const isFirst = told.size === 0 && document.readyState !== "complete";
  const rows = [...document.querySelectorAll("#dock-rows > .pull")];
  for (const row of rows) {
    const { state } = row.dataset;
    const step = Math.floor((row.querySelector("progress")?.value ?? 0) / STEP) * STEP;
    const before = told.get(row.id);
    told.set(row.id, { state, step });
    if (isFirst || (before?.state === state && before.step === step)) continue;
    const name = row.querySelector("h3").textContent;
    const words = row.querySelector("h3 + p").textContent.trim();
    if (state === "failed") alertReader(`${name}: ${words}`);
    else if (before?.state !== state) announce(`${name}: ${words}`);
    else if (state === "loading") announce(`${name}: ${step}%`);
  }
  const ids = new Set(rows.map((row) => row.id));
  for (const id of told.keys()) if (!ids.has(id)) told.delete(id);
}
for (const name of CHANGES) document.addEventListener(name, tell);
tell();

function fold(isFolded) {
  const dock = byId("dock");
  if (!dock) return;
  dock.toggleAttribute("data-folded", isFolded);
  dock.querySelector("[data-fold-dock]").setAttribute("aria-expanded", String(!isFolded));
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-fold-dock]")) return;
  const isFolded = !byId("dock").hasAttribute("data-folded");
  fold(isFolded);
  sessionStorage.setItem(KEY, isFolded ? "1" : "");
});
fold(sessionStorage.getItem(KEY) === "1");

// A button that is gone after it was pressed leaves the focus to what its row has now, else to the neighbour's, else to the heading.
let pressed = null;

document.addEventListener("htmx:beforeRequest", (event) => {
  const row = event.target.closest?.(".pull");
  if (!row) return;
  const neighbour = row.nextElementSibling ?? row.previousElementSibling;
  pressed = [row.id, neighbour?.id];
});
document.addEventListener("htmx:afterRequest", () => {
  if (!pressed) return;
  const ids = pressed;
  pressed = null;
  setTimeout(() => {
    if (document.activeElement && document.activeElement !== document.body) return;
    const next = ids.map((id) => id && byId(id)?.querySelector(".acts button")).find(Boolean);
    (next ?? document.querySelector("#main h1"))?.focus({ preventScroll: true });
  });
});

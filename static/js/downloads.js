// Downloads beside every page: how far they are while the tab is hidden, and the dock's fold.
import { byId } from "./page.js";

const KEY = "llmsite-dock-folded";
const PREFIX = /^\d+% · /;

// The percentage stands in the tab's title only while nobody looks at the page.
function showInTitle() {
  const bare = document.title.replace(PREFIX, "");
  const percent = byId("cur-pulls")?.dataset.percent;
  document.title = document.hidden && percent !== undefined ? `${percent}% · ${bare}` : bare;
}
for (const name of ["htmx:wsAfterMessage", "htmx:afterSettle", "visibilitychange"]) document.addEventListener(name, showInTitle);

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

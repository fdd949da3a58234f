// The look ahead of the pull form: what the name in the field means, asked when the typing pauses. htmx would report each question
// that is given up as an error, so it is asked by hand.
import { announce, byId } from "./page.js";
import { applyBatch } from "./swap.js";

const PAUSE_MS = 500;

let timer = 0;
let question = null;

function giveUp() {
  clearTimeout(timer);
  question?.abort();
  question = null;
  byId("pull-form")?.removeAttribute("data-looking");
}

async function look() {
  giveUp();
  const form = byId("pull-form");
  const mine = new AbortController();
  question = mine;
  form.dataset.looking = "";
  try {
    const { preview } = byId("pull-name").dataset;
    const response = await fetch(preview, { method: "POST", body: new FormData(form), headers: { "HX-Request": "true" }, signal: mine.signal });
    const html = response.ok ? await response.text() : "";
    if (question !== mine) return;
    if (html) applyBatch(html);
    const found = byId("pull-outlook").querySelector("header, p");
    if (found) announce(found.textContent.replace(/\s+/g, " ").trim());
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof TypeError)) throw error; // a lost connection has its own strip
  } finally {
    if (question === mine) giveUp();
  }
}

// What was found out about one name says nothing about the next.
document.addEventListener("input", (event) => {
  if (event.target.id !== "pull-name") return;
  giveUp();
  byId("pull-go").disabled = false;
  timer = setTimeout(look, PAUSE_MS);
});
document.addEventListener("change", (event) => {
  if (!event.target.matches('#pull-outlook input[name="offer"]')) return;
  byId("pull-name").value = event.target.value;
  look();
});
document.addEventListener("htmx:beforeRequest", (event) => { if (event.target.id === "pull-form") giveUp(); });
document.addEventListener("htmx:afterSettle", () => { if (question && !byId("pull-form")) giveUp(); });

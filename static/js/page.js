// What the other modules share: elements by id, the page's sentences, the strip under the header, the announcer.

export const byId = (id) => document.getElementById(id);

const sentences = byId("words").dataset;

// A sentence in the reader's language; {} is replaced by the figure.
export const say = (key, figure = "") => (sentences[key] ?? "").replace("{}", figure);

// The id of the chat on the page, "" on a new chat that the server has not stored yet. It stands inside main, since going back
// in history replaces what is in main and not main itself.
export const chatId = () => byId("scroller")?.dataset.chat ?? "";

export const isBusy = () => document.querySelector('#messages > [aria-busy="true"]') !== null;

// Strip under the header: one at a time, by kind; the more important kind is not overwritten.
export function showStrip(kind, text, action, onAction) {
  const banner = byId("banner");
  if (!banner || banner.dataset.kind === kind) return;
  const strip = document.createElement("p");
  strip.className = "strip";
  const mark = document.createElement("i");
  mark.className = "mark";
  mark.dataset.state = kind === "error" ? "failed" : kind === "polling" ? "waiting" : "reading";
  mark.setAttribute("aria-hidden", "true");
  const words = document.createElement("span");
  words.textContent = text;
  strip.append(mark, words);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn--s";
    button.textContent = action;
    button.addEventListener("click", onAction);
    strip.append(button);
  }
  banner.replaceChildren(strip);
  banner.dataset.kind = kind;
  if (kind === "error") alertReader(text);
}

export function hideStrip(...kinds) {
  const banner = byId("banner");
  if (!banner || !kinds.includes(banner.dataset.kind)) return;
  banner.replaceChildren();
  delete banner.dataset.kind;
}

// The only two live regions. Clearing first makes a repeated sentence heard again.
function speak(region, text) {
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50);
}

export const announce = (text) => speak(byId("announce"), text);
export const alertReader = (text) => speak(byId("alert"), text);

let toastTimer;
export function toast(text) {
  const box = byId("toasts");
  const note = document.createElement("div");
  note.className = "toast";
  note.textContent = text;
  box.replaceChildren(note);
  announce(text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.replaceChildren(), 2500);
}
// What a request could not do, said by its answer.
document.addEventListener("llmsite:toast", (event) => toast(event.detail.value));

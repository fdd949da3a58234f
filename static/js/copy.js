// Copy, wrap and download. The clipboard needs a secure context; on plain http an old command does it, and where that fails
// the text is shown, selected, to be copied by hand.
import { byId, say, toast } from "./page.js";

async function put(text) {
  if (navigator.clipboard && isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* not allowed here: try the old way */ }
  }
  return putTheOldWay(text);
}

function putTheOldWay(text) {
  const focused = document.activeElement;
  const box = document.createElement("textarea");
  box.className = "vh";
  box.value = text;
  document.body.append(box);
  box.select();
  const isDone = document.execCommand("copy");
  box.remove();
  focused?.focus({ preventScroll: true });
  return isDone;
}

function showForHand(text) {
  const dialog = byId("dialog");
  const heading = document.createElement("h2");
  heading.id = "dialog-title";
  heading.textContent = say("copyByHand");
  const header = document.createElement("header");
  header.append(heading);
  const box = document.createElement("textarea");
  box.className = "input mono";
  box.rows = 10;
  box.readOnly = true;
  box.value = text;
  box.setAttribute("aria-labelledby", "dialog-title");
  const body = document.createElement("div");
  body.append(box);
  const close = document.createElement("button");
  close.className = "btn";
  close.type = "button";
  close.dataset.close = "";
  close.textContent = say("close");
  const footer = document.createElement("footer");
  footer.append(close);
  dialog.replaceChildren(header, body, footer);
  dialog.showModal();
  box.select();
}

async function copy(text, button) {
  if (!(await put(text))) return showForHand(text);
  toast(say("copied"));
  const use = button.querySelector("use");
  if (!use) return;
  const before = use.getAttribute("href");
  if (before === "#i-check") return;
  use.setAttribute("href", "#i-check");
  setTimeout(() => use.setAttribute("href", before), 1500);
}

const codeOf = (button) => button.closest(".code")?.querySelector("pre code")?.textContent.replace(/\n$/, "") ?? "";

// An answer is copied as it was written, from the server; the page's own text serves when the server cannot be reached.
async function sourceOf(button) {
  try {
    const response = await fetch(button.dataset.copy, { headers: { "HX-Request": "true" } });
    if (response.ok) return await response.text();
  } catch { /* below */ }
  return button.closest("article").querySelector(".prose").innerText;
}

function download(button) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([codeOf(button)], { type: "text/plain" }));
  link.download = `code.${button.dataset.download || "txt"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button");
  if (!button) return;
  if ("copyCode" in button.dataset) await copy(codeOf(button), button);
  else if ("copy" in button.dataset) await copy(await sourceOf(button), button);
  else if ("download" in button.dataset) download(button);
  else if ("wrap" in button.dataset) {
    const isWrapped = button.closest(".code").toggleAttribute("data-wrap");
    button.setAttribute("aria-pressed", String(isWrapped));
  }
});

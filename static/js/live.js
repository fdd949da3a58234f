// The tab's one socket: subscriptions with a cursor, reconnecting, and polling where no socket opens.
// The extension only makes the socket and applies batches; when to connect again is decided here, by any close code.
/* global htmx */
import { byId, chatId, hideStrip, isBusy, say, showStrip } from "./page.js";
import { applyBatch } from "./swap.js";

const DELAYS = [500, 1000, 2000, 4000, 8000, 15000];
const PING_MS = 25_000;
const DEAD_MS = 40_000;
const POLL_AFTER_MS = 6_000;
const POLL_PAUSE_MS = 200;
const NEW_CHAT_MS = 500;
const SOCKET_AGAIN_MS = 60_000;
const STRIP_AFTER_MS = 2_000;
const NEVER_MS = 2 ** 31 - 1;
const SESSION_ENDED = 4401;
const NOT_ALLOWED = 4403;
const BUILD_CHANGED = 4409;

const live = byId("live");
let socket = null;
let wrapper = null;
let failures = 0;
let lastFrame = Date.now();
let reconnectTimer = 0;
let stripTimer = 0;
let topic = "";
let isEnded = false;
let poll = null;

htmx.config.wsReconnectDelay = () => NEVER_MS;
htmx.createWebSocket = (url) => {
  socket = new WebSocket(url);
  return socket;
};

const isOpen = () => socket?.readyState === WebSocket.OPEN;
const send = (message) => { if (isOpen()) socket.send(JSON.stringify(message)); };
const chatTopic = () => (chatId() ? `c:${chatId()}` : "");

export function cursorOf(name) {
  const { g, n, seq } = byId(`cur-${name}`)?.dataset ?? {};
  return g ? { g, n: Number(n), seq: Number(seq) } : undefined;
}

// The dock is there for those who may see it.
const DOWNLOADS = "pulls";
const hasDownloads = () => byId("dock") !== null;

// Tells the server which chat the page shows and up to where; also after each answer over HTTP that brought a new cursor.
function subscribe() {
  const next = chatTopic();
  if (topic && topic !== next) send({ t: "unsub", topic });
  topic = next;
  if (topic) send({ t: "sub", topic, cur: cursorOf(topic) });
}

live.addEventListener("htmx:wsOpen", (event) => {
  wrapper = event.detail.socketWrapper;
  failures = 0;
  lastFrame = Date.now();
  clearTimeout(stripTimer);
  stripTimer = 0;
  hideStrip("reconnecting", "offline", "polling");
  stopPolling();
  send({ t: "hello", v: live.dataset.build, tab: live.dataset.tab });
  const person = live.dataset.userTopic;
  send({ t: "sub", topic: person, cur: cursorOf(person) });
  if (hasDownloads()) send({ t: "sub", topic: DOWNLOADS, cur: cursorOf(DOWNLOADS) });
  topic = "";
  subscribe();
  if (document.hidden) send({ t: "vis", hidden: true });
});

live.addEventListener("htmx:wsBeforeMessage", () => { lastFrame = Date.now(); });

live.addEventListener("htmx:wsClose", (event) => {
  if (event.detail.event.target !== socket) return; // one that we replaced
  wrapper = event.detail.socketWrapper;
  const { code } = event.detail.event;
  if (code === SESSION_ENDED) return signIn();
  if (code === NOT_ALLOWED) return end();
  if (code === BUILD_CHANGED) {
    end();
    return showStrip("version", say("newVersion"), say("reload"), () => location.reload());
  }
  failures += 1;
  if (failures >= 2) startPolling();
  else showLostSoon();
  reconnectLater();
});

function end() {
  isEnded = true;
  stopPolling();
}

export function signIn() {
  end();
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
}

function showLostSoon() {
  if (stripTimer || poll) return;
  stripTimer = setTimeout(() => {
    if (isOpen() || poll) return;
    if (!navigator.onLine) showStrip("offline", say("offline"));
    else if (isBusy()) showStrip("reconnecting", say("reconnecting"));
  }, STRIP_AFTER_MS);
}

function reconnectLater() {
  clearTimeout(reconnectTimer);
  if (isEnded) return;
  const base = poll ? SOCKET_AGAIN_MS : DELAYS[Math.min(failures - 1, DELAYS.length - 1)];
  reconnectTimer = setTimeout(reconnectNow, base * (0.75 + Math.random() / 2));
}

function reconnectNow() {
  clearTimeout(reconnectTimer);
  if (isEnded || !wrapper || socket.readyState === WebSocket.CONNECTING) return;
  wrapper.reconnect();
}

// After sleep, a change of network or a step back in history the socket may be dead without knowing it.
function checkSocket() {
  if (!isOpen()) reconnectNow();
  else if (Date.now() - lastFrame > DEAD_MS) reconnectNow();
  else send({ t: "ping" });
}

document.addEventListener("visibilitychange", () => {
  send({ t: "vis", hidden: document.hidden });
  if (!document.hidden) checkSocket();
});
addEventListener("online", checkSocket);
addEventListener("offline", showLostSoon);
addEventListener("pageshow", (event) => { if (event.persisted) checkSocket(); });
setInterval(() => send({ t: "ping" }), PING_MS);
setInterval(() => { if (isOpen() && Date.now() - lastFrame > DEAD_MS) reconnectNow(); }, 5_000);
setTimeout(() => { if (!isOpen()) startPolling(); }, POLL_AFTER_MS);

// Another chat, a sent message or a regenerated answer: the cursor in the page is newer than what the server knows.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.requestConfig) subscribeAnew();
});
document.addEventListener("htmx:historyRestore", subscribeAnew);

function subscribeAnew() {
  if (isOpen()) subscribe();
  for (const each of poll ?? []) each.abort();
}

function startPolling() {
  if (poll || isEnded) return;
  clearTimeout(stripTimer);
  hideStrip("reconnecting");
  poll = [pollForever(chatTopic)];
  if (hasDownloads()) poll.push(pollForever(() => DOWNLOADS));
}

function stopPolling() {
  const running = poll ?? [];
  poll = null;
  for (const each of running) each.end();
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// One held request after another. An abort means that the page moved on: it is asked again with the new cursor.
function pollForever(topicOf) {
  const loop = { tries: 0, isOver: false, abort: () => loop.controller?.abort() };
  loop.end = () => {
    loop.isOver = true;
    loop.abort();
  };
  run(loop, topicOf);
  return loop;
}

async function run(loop, topicOf) {
  while (!loop.isOver) {
    loop.controller = new AbortController();
    if (!topicOf()) {
      await pause(NEW_CHAT_MS);
      continue;
    }
    try {
      const text = await pollOnce(topicOf(), loop.controller.signal);
      if (loop.isOver) return;
      loop.tries = 0;
      hideStrip("offline");
      showStrip("polling", say("polling"));
      if (text) {
        applyBatch(text);
        await pause(POLL_PAUSE_MS);
      }
    } catch (error) {
      if (error.name === "AbortError") continue;
      if (!navigator.onLine) showStrip("offline", say("offline"));
      await pause(DELAYS[Math.min(loop.tries, DELAYS.length - 1)]);
      loop.tries += 1;
    }
  }
}

async function pollOnce(name, signal) {
  const query = new URLSearchParams({ topic: name });
  const cursor = cursorOf(name);
  if (cursor) query.set("cur", JSON.stringify(cursor));
  const response = await fetch(`${live.dataset.poll}?${query}`, { signal, headers: { "HX-Request": "true" }, cache: "no-store" });
  if (response.status === 401) signIn();
  if (!response.ok) throw new Error(String(response.status));
  return response.text();
}

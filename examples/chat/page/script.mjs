import { WebPubSubClient } from "@azure/web-pubsub-client";

const byId = (id) => document.getElementById(id);
const [entrance, chat, speech] = ["entrance", "chat", "speech"].map(byId);

let client;
let room;
let messages;

onSubmit(entrance, async ({ name, room: chosen }) => {
  client = new WebPubSubClient({ getClientAccessUrl: () => negotiate(name) });
  client.on("connected", () => isIn() && attempt(() => enter(room)));
  client.on("disconnected", () => showStatus("connecting again \u2026"));
  client.on("stopped", () => showChat(false));
  client.on("group-message", ({ message }) => message.group === room && show(message.data));
  await client.start();
  try {
    await enter(chosen.trim());
  } catch (error) {
    client.stop();
    throw error;
  }
});

onSubmit(byId("switch"), ({ room: chosen }) => enter(chosen.trim()));

onSubmit(speech, async ({ text }) => {
  await client.sendEvent("message", text, "text");
  speech.reset();
});

byId("leave").addEventListener("click", leave);
addEventListener("pagehide", leave);

async function negotiate(name) {
  const response = await fetch(`negotiate?${new URLSearchParams({ name })}`);
  if (!response.ok) {
    throw new Error(await response.text());
  }
  return (await response.json()).url;
}

/** Goes to a room, also to the same again when the connection is a new one. */
async function enter(chosen) {
  const before = { room, messages };
  if (chosen !== room) {
    [room, messages] = [chosen, new Map()];
  }
  try {
    const { data } = await client.invokeEvent("join", { room }, "json");
    show({ names: data.names }, ...data.history.map((message) => ({ message })));
  } catch (error) {
    ({ room, messages } = before);
    throw error;
  }
  byId("switch").elements.room.value = room;
  showStatus("");
  showChat(true);
}

/** Says so, since the service keeps the place of a page that only disappears: its network may come back. */
function leave() {
  if (isIn()) {
    client.sendEvent("leave", "", "text", { fireAndForget: true }).catch(() => {});
    client.stop();
  }
}

/** Shows what a room is sent: a message, or the names of those who are in it. */
function show(...news) {
  for (const { names, message } of news) {
    if (names) {
      byId("names").replaceChildren(...names.map((name) => element("li", name)));
    } else {
      messages.set(message.time, message);
    }
  }
  const inOrder = [...messages.values()].sort((a, b) => a.time - b.time);
  byId("messages").replaceChildren(...inOrder.map(rendered));
  byId("messages").lastElementChild?.scrollIntoView();
}

function rendered({ from, text, time }) {
  const item = element("li", "");
  item.append(element("strong", from), " ", element("time", new Date(time).toLocaleTimeString()), element("div", text));
  return item;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function isIn() {
  return !chat.hidden;
}

function showChat(isShown) {
  chat.hidden = !isShown;
  entrance.hidden = isShown;
}

function showStatus(text) {
  byId("status").textContent = text;
}

/** Does something with the fields of a form when it is sent, one thing at a time. */
function onSubmit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    await attempt(() => work(Object.fromEntries(new FormData(form))));
    button.disabled = false;
  });
}

/** Shows what is wrong if something is. */
async function attempt(work) {
  const error = byId("error");
  try {
    await work();
    error.hidden = true;
  } catch ({ errorDetail, message }) {
    error.textContent = errorDetail?.message ?? message;
    error.hidden = false;
  }
}

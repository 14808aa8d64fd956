// The chat of the examples, started by its own command and used by people at two browsers.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { Chat, Person } from "./chat.mjs";
import { startChromium } from "./chromium.mjs";

const WAIT_MS = 10_000;

let browser;
let chat;

before(async () => {
  [browser, chat] = await Promise.all([startChromium(), Chat.start()]);
});

after(async () => {
  await browser?.close();
  await chat?.stop();
});

afterEach((context) => chat.showLogOfFailure(context));

test("two people chat, one leaves and the other sees it", async () => {
  const [alice, bob] = [await enter("alice", "lobby"), await enter("Zo\u00eb", "lobby")];
  await alice.sees("names", ["Zo\u00eb", "alice"]);
  await bob.sees("names", ["Zo\u00eb", "alice"]);

  await alice.says("Hello <b>Zo\u00eb</b>");
  await bob.sees("messages", ["alice: Hello <b>Zo\u00eb</b>"]);
  await bob.says("Hello alice");
  for (const person of [alice, bob]) {
    await person.sees("messages", ["alice: Hello <b>Zo\u00eb</b>", "Zo\u00eb: Hello alice"]);
  }

  await bob.page.getByRole("button", { name: "Leave" }).click();
  await bob.page.getByLabel("Your name").waitFor();
  await alice.sees("names", ["alice"]);
  await alice.page.context().close();
  await bob.page.context().close();
});

test("whoever comes later sees what was said, and only in that room", async () => {
  const alice = await enter("alice", "history");
  await alice.says("I was here");
  const bob = await enter("bob", "history");
  await bob.sees("messages", ["alice: I was here"]);

  await bob.goesTo("elsewhere");
  await bob.sees("messages", []);
  await bob.sees("names", ["bob"]);
  await alice.sees("names", ["alice"]);
  await alice.says("Where are you?");
  await bob.goesTo("history");
  await bob.sees("messages", ["alice: I was here", "alice: Where are you?"]);
  await bob.page.close({ runBeforeUnload: true });
  await alice.sees("names", ["alice"]);
  await alice.page.context().close();
});

test("what is wrong is shown", async () => {
  const nameless = await enter("@", "lobby");
  await nameless.isTold(/^A name has/);
  const roomless = await enter("alice", "a/b");
  await roomless.isTold(/^A room has/);
  await roomless.page.getByLabel("Your name").waitFor();
  for (const person of [nameless, roomless]) {
    await person.page.context().close();
  }
});

test("nobody but the service tells the chat of events", async () => {
  const headers = { "ce-awpsversion": "1.0", "ce-type": "azure.webpubsub.user.message", "ce-connectionId": "me" };
  const forged = { "ce-signature": `sha256=${"0".repeat(64)}`, ...headers };
  for (const path of ["eventhandler", "EventHandler/", "eventhandler/message"]) {
    for (const sent of [headers, forged]) {
      const response = await fetch(chat.url + path, { method: "POST", headers: sent });
      assert.equal(response.status, 401);
    }
  }
});

/** Somebody at a page of the chat, who has filled in the form at its entrance. */
async function enter(name, room) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  await page.goto(chat.url);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("textbox", { name: "Room" }).fill(room);
  await page.getByRole("button", { name: "Enter" }).click();
  return new Person(page);
}

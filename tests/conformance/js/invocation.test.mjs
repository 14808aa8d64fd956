// Invocations by the official client, answered by the official middleware.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { InvocationError } from "@azure/web-pubsub-client";

import { Application } from "./application.mjs";
import { fromServer, Hub, PROTOCOLS } from "./sdk.mjs";
import { Service } from "./service.mjs";

/** Results with what the middleware is told to answer. */
const RESULTS = [
  ["text", "4 \u20ac", "4 \u20ac"],
  ["json", { price: 4 }, '{"price":4}'],
  ["binary", new Uint8Array([0, 255]).buffer, Buffer.from([0, 255])],
];

/** Answers that are failures, with the error that the client gets for each. */
const FAILURES = [
  [409, '{"name":"OutOfStock","message":"no tea left"}', { name: "OutOfStock", message: "no tea left" }],
  [400, '{"code":"BadTea","message":"which tea?"}', { name: "BadTea", message: "which tea?" }],
  [400, "which tea?", { name: "BadRequest" }],
  [401, "", { name: "Unauthorized" }],
  [403, "", { name: "Forbidden" }],
  [500, "", { name: "InternalServerError" }],
];

let application;
let service;
let hub;

before(async () => {
  application = await Application.start();
  service = await Service.start(application.configuration);
});

after(async () => {
  await service?.stop();
  application?.stop();
});

beforeEach(() => {
  hub = new Hub(service);
});

afterEach(async (context) => {
  await hub.close();
  service.showLogOfFailure(context);
});

for (const protocol of Object.keys(PROTOCOLS)) {
  describe(protocol, () => {
    for (const [dataType, data, answer] of RESULTS) {
      test(`an invocation has a result of ${dataType}`, async () => {
        const handled = application.handle(hub.name, { event: (_, response) => response.success(answer, dataType) });
        const client = await hub.open(protocol, { userId: "alice" });
        const result = await client.invoke("price", { of: "tea" }, "json", { invocationId: "first" });
        assert.deepEqual(result, { invocationId: "first", dataType, data });
        const request = await handled.next("event");
        assert.deepEqual([request.dataType, request.data], ["json", { of: "tea" }]);
        const { connectionId, eventName, userId } = request.context;
        assert.deepEqual([connectionId, eventName, userId], [client.connectionId, "price", "alice"]);
        await hub.expectNothingMore(client);
      });
    }

    for (const [how, answer] of [
      ["empty", (response) => response.success()],
      ["null", (response) => response.success("null", "json")],
    ]) {
      test(`an invocation with an answer that is ${how} has an empty result`, async () => {
        application.handle(hub.name, { event: (_, response) => answer(response) });
        const client = await hub.open(protocol);
        const result = await client.invoke("price", "tea", "text", { invocationId: "first" });
        assert.deepEqual([result.dataType, result.data], [undefined, undefined]);
        await hub.expectNothingMore(client);
      });
    }

    for (const [status, body, expected] of FAILURES) {
      test(`an invocation that is answered ${status} ${body} rejects with ${expected.name}`, async () => {
        application.handle(hub.name, { event: (_, response) => response.fail(status, body) });
        const client = await hub.open(protocol);
        await assert.rejects(client.invoke("price", "tea", "text"), (error) => {
          assert.ok(error instanceof InvocationError, error);
          const { name, message } = error.errorDetail;
          assert.deepEqual({ name, message: expected.message && message }, { message: undefined, ...expected });
          assert.ok(expected.message || !body || !message.includes(body), message);
          return true;
        });
        client.expectNoEvent();
        await hub.expectNothingMore(client);
      });
    }

    test("an aborted invocation is taken from the application too", async () => {
      let late;
      const handled = application.handle(hub.name, { event: (_, response) => (late = response) });
      const client = await hub.open(protocol);
      const abort = new AbortController();
      const invocation = client.invoke("price", "tea", "text", { abortSignal: abort.signal });
      await handled.next("event");
      abort.abort();
      await assert.rejects(invocation, InvocationError);
      const givenUp = await handled.next("given up");
      assert.equal(givenUp.headers["ce-eventname"], "price");
      late.success("too late", "text");
      await hub.expectNothingMore(client);
    });

    test("invocations wait neither for each other nor for events", async () => {
      const waiting = new Map();
      const handled = application.handle(hub.name, {
        event: ({ context }, response) => waiting.set(context.eventName, response),
      });
      const client = await hub.open(protocol);
      const event = client.sendEvent("event", "tea", "text");
      const invocations = ["first", "second"].map((name) => client.invoke(name, "tea", "text"));
      for (let count = 0; count < 3; count++) {
        await handled.next("event");
      }
      for (const name of ["second", "first"]) {
        waiting.get(name).success(name, "text");
        assert.equal((await invocations[name === "first" ? 0 : 1]).data, name);
      }
      waiting.get("event").success("the event", "text");
      await event;
      assert.deepEqual(await client.receive(), fromServer("text", "the event"));
    });
  });
}

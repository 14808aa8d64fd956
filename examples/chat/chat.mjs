// The chat behind the service: who may connect, what happens to their events, and what the rooms are sent.

import { createHmac, timingSafeEqual } from "node:crypto";

import { AzureKeyCredential, WebPubSubServiceClient } from "@azure/web-pubsub";
import { WebPubSubEventHandler } from "@azure/web-pubsub-express";
import express from "express";

import { Refusal, Rooms } from "./rooms.mjs";

const HUB = "chat";
const EVENT_HANDLER = "/eventhandler";
const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,31}$/u;

/** The routes of the chat, on a service with that endpoint and access key. */
export function chat(endpoint, accessKey) {
  const credential = new AzureKeyCredential(accessKey);
  const service = new WebPubSubServiceClient(endpoint, credential, HUB, { allowInsecureConnection: true });
  const rooms = new Rooms(service);
  const handler = new WebPubSubEventHandler(HUB, {
    path: EVENT_HANDLER,
    handleConnect: ({ context }, response) => (context.userId ? response.success() : response.fail(401, "no name")),
    handleUserEvent: answer({
      join: ({ context, data }) => rooms.join(context, data?.room),
      message: ({ context, data }) => rooms.say(context, data),
      leave: ({ context }) => rooms.leave(context),
    }),
    onGroupJoined: ({ context, group }) => report(rooms.joined(group, context)),
    onGroupLeft: ({ context, group }) => report(rooms.left(group, context)),
  });

  const router = express.Router();
  router.get("/negotiate", async (request, response) => {
    const name = String(request.query.name ?? "").trim();
    if (!NAME.test(name)) {
      response.status(400).send("A name has 1 to 32 letters, digits, spaces, dots, dashes or underscores.");
      return;
    }
    // Whoever asks is believed here. This is where an application would look at its own login.
    const { url } = await service.getClientAccessToken({ userId: name, expirationTimeInMinutes: 5 });
    response.set("Cache-Control", "no-store").json({ url });
  });
  router.use(EVENT_HANDLER, requireSignature(accessKey));
  router.use(handler.getMiddleware());
  return router;
}

/** Answers an event by the one of `works` that has its name: with the result, or with what is wrong. */
function answer(works) {
  return async (request, response) => {
    try {
      const { room, result } = (await works[request.context.eventName](request)) ?? {};
      room === undefined || response.setState("room", room);
      result === undefined ? response.success() : response.success(JSON.stringify(result), "json");
    } catch (error) {
      if (error instanceof Refusal) {
        response.fail(400, JSON.stringify({ name: "Refused", message: error.message }));
      } else {
        console.error(error);
        response.fail(500);
      }
    }
  };
}

/** Lets only the service tell of events: it signs the connection id with the access key. */
function requireSignature(accessKey) {
  return (request, response, next) => {
    if (request.method === "OPTIONS") {
      next();
      return;
    }
    const digest = createHmac("sha256", accessKey).update(request.get("ce-connectionId") ?? "").digest("hex");
    const isSigned = (request.get("ce-signature") ?? "").split(",").some((found) => isSame(found, `sha256=${digest}`));
    isSigned ? next() : response.status(401).end();
  };
}

function isSame(...texts) {
  const [found, expected] = texts.map((text) => Buffer.from(text));
  return found.length === expected.length && timingSafeEqual(found, expected);
}

function report(work) {
  work.catch(console.error);
}

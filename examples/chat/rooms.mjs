// The rooms: a group of the service each. Who is in them and what was said is kept here while somebody is.

const ROOM = /^[\p{L}\p{N}][\p{L}\p{N}_-]{0,31}$/u;
const TEXT_LENGTH_MAX = 2000;
const HISTORY_LENGTH_MAX = 100;

/** What the client is told when it asks for something that is not to be had. */
export class Refusal extends Error {}

export class Rooms {
  #service;
  #rooms = new Map();
  #lastTime = 0;

  constructor(service) {
    this.#service = service;
  }

  /** Moves a connection into a room, which is remembered as the connection's state. */
  async join({ connectionId, states }, room) {
    if (typeof room !== "string" || !ROOM.test(room)) {
      throw new Refusal("A room has a name of 1 to 32 letters, digits, dashes or underscores.");
    }
    if (states.room && states.room !== room) {
      await this.#service.group(states.room).removeConnection(connectionId);
    }
    await this.#service.group(room).addConnection(connectionId);
    const { history, names } = this.#view(room);
    return { room, result: { history, names } };
  }

  /** Takes a connection out of its room. */
  async leave({ connectionId, states }) {
    if (states.room) {
      await this.#service.group(states.room).removeConnection(connectionId);
    }
    return { room: null };
  }

  /** Says something to everybody in the room of the connection. */
  async say({ states, userId }, text) {
    if (!states.room) {
      throw new Refusal("Join a room first.");
    }
    if (typeof text !== "string" || text.trim() === "" || text.length > TEXT_LENGTH_MAX) {
      throw new Refusal(`A message has 1 to ${TEXT_LENGTH_MAX} characters.`);
    }
    // No two messages have the same time, so that a page can tell them apart and put them in order.
    this.#lastTime = Math.max(Date.now(), this.#lastTime + 1);
    const message = { time: this.#lastTime, from: decoded(userId), text };
    const { history } = this.#room(states.room);
    history.push(message);
    try {
      await this.#service.group(states.room).sendToAll({ message });
    } catch (error) {
      // The service will ask again.
      history.splice(history.indexOf(message), 1);
      throw error;
    }
    history.splice(0, history.length - HISTORY_LENGTH_MAX);
  }

  async joined(room, { connectionId, userId }) {
    this.#room(room).members.set(connectionId, decoded(userId));
    await this.#tellNames(room);
  }

  async left(room, { connectionId }) {
    const { members } = this.#room(room);
    members.delete(connectionId);
    if (members.size === 0) {
      this.#rooms.delete(room);
    } else {
      await this.#tellNames(room);
    }
  }

  async #tellNames(room) {
    await this.#service.group(room).sendToAll({ names: this.#view(room).names });
  }

  #view(room) {
    const { history, members } = this.#room(room);
    return { history, names: [...new Set(members.values())].sort() };
  }

  #room(name) {
    if (!this.#rooms.has(name)) {
      this.#rooms.set(name, { history: [], members: new Map() });
    }
    return this.#rooms.get(name);
  }
}

/** The service sends user ids in UTF-8; Node, and so the middleware, reads headers as Latin-1. */
function decoded(userId) {
  return Buffer.from(userId, "latin1").toString();
}

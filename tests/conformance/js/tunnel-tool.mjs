// What the official tool `awps-tunnel run` runs: its tunnel client, as the official package for Socket.IO ships it.
// Arguments: the hub and the URL of the local server; the connection string is in WebPubSubConnectionString, as for the tool.

import tunnels from "@azure/web-pubsub-socket.io/dist/serverProxies/index.js";

const [hub, target] = process.argv.slice(2);
const proxy = tunnels.HttpServerProxy.fromConnectionString(process.env.WebPubSubConnectionString, hub, { target });
await proxy.runAsync({});
console.log("connected");

// Clients for Node.js that read the web port: node web_clients.cjs NAME PORT COUNT
// Prints the texts of COUNT messages, as a JSON array, and ends. NAME is that of the package, and with undici what it opens.
"use strict";
const [name, port, count] = process.argv.slice(2);
const received = [];
let open;

function take(text) {
  received.push(text);
  if (received.length === Number(count)) {
    console.log(JSON.stringify(received));
    open.close();
    setTimeout(() => process.exit(0), 100);
  }
}

function socket(WebSocket) {
  open = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  open.binaryType = "arraybuffer";
  open.onmessage = (event) => take(Buffer.from(event.data).toString());
}

function events(EventSource) {
  open = new EventSource(`http://127.0.0.1:${port}/events`);
  open.addEventListener("text", (event) => take(event.data));
}

const clients = {
  ws: () => socket(require("ws").WebSocket),
  undici: () => socket(require("undici").WebSocket),
  "undici-events": () => events(require("undici").EventSource),
  eventsource: () => events(require("eventsource").EventSource),
};
clients[name]();

// Publish each line of standard input as a message: node javascript_publisher.mjs [HOST PORT], or bun instead of node

import { once } from "node:events";
import { connect } from "node:net";

const [host = "127.0.0.1", port = 8001] = process.argv.slice(2);
const relay = connect(Number(port), host);
let finished = false;
relay.on("error", (error) => fail(error.message));
relay.on("close", () => finished || fail("it closed the connection"));

function fail(problem) {
  console.error(`relay at ${host}:${port}: ${problem}`);
  process.exit(1);
}

async function publish(message) {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(message.length);
  if (!relay.write(Buffer.concat([header, message]))) await once(relay, "drain"); // it takes no more for now
}

let parts = []; // of a line that has not ended yet
for await (const chunk of process.stdin) {
  let start = 0;
  for (let end; (end = chunk.indexOf("\n", start)) >= 0; start = end + 1) {
    await publish(Buffer.concat([...parts, chunk.subarray(start, end)]));
    parts = [];
  }
  parts.push(chunk.subarray(start));
}
const rest = Buffer.concat(parts);
if (rest.length) await publish(rest);
finished = true;
relay.end(); // the program ends once the relay has read everything and closes too

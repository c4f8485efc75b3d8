// Publish each line of standard input as a message, exactly once, whatever happens to the connection:
// node acknowledged_publisher.mjs NAME [HOST PORT], or bun instead of node
//
// The first line is the first message of NAME. Started again with the same name and the same input, it goes on behind
// the last line that the relay has accepted.

import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const CONTROL = 0x80000000; // this bit of a header says that what follows is a control frame, and no message
const HEARTBEAT = 2; // seconds; the connection is dead if nothing at all comes for three of them
const MOST = 1000; // messages that may wait to be acknowledged before more input is read
const [name, host = "127.0.0.1", port = 8001] = process.argv.slice(2);
let waiting = []; // frames that are not acknowledged
let accepted; // messages of NAME that are; undefined before the first welcome
let skip; // lines of the input that were accepted before we began
let ended = false; // whether that was all of the input
let rest = Buffer.alloc(0); // a line that is not whole
let relay; // the connection that messages go to; undefined while there is none
let pause = 0.1; // seconds until the next attempt
let check; // ends the program if all is acknowledged

function frame(body, kind = 0) {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(kind + body.length);
  return Buffer.concat([header, body]);
}

// Takes down what the relay says: all messages up to a number are accepted.
function hear(said) {
  if (said.type === "error") fail(said.message);
  if (said.reason === "replaced") fail("another publisher has this name now");
  pause = said.type === "welcome" ? 0.1 : (said.retry ?? pause);
  accepted ??= skip = said.accepted; // the first welcome
  const done = (said.accepted ?? accepted) - accepted;
  if (0 <= done && done <= waiting.length && said.known !== false) waiting = waiting.slice(done);
  else if (waiting.length) console.error(`relay at ${host}:${port}: it has forgotten us: messages may come twice`);
  accepted += done;
}

function fail(problem) {
  console.error(`relay at ${host}:${port}: ${problem}`);
  process.exit(1);
}

function take(lines) {
  const frames = lines.slice(skip).map((line) => frame(line));
  skip = Math.max(0, skip - lines.length);
  waiting.push(...frames);
  for (const each of frames) relay?.write(each);
  if (waiting.length >= MOST) process.stdin.pause();
}

// Publishes until all is acknowledged. Fails when the connection ends before.
function publish() {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host);
    let came = Buffer.alloc(0);
    socket.setTimeout(3 * HEARTBEAT * 1000, () => socket.destroy(new Error("nothing comes any more")));
    const hello = JSON.stringify({ relay: 1, type: "publish", name, heartbeat: HEARTBEAT });
    socket.write(frame(Buffer.from(hello), CONTROL));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("it closed the connection")));
    socket.on("data", (data) => {
      came = Buffer.concat([came, data]);
      for (let end; came.length >= 4 && came.length >= (end = 4 + (came.readUInt32BE() % CONTROL)); ) {
        try {
          hear(JSON.parse(came.subarray(4, end)));
        } catch (error) {
          return socket.destroy(error); // it is no relay
        }
        came = came.subarray(end);
        if (relay !== socket) for (const each of waiting) socket.write(each); // it was the welcome
        relay = socket;
      }
      if (relay && waiting.length < MOST) process.stdin.resume();
      check();
    });
    check = () => ended && relay && !waiting.length && resolve();
  });
}

process.stdin.pause();
process.stdin.on("data", (chunk) => {
  const lines = [];
  let start = 0;
  for (let end; (end = chunk.indexOf("\n", start)) >= 0; start = end + 1) {
    lines.push(Buffer.concat([rest, chunk.subarray(start, end)]));
    rest = Buffer.alloc(0);
  }
  rest = Buffer.concat([rest, chunk.subarray(start)]);
  take(lines);
});
process.stdin.on("end", () => {
  if (rest.length) take([rest]);
  ended = true;
  check();
});

for (;;) {
  try {
    await publish();
    process.exit();
  } catch (error) {
    console.error(`relay at ${host}:${port}: ${error.message}`);
  }
  relay = undefined;
  await sleep(pause * (0.5 + Math.random() / 2) * 1000);
  pause = Math.min(30, 2 * pause);
}

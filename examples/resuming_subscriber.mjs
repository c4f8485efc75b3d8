// Write each message to standard output as a line, and go on there after an interruption:
// node resuming_subscriber.mjs [HOST PORT], or bun instead of node

import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const CONTROL = 0x80000000; // this bit of a header says that what follows is a control frame, and no message
const HEARTBEAT = 2; // seconds; the connection is dead if nothing at all comes for three of them
const MOST = 2 ** 24; // bytes that we are prepared to hold
const [host = "127.0.0.1", port = 8002] = process.argv.slice(2);
let last = ["", 0]; // epoch and number of the last message
let sure = last; // of the last that the relay has confirmed
let pause = 0.1; // seconds until the next attempt

function control(values) {
  const body = Buffer.from(JSON.stringify(values));
  const header = Buffer.alloc(4);
  header.writeUInt32BE(CONTROL + body.length);
  return Buffer.concat([header, body]);
}

// Yields messages as Buffers, control frames as objects. What is cut off is dropped: it comes again.
async function* frames(stream) {
  let parts = []; // of a frame that is not whole yet
  let held = 0;
  let needed = 4;
  for await (const chunk of stream) {
    parts.push(chunk);
    held += chunk.length;
    if (held < needed) continue; // joining the parts of a long message for each chunk anew would be slow
    let bytes = Buffer.concat(parts);
    while (bytes.length >= (needed = frameLength(bytes))) {
      const body = bytes.subarray(4, needed);
      yield bytes[0] & 0x80 ? JSON.parse(body) : body;
      bytes = bytes.subarray(needed);
    }
    if (needed > MOST) throw new Error("it sends something else than frames");
    parts = [bytes];
    held = bytes.length;
  }
}

const frameLength = (bytes) => 4 + (bytes.length < 4 ? 0 : bytes.readUInt32BE() % CONTROL);

// Takes what the relay says to a position. Returns the seconds to wait if it is the end of the connection.
function hear(said) {
  if (said.type === "error") fail(said.message);
  if (!said.next) return; // a type that we do not know
  const [epoch, number] = said.next.split("-");
  const here = [epoch, Number(number) - 1];
  if (said.type === "welcome") pause = 0.1;
  if (said.type === "welcome" || (said.type === "gap" && isAt([epoch, here[1] - said.lost]))) last = here;
  if (!isAt(here)) {
    last = sure; // so that nothing is lost; some messages may come twice
    throw new Error(`it is at ${said.next}, and we are not`);
  }
  sure = last;
  if ("lost" in said && said.lost !== 0) {
    console.error(`before ${said.next}, messages are lost: ${said.lost ?? "unknown"}`);
  }
}

const isAt = ([epoch, number]) => last[0] === epoch && last[1] === number;

function fail(problem) {
  console.error(`relay at ${host}:${port}: ${problem}`);
  process.exit(1);
}

async function subscribe() {
  const relay = connect(Number(port), host);
  relay.setTimeout(3 * HEARTBEAT * 1000, () => relay.destroy(new Error("nothing comes any more")));
  const hello = { relay: 1, type: "subscribe", heartbeat: HEARTBEAT };
  relay.write(control(last[0] ? { ...hello, after: last.join("-") } : hello));
  let welcomed = false;
  const limit = Date.now() + 5000;
  for await (const frame of frames(relay)) {
    if (!(frame instanceof Buffer)) {
      hear(frame);
      welcomed ||= frame.type === "welcome";
      if (frame.type === "bye") return frame.retry;
    } else if (welcomed) {
      last = [last[0], last[1] + 1];
      if (!process.stdout.write(Buffer.concat([frame, Buffer.from("\n")]))) await once(process.stdout, "drain");
    } else if (Date.now() > limit) {
      throw new Error("it answers with messages only: perhaps it knows no sessions");
    }
  }
}

process.stdout.on("error", () => process.exit()); // a reader that has enough, as in `| head`
for (;;) {
  let retry;
  try {
    retry = await subscribe();
  } catch (error) {
    console.error(`relay at ${host}:${port}: ${error.message}`);
  }
  await sleep((retry ?? pause * (0.5 + Math.random() / 2)) * 1000);
  pause = Math.min(30, 2 * pause);
}
